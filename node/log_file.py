"""The newest log lines in the home, beside those on standard error: for `econode debug dump`."""

import contextlib
import io
import logging
import logging.handlers
import os
from collections.abc import Iterator

from node.files import PRIVATE_MODE
from node.home import Home
from node.log_filter import ForeignRecords

LOG_BYTES_MAX = 4 << 20
LOG_FILES_KEPT = 1
"""Full ones, besides the one that is written."""


class _PrivateFile(logging.handlers.RotatingFileHandler):
    def _open(self) -> io.TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.baseFilename, flags, PRIVATE_MODE)
        return io.TextIOWrapper(open(descriptor, "ab"), encoding="utf-8", errors="replace")


@contextlib.contextmanager
def keep_log(home: Home, format_: str, foreign: ForeignRecords) -> Iterator[None]:
    """Write what is logged until the end of the block to the home's log file, of bounded size."""
    handler = _PrivateFile(
        home.log_path, maxBytes=LOG_BYTES_MAX, backupCount=LOG_FILES_KEPT, delay=True
    )
    handler.setFormatter(logging.Formatter(format_))
    handler.addFilter(foreign)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()

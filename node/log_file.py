"""Where log lines go: standard error, and the newest into the home for `econode debug dump`."""

import contextlib
import io
import logging
import logging.handlers
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from node.config import Log
from node.files import PRIVATE_MODE
from node.home import Home
from node.log_filter import ForeignRecords, OwnRecords
from node.log_lines import make_formatter

LOG_BYTES_MAX = 4 << 20
LOG_FILES_KEPT = 1
"""Full ones, besides the one that is written."""


class _PrivateFile(logging.handlers.RotatingFileHandler):
    def _open(self) -> io.TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.baseFilename, flags, PRIVATE_MODE)
        return io.TextIOWrapper(open(descriptor, "ab"), encoding="utf-8", errors="replace")


@contextlib.contextmanager
def keep_log(home: Home, log: Log) -> Iterator[None]:
    """Write what is logged until the end of the block to standard error and to the home's log file,
    which is of bounded size; once, where standard error leads there already."""
    handlers: list[logging.Handler] = [
        _PrivateFile(home.log_path, maxBytes=LOG_BYTES_MAX, backupCount=LOG_FILES_KEPT, delay=True)
    ]
    if not _is_standard_error(home.log_path):
        handlers.append(logging.StreamHandler(sys.stderr))
    formatter = make_formatter(log.format, home.load_peer_id())
    filters = (ForeignRecords(), OwnRecords(log.lines_per_minute_max))
    root = logging.getLogger()
    level = logging.getLevelNamesMapping()[log.level.upper()]
    root.setLevel(max(level, logging.INFO))  # what libraries say at debug is theirs
    logging.getLogger("econode").setLevel(level)
    for handler in handlers:
        handler.setFormatter(formatter)
        for each in filters:
            handler.addFilter(each)
        root.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()


def _is_standard_error(path: Path) -> bool:
    """Whoever started the node sends its standard error to this file."""
    try:
        return os.path.samestat(os.fstat(sys.stderr.fileno()), path.stat())
    except OSError:
        return False  # no such file yet, or no descriptor behind standard error

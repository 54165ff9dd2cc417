"""Other people's log records: told, but neither with tracebacks nor in floods.

libp2p logs a traceback for each peer that cuts off in the middle of a frame. Whoever connects could
fill the disk that way, so its records lose their traceback and share a budget; what is over it is
counted and said with the next record that passes.
"""

import logging
import time
from collections.abc import Callable

RECORDS_PER_MINUTE_MAX = 30
_DECIDED = "econode_passes"
FOREIGN = ("libp2p", "multiaddr", "hypercorn")


class ForeignRecords(logging.Filter):
    """Put it on one handler, or the same on several; records of other loggers pass untouched."""

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock_s = clock_s
        self._window_s = float("-inf")
        self._passed = 0
        self._dropped = 0

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.partition(".")[0] not in FOREIGN:
            return True
        decided: bool | None = record.__dict__.get(_DECIDED)
        if decided is None:
            decided = record.__dict__[_DECIDED] = self._decide(record)
        return decided

    def _decide(self, record: logging.LogRecord) -> bool:
        now_s = self._clock_s()
        if now_s - self._window_s >= 60:
            self._window_s, self._passed = now_s, 0
        if self._passed >= RECORDS_PER_MINUTE_MAX:
            self._dropped += 1
            return False
        self._passed += 1
        record.exc_info, record.exc_text, record.stack_info = None, None, None
        if self._dropped:
            record.msg = f"{record.getMessage()} ({self._dropped} such messages before it dropped)"
            record.args, self._dropped = None, 0
        return True

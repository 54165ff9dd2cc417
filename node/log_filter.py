"""Log records: told, but not in floods, and other people's without tracebacks.

libp2p logs a traceback for each peer that cuts off in the middle of a frame. Whoever connects could
fill the disk that way, so its records lose their traceback and share a budget; what is over it is
counted and said with the next record that passes. The node's own have a budget for each event.
"""

import logging
import time
from collections.abc import Callable

from node.log_lines import FIELDS, read_event

RECORDS_PER_MINUTE_MAX = 30
EVENTS_MAX = 512
"""Events whose dropped lines are counted: more than the program has."""
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


class OwnRecords(logging.Filter):
    """Bounds the node's own lines by event, so that one that repeats pushes nothing else out of
    the log; what is over it is counted and said with the event's next line. Put the same one on
    every handler. Other loggers' records pass untouched."""

    def __init__(
        self, lines_per_minute_max: int, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        """0: no bound."""
        super().__init__()
        self._max = lines_per_minute_max
        self._clock_s = clock_s
        self._window_s = float("-inf")
        self._passed: dict[str, int] = {}
        self._dropped: dict[str, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._max or record.name.partition(".")[0] in FOREIGN:
            return True
        decided: bool | None = record.__dict__.get(_DECIDED)
        if decided is None:
            decided = record.__dict__[_DECIDED] = self._decide(record, read_event(record))
        return decided

    def _decide(self, record: logging.LogRecord, event: str) -> bool:
        now_s = self._clock_s()
        if now_s - self._window_s >= 60:
            self._window_s = now_s
            self._passed.clear()
        passed = self._passed.get(event, 0)
        if passed >= self._max and (event in self._dropped or len(self._dropped) < EVENTS_MAX):
            self._dropped[event] = self._dropped.get(event, 0) + 1
            return False
        self._passed[event] = passed + 1
        if event in self._dropped:
            fields = dict(record.__dict__.get(FIELDS, {}))
            record.__dict__[FIELDS] = fields | {"dropped": self._dropped.pop(event)}
        return True

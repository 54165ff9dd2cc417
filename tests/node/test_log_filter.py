"""A stranger cannot fill the log through a library."""

import logging
import sys

from node.log_filter import RECORDS_PER_MINUTE_MAX, ForeignRecords


def make(name: str) -> logging.LogRecord:
    try:
        raise ValueError("cut off")
    except ValueError:
        return logging.LogRecord(name, logging.ERROR, "f", 1, "lost %s", ("it",), sys.exc_info())


def test_foreign_records_lose_their_traceback_and_share_a_budget() -> None:
    now = [0.0]
    records = ForeignRecords(lambda: now[0])
    passed = [record for _ in range(100) if records.filter(record := make("libp2p.host"))]
    assert len(passed) == RECORDS_PER_MINUTE_MAX
    assert all(record.exc_info is None for record in passed)
    now[0] = 61.0
    again = make("libp2p")
    assert records.filter(again)
    assert again.getMessage() == "lost it (70 such messages before it dropped)"


def test_our_own_records_pass_untouched() -> None:
    records = ForeignRecords()
    for _ in range(2 * RECORDS_PER_MINUTE_MAX):
        record = make("econode.driver")
        assert records.filter(record)
        assert record.exc_info is not None

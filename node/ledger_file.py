"""Reading ledger.sqlite3 from another process, while its node runs or when it does not.

Read-only and synchronous; `node/ledger.py` is the side that writes and serves.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from crdt.facts import decode_fact
from identity.errors import EconodeError
from node.problem import Problem
from node.service import LogEntry, LogPage, describe_fact

BUSY_S_MAX = 5.0


def read_network(path: Path) -> bytes:
    """The network id that the ledger was made with."""
    with open_readonly(path) as connection:
        row = connection.execute("SELECT id FROM network").fetchone()
    if row is None:
        raise damaged(path, "it names no network")
    return bytes(row[0])


def read_log(path: Path, committee: bytes, start: int, limit: int) -> LogPage:
    """At most `limit` entries of the committee's log, from position `start` on."""
    with open_readonly(path) as connection:
        connection.execute("BEGIN")  # one state of the file for all the questions
        rows = connection.execute(
            "SELECT position, time_ms, hash, EXISTS (SELECT 1 FROM certificates c WHERE "
            "c.committee = e.committee AND c.position = e.position) FROM entries e "
            "WHERE committee = ? AND position >= ? ORDER BY position LIMIT ?",
            (committee, start, limit),
        ).fetchall()
        entries = [
            LogEntry(
                position=position,
                time_ms=time_ms,
                hash=digest.hex(),
                certified=bool(certified),
                facts=_read_facts(connection, path, committee, position),
            )
            for position, time_ms, digest, certified in rows
        ]
    return LogPage(entries=tuple(entries), next=entries[-1].position + 1 if entries else start)


def _read_facts(
    connection: sqlite3.Connection, path: Path, committee: bytes, position: int
) -> tuple[dict[str, object], ...]:
    rows = connection.execute(
        "SELECT data FROM records WHERE committee = ? AND position = ? ORDER BY item",
        (committee, position),
    )
    try:
        return tuple(describe_fact(decode_fact(row[0])) for row in rows)
    except (EconodeError, TypeError) as error:
        raise damaged(path, f"the records of position {position}: {error}") from None


@contextlib.contextmanager
def open_readonly(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection for reading. Raises Problem when there is no ledger or it is damaged."""
    if not path.exists():
        raise no_ledger(path)
    try:
        with contextlib.closing(
            sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=ro",
                uri=True,
                timeout=BUSY_S_MAX,
                isolation_level=None,
            )
        ) as connection:
            yield connection
    except sqlite3.Error as error:
        raise damaged(path, str(error)) from None


def no_ledger(path: Path) -> Problem:
    return Problem(
        "no-ledger",
        "there is no ledger yet",
        where=str(path),
        remedy="it comes with the first start: econode start",
        status=404,
    )


def damaged(path: Path, reason: str) -> Problem:
    return Problem(
        "damaged-ledger",
        f"the ledger cannot be read: {reason}",
        where=str(path),
        remedy="`econode ledger verify` says more; move the file away and start: the node fetches "
        "it again from its peers",
    )

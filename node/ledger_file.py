"""Reading ledger.sqlite3 from another process, while its node runs or when it does not.

Read-only and synchronous; `node/ledger.py` is the side that writes and serves.
"""

import contextlib
import re
import sqlite3
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from crdt.facts import CommitteeFormed, decode_fact
from identity.errors import EconodeError
from node.ledger_rows import get_kind
from node.ledger_states import SELECT_GAPS
from node.problem import Problem, not_found
from node.service import LogEntry, LogPage, choose_gaps, describe_fact
from protocols.genesis import MAIN_COMMITTEE, compute_committee_id

BUSY_S_MAX = 5.0
_ID = re.compile(r"[0-9a-f]{32}")


def read_network(path: Path) -> bytes:
    """The network id that the ledger was made with."""
    with open_readonly(path) as connection:
        row = connection.execute("SELECT id FROM network").fetchone()
    if row is None:
        raise damaged(path, "it names no network")
    return bytes(row[0])


def find_committee(path: Path, network: bytes, name: str) -> bytes:
    """The id of the committee of that name, whose formation the ledger holds, or of that id, of
    which it holds entries: behind a fetched state the formation may be missing. Raises Problem."""
    main = compute_committee_id(network, MAIN_COMMITTEE)
    if name in (MAIN_COMMITTEE, main.hex()):
        return main
    with open_readonly(path) as connection:
        if _ID.fullmatch(name):
            id_ = bytes.fromhex(name)
            found = "SELECT 1 FROM entries WHERE committee = ? LIMIT 1"
            if connection.execute(found, (id_,)).fetchone() is not None:
                return id_
        for formed in walk_formed(connection, path, main):
            if name == formed.name:
                return formed.committee
    remedy = "`econode committee list` shows those there are; give the id where a name is unknown"
    raise not_found("committee", name, remedy)


class FormedBy(NamedTuple):
    """A committee: its name in the network, its id, and the one that formed it."""

    name: str
    committee: bytes
    parent: bytes


def walk_formed(connection: sqlite3.Connection, path: Path, main: bytes) -> Iterator[FormedBy]:
    """Every committee below `main` whose formation the ledger at `path` holds, once and after the
    one that formed it. Raises Problem."""
    seen, waiting = {main}, deque([("", main)])
    while waiting:
        prefix, parent = waiting.popleft()
        rows = connection.execute(
            "SELECT data FROM records INDEXED BY records_by_kind "
            "WHERE committee = ? AND kind = 'committee_formed' ORDER BY position, item",
            (parent,),
        )
        for fact in [_decode_formed(path, row[0]) for row in rows]:
            if fact.committee not in seen:
                seen.add(fact.committee)
                waiting.append((f"{prefix}{fact.name}/", fact.committee))
                yield FormedBy(prefix + fact.name, fact.committee, parent)


def _decode_formed(path: Path, data: bytes) -> CommitteeFormed:
    """The fact in a row of the ledger at `path`. Raises Problem."""
    try:
        fact = decode_fact(data)
    except (EconodeError, TypeError) as error:
        raise damaged(path, str(error)) from None
    if not isinstance(fact, CommitteeFormed):
        raise damaged(path, f"a {get_kind(fact)} in place of a committee_formed")
    return fact


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
        gaps = connection.execute(SELECT_GAPS, (committee,)).fetchall()
    return LogPage(
        entries=tuple(entries),
        next=entries[-1].position + 1 if entries else start,
        not_held=choose_gaps(gaps, start, entries, limit),
    )


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

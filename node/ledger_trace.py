"""The way of one task through the ledgers of several nodes, read from their files, running or
not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from crdt.facts import decode_fact
from node.describe import describe_fact
from node.ledger_file import find_committee, open_readonly
from node.log_search import LogLine
from node.problem import Problem, not_found

FACTS_MAX = 10_000
"""Of one task: its rounds are bounded, so nothing is left out."""


class TracedFact(msgspec.Struct, frozen=True, kw_only=True):
    """A fact about the task at `item` of the entry at `position`, `elapsed_ms` of agreed time after
    the task's first. `held_by` names the ledgers that hold it."""

    position: int
    item: int
    time_ms: int
    elapsed_ms: int
    fact: dict[str, Any]
    held_by: tuple[str, ...]


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """A task's facts in their order. `ledgers` were read, `behind` of them lack the last ones, and
    `differing` tell another story, which no two honest committees' members do."""

    task: str
    ledgers: tuple[str, ...]
    facts: tuple[TracedFact, ...]
    behind: tuple[str, ...]
    differing: tuple[str, ...]
    log: tuple[LogLine, ...] = ()
    """What the nodes' logs say about it, where that was asked for."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A record as one ledger holds it."""

    position: int
    item: int
    time_ms: int
    data: bytes


def trace(
    ledgers: Sequence[tuple[str, Path]], network: bytes, committee: str, prefix: str
) -> Trace:
    """The task whose id begins with `prefix`, by named ledger files of one network. The first one
    that knows it tells the story. Raises Problem."""
    found: dict[str, list[_Row]] = {}
    id_ = b""
    for name, path in ledgers:
        task, rows = _read(path, find_committee(path, network, committee), prefix)
        if rows and id_ and task != id_:
            raise Problem("ambiguous", f"several tasks begin with {prefix}", status=409)
        id_ = task or id_
        found[name] = rows
    if not id_:
        raise not_found("task", prefix, "`econode task list` shows those there are")
    story = max(found.values(), key=len)
    start_ms = story[0].time_ms
    facts = tuple(
        TracedFact(
            position=row.position,
            item=row.item,
            time_ms=row.time_ms,
            elapsed_ms=row.time_ms - start_ms,
            fact=describe_fact(decode_fact(row.data)),
            held_by=tuple(name for name, rows in found.items() if row in rows),
        )
        for row in story
    )
    return Trace(
        task=id_.hex(),
        ledgers=tuple(found),
        facts=facts,
        behind=tuple(name for name, rows in found.items() if len(rows) < len(story)),
        differing=tuple(name for name, rows in found.items() if set(rows) - set(story)),
    )


ID_DIGITS = 64


def _fill(prefix: str, digit: str) -> bytes:
    """The first and the last id that begin with these hex digits."""
    return bytes.fromhex(prefix.ljust(ID_DIGITS, digit))


def _read(path: Path, committee: bytes, prefix: str) -> tuple[bytes, list[_Row]]:
    """The one task that begins with `prefix`, and its records; nothing where it is not known."""
    with open_readonly(path) as connection:
        rows = connection.execute(
            "SELECT r.task, r.position, r.item, e.time_ms, r.data FROM records r "
            "INDEXED BY records_by_task JOIN entries e "
            "ON e.committee = r.committee AND e.position = r.position "
            "WHERE r.committee = ? AND r.task BETWEEN ? AND ? "
            "ORDER BY r.position, r.item LIMIT ?",
            (committee, _fill(prefix, "0"), _fill(prefix, "f"), FACTS_MAX),
        ).fetchall()
    tasks = {row[0] for row in rows}
    if len(tasks) > 1:
        raise Problem(
            "ambiguous", f"several tasks begin with {prefix}", remedy="give more digits", status=409
        )
    return (tasks.pop() if tasks else b""), [_Row(*row[1:]) for row in rows]

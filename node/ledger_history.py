"""Reads the past out of ledger.sqlite3 in the order it happened, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from crdt.auctions import AuctionRow
from crdt.tasks import TaskRow
from identity.schema import U63_MAX
from node.ledger_file import open_readonly
from node.pages import parse_place

Row = TypeVar("Row", TaskRow, AuctionRow)

ID_DIGITS = 64
_PLACES: dict[type[TaskRow] | type[AuctionRow], tuple[str, str, str]] = {
    TaskRow: ("tasks", "task", "task_opened"),
    AuctionRow: ("auctions", "auction", "auction_began"),
}
"""By kind of row: its table, the key of that, and the fact that begins it."""


@dataclass(frozen=True, slots=True)
class Newest(Generic[Row]):
    """Rows with the last opened first, the place of the last one's opening (None at the end), and
    how many rows of the whole table are in which state."""

    rows: Sequence[Row]
    next: str | None
    counts: dict[str, int]


def read_newest(
    path: Path,
    committee: bytes,
    kind: type[Row],
    *,
    state: str | None,
    limit: int,
    before: str | None,
) -> Newest[Row]:
    """At most `limit` rows of `kind` in `state`, of those opened before the place `before`. Raises
    Problem."""
    table, key, opening = _PLACES[kind]
    last: tuple[int, int] = (U63_MAX, 0) if before is None else parse_place(before)
    with open_readonly(path) as connection:
        connection.execute("BEGIN")  # one state of the file for both questions
        found: list[tuple[Any, ...]] = connection.execute(
            f"SELECT r.position, r.item, t.* FROM records r "
            f"INDEXED BY records_by_kind CROSS JOIN {table} t "
            f"ON t.committee = r.committee AND t.{key} = r.task WHERE r.committee = ?1 "
            "AND r.kind = ?2 AND (r.position, r.item) < (?3, ?4) AND (?5 IS NULL OR t.state = ?5) "
            "ORDER BY r.position DESC, r.item DESC LIMIT ?6",
            (committee, opening, *last, state, limit),
        ).fetchall()
        counts = connection.execute(
            f"SELECT state, count(*) FROM {table} WHERE committee = ? GROUP BY state", (committee,)
        ).fetchall()
    following = make_place(*found[-1][:2]) if len(found) == limit else None
    return Newest([kind(*row[3:]) for row in found], following, dict(counts))


def find_ids(path: Path, committee: bytes, kind: type[Row], prefix: str, limit: int) -> list[bytes]:
    """At most `limit` ids of rows of `kind` that begin with these hex digits."""
    table, key, _ = _PLACES[kind]
    bounds: list[bytes] = [bytes.fromhex(prefix.ljust(ID_DIGITS, digit)) for digit in "0f"]
    with open_readonly(path) as connection:
        rows = connection.execute(
            f"SELECT {key} FROM {table} WHERE committee = ? AND {key} BETWEEN ? AND ? LIMIT ?",
            (committee, *bounds, limit),
        ).fetchall()
    return [bytes(row[0]) for row in rows]


def make_place(position: int, item: int) -> str:
    """A place in the log as a cursor."""
    return f"{position}.{item}"

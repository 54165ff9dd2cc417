"""What a node tells its owner of a committee's log: entries, pages, and what is not held."""

from collections.abc import Sequence

from identity.schema import U63_MAX
from node.answer import Answer, FactDocument


class LogEntry(Answer, frozen=True):
    """One entry of the committee's log; `facts` are `describe_fact`'s."""

    position: int
    time_ms: int
    hash: str
    certified: bool
    facts: tuple[FactDocument, ...]


class FactEvent(Answer, frozen=True):
    """One event about a task or an auction, by its id: the fact at `item` of the entry at
    `position`."""

    id: str
    position: int
    item: int
    time_ms: int
    fact: FactDocument


class Gap(Answer, frozen=True):
    """Positions `start` to `end` of a log: this node fetched the state at `end` instead."""

    start: int
    end: int


class LogPage(Answer, frozen=True):
    """Entries in order; `next` is the position to go on from (it may not exist yet). `not_held` are
    the gaps before and between these entries, and the last one behind them where none follow."""

    entries: tuple[LogEntry, ...]
    next: int
    not_held: tuple[Gap, ...] = ()


def choose_gaps(
    gaps: Sequence[tuple[int, int]], start: int, entries: Sequence[LogEntry], limit: int
) -> tuple[Gap, ...]:
    """The gaps of the log (first and last position) that belong to a page from `start` on."""
    last = entries[-1].position if len(entries) >= limit else U63_MAX
    return tuple(Gap(start=a, end=b) for a, b in gaps if b >= start and a <= last)

"""How long the phases of tasks took, in agreed time: what the records of the ledger say.

Agreed time is the committee's median clock, in milliseconds, of the batch that a record stands
in; two records of one batch are 0 ms apart.
"""

from collections.abc import Collection, Iterator

import msgspec

from crdt import facts
from devnet.history import History

PHASES = ("auction", "execution", "verification", "settlement", "total")


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of agreed time over `count` tasks; None without any."""

    p50_ms: int | None
    p99_ms: int | None
    count: int


def measure_phases(history: History, tasks: Collection[bytes]) -> dict[str, Latency]:
    """Latency by phase over the settled ones of `tasks`.

    auction: opening of the auction to award; execution: to the executor's sealed result;
    verification: to acceptance; settlement: to the end; each of a task's last round. total:
    opening of the task to its end, earlier rounds and waiting included.
    """
    spans: dict[str, list[int]] = {phase: [] for phase in PHASES}
    for marks in _collect_marks(history, tasks):
        ends = [marks.get(name) for name in ("auction", "award", "work", "accept", "end")]
        for phase, start, end in zip(PHASES, ends, ends[1:], strict=False):
            if start is not None and end is not None:
                spans[phase].append(end - start)
        spans["total"].append(marks["end"] - marks["open"])
    return {phase: _summarise(values) for phase, values in spans.items()}


def compute_percentile(values: Collection[int], percent: int) -> int | None:
    """The nearest-rank percentile: the least value that `percent` % of all do not exceed."""
    if not values:
        return None
    rank = -(-percent * len(values) // 100)
    return sorted(values)[max(rank, 1) - 1]


def _summarise(values: list[int]) -> Latency:
    return Latency(
        p50_ms=compute_percentile(values, 50),
        p99_ms=compute_percentile(values, 99),
        count=len(values),
    )


def _collect_marks(history: History, tasks: Collection[bytes]) -> Iterator[dict[str, int]]:
    """Times of the marks of each settled task; marks of later rounds replace earlier ones."""
    marks: dict[bytes, dict[str, int]] = {}
    executors: dict[bytes, bytes] = {}
    for entry, fact in history.facts():
        task = getattr(fact, "task", None)
        if task not in tasks or task is None:
            continue
        mine = marks.setdefault(task, {})
        match fact:
            case facts.TaskOpened():
                mine["open"] = entry.time_ms
            case facts.AuctionOpened():
                for name in ("award", "work", "accept"):
                    mine.pop(name, None)
                mine["auction"] = entry.time_ms
            case facts.Awarded(winner=winner):
                mine["award"], executors[task] = entry.time_ms, winner
            case facts.WorkCommitted(party=party) if party == executors.get(task):
                mine["work"] = entry.time_ms
            case facts.Accepted():
                mine["accept"] = entry.time_ms
            case facts.TaskEnded(outcome="settled") if "open" in mine:
                mine["end"] = entry.time_ms
                yield mine

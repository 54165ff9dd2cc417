"""Projections of the ledger: what people ask for, folded from records.

Everything here is a pure function of facts, so the ledger writes projections in the transaction
of the records they come from, and the verifier folds them again and compares.
"""

from collections import defaultdict
from collections.abc import Iterable
from functools import cache

from crdt.facts import COMMON, Fact
from crdt.tasks import ENDED_STATES, TaskRow, fold_task, get_task

# The fields of facts that name an account, or several.
_ACCOUNT_FIELDS = (
    *("account", "to", "agent", "requester", "bidder", "winner", "party", "executor", "offender"),
)
_ACCOUNTS_FIELDS = ("bidders", "verifiers", "holders", "members")

Balance = tuple[bytes, str]
"""Account and bucket."""


@cache
def _list_account_fields(kind: type[Fact]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The fields of a kind of fact that name one account, and those that name several."""
    known = kind.__struct_fields__
    return (
        tuple(field for field in _ACCOUNT_FIELDS if field in known),
        tuple(field for field in _ACCOUNTS_FIELDS if field in known),
    )


def list_accounts(fact: Fact) -> list[bytes]:
    """Every account that a fact names or moves credits of, ascending and without COMMON."""
    single, several = _list_account_fields(type(fact))
    found = {key for field in single if (key := getattr(fact, field)) is not None}
    for field in several:
        found.update(getattr(fact, field))
    for move in fact.moves:
        found.update((move.source, move.target))
    found.discard(COMMON)
    return sorted(found)


def compute_deltas(facts: Iterable[Fact]) -> dict[Balance, int]:
    """What the moves of `facts` add to each balance; the mint counts up, as in StakeView."""
    deltas: defaultdict[Balance, int] = defaultdict(int)
    for fact in facts:
        for move in fact.moves:
            sign = 1 if move.source_bucket == "minted" else -1
            deltas[(move.source, move.source_bucket)] += sign * move.amount
            deltas[(move.target, move.target_bucket)] += move.amount
    return dict(deltas)


class TaskProjection:
    """The tasks of one committee that have not ended, and the rows changed since `take_changed`.

    Ended tasks never change again and are let go, so memory is bounded by the number of tasks
    that a committee lets be under way (`Parameters.tasks_open_max`).
    """

    def __init__(self, rows: Iterable[TaskRow] = ()) -> None:
        self._open = {row.task: row for row in rows}
        self._changed: dict[bytes, TaskRow] = {}

    def apply(self, fact: Fact, time_ms: int) -> None:
        task = get_task(fact)
        if task is None:
            return
        before = self._open.get(task) or self._changed.get(task)
        row = fold_task(before, fact, time_ms)
        if row is None or row is before:
            return
        self._changed[task] = row
        if row.state in ENDED_STATES:
            self._open.pop(task, None)
        else:
            self._open[task] = row

    def take_changed(self) -> list[TaskRow]:
        changed = list(self._changed.values())
        self._changed.clear()
        return changed

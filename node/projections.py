"""Projections of the ledger: what people ask for, folded from records.

Everything here is a pure function of facts, so the ledger writes projections in the transaction
of the records they come from, and the verifier folds them again and compares.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Generic, TypeVar

from crdt import auctions, tasks
from crdt.auctions import AuctionRow
from crdt.facts import COMMON, Fact
from crdt.facts_solutions import ChosenBundle
from crdt.tasks import TaskRow

# The fields of facts that name an account, or several.
_ACCOUNT_FIELDS = (
    *("account", "to", "agent", "requester", "bidder", "winner", "party", "executor"),
    *("offender", "opener"),
)
_ACCOUNTS_FIELDS = ("bidders", "verifiers", "holders", "members", "winners", "agreeing")
"""Of keys, or of bundles that a bidder wins."""

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
        named = getattr(fact, field)
        found.update(each.bidder if isinstance(each, ChosenBundle) else each for each in named)
    found.update(award.winner for award in getattr(fact, "awards", ()))
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


Row = TypeVar("Row", TaskRow, AuctionRow)


class Projection(Generic[Row]):
    """What of one kind has not ended in a committee, and the rows changed since `take_changed`.

    `get_id` names what a fact is about, `fold` gives the row after a fact. What is in one of the
    states `ended` never changes again and is let go, so memory is bounded by what a committee lets
    be under way (`Parameters.tasks_open_max`, `auctions_open_max`).
    """

    def __init__(
        self,
        rows: Mapping[bytes, Row],
        get_id: Callable[[Fact], bytes | None],
        fold: Callable[[Row | None, Fact, int], Row | None],
        ended: Collection[str],
    ) -> None:
        self._open: dict[bytes, Row] = dict(rows)
        self._changed: dict[bytes, Row] = {}
        self._get_id, self._ended = get_id, ended
        self._fold: Callable[[Row | None, Fact, int], Row | None] = fold

    def apply(self, fact: Fact, time_ms: int) -> None:
        id_ = self._get_id(fact)
        if id_ is None:
            return
        before = self._open.get(id_) or self._changed.get(id_)
        row = self._fold(before, fact, time_ms)
        if row is None or row is before:
            return
        self._changed[id_] = row
        if row.state in self._ended:
            self._open.pop(id_, None)
        else:
            self._open[id_] = row

    def take_changed(self) -> list[Row]:
        changed = list(self._changed.values())
        self._changed.clear()
        return changed


def project_tasks(rows: Iterable[TaskRow] = ()) -> Projection[TaskRow]:
    """The projection of tasks that begins with these `rows` of open ones."""
    known = {row.task: row for row in rows}
    return Projection(known, tasks.get_task, tasks.fold_task, tasks.ENDED_STATES)


def project_auctions(rows: Iterable[AuctionRow] = ()) -> Projection[AuctionRow]:
    """The projection of general auctions that begins with these `rows` of open ones."""
    known = {row.auction: row for row in rows}
    return Projection(known, auctions.get_auction, auctions.fold_auction, auctions.ENDED_STATES)

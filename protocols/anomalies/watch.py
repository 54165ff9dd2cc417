"""Anomalies of a committee's market, agents and members: a bounded fold over its log.

An anomaly is a reason to look, never a verdict, and changes nothing. Each rule compares a subject
with its own past or with the others of its kind, so that what everybody does is usual. What honest
subjects may do to be named stands beside each rule in docs/anomalies.md.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from crdt.facts import (
    COMMON,
    Accepted,
    AuctionBidCommitted,
    AuctionCancelled,
    AuctionEnded,
    AuctionOpened,
    Awarded,
    BidCommitted,
    BidRevealed,
    Fact,
    Settled,
    TaskEnded,
    TaskOpened,
    Unsold,
    WorkAnswered,
    WorkCommitted,
    WorkRevealed,
    is_transit_account,
)
from crdt.stake import OWNED_BUCKETS
from protocols.anomalies.rates import SUBJECTS_MAX, Rates, Unusual
from protocols.anomalies.robust import PPM, compute_median, find_high, find_low
from protocols.bounded import put_newest

Kind = Literal[
    "fails_often",
    "slower_than_before",
    "slower_than_others",
    "price_jump",
    "withholds_bids",
    "never_disagrees",
    "pays_little",
    "drains",
    "seldom_votes",
    "view_changes",
]
Unit = Literal["ppm", "ms", "credits"]

ACCOUNTS_MAX: Final = 65_536
"""Accounts whose credits are followed; whoever paid and got nothing for longest makes room."""
OPEN_MAX: Final = 16_384
"""Tasks and auctions under way."""
PAST_MAX: Final = 64
"""Values of a past that is compared with."""
NEWEST: Final = 8
"""Newest values whose median is compared with the ones before."""
PAST_MIN: Final = 16
AGREEMENTS_MIN: Final = 8
FAIL_FLOOR_PPM: Final = 50_000
BIDS_MIN: Final = 6
WITHHOLD_FLOOR_PPM: Final = 20_000
VERDICTS_MIN: Final = 16
ANSWERS_MIN: Final = 6
PAYS_LITTLE_FLOOR_PPM: Final = 100_000
SLOW_SLACK_MS: Final = 2_000
PRICE_SLACK_PPM: Final = 500_000
DRAINED_PPM: Final = 100_000
"""What is left of an account's most that is unusual."""
DRAIN_MIN: Final = 1_000
PROOFS_MIN: Final = 64
VOTES_SHARE_PPM: Final = 250_000
"""A member that stands in fewer proofs than this share of what the others do, by chance."""
VIEW_FLOOR_PPM: Final = 10_000


@dataclass(frozen=True, slots=True)
class Anomaly:
    """`subject` (an account; empty for the committee itself) shows `observed` where `low` to `high`
    is usual (None: no bound), over `count` observations, of the capability `about`. `since_ms` is
    the agreed time of the first of them that is unusual."""

    kind: Kind
    subject: bytes
    about: bytes | None
    unit: Unit
    observed: int
    low: int | None
    high: int | None
    count: int
    since_ms: int


@dataclass(slots=True)
class _Task:
    """A task under way, as far as the rules need it."""

    capability: bytes
    sealed: set[bytes]
    opened: set[bytes]
    executor: bytes = b""
    awarded_ms: int = 0
    outputs: dict[bytes, bytes] | None = None


class Watch:
    """Feed it facts in order with `apply` and proofs with `note_votes`, ask `list_anomalies`."""

    def __init__(self) -> None:
        self._tasks: dict[bytes, _Task] = {}
        self._sealed: dict[bytes, set[bytes]] = {}
        self._failures, self._withheld, self._verdicts = Rates(), Rates(), Rates()
        self._answers, self._votes, self._views = Rates(), Rates(), Rates()
        self._times: dict[tuple[bytes, bytes], deque[tuple[int, int]]] = {}
        """(capability, executor): when, and how long from award to sealed result."""
        self._prices: dict[bytes, deque[tuple[int, int]]] = {}
        self._net: dict[bytes, int] = {}
        self._most: dict[bytes, tuple[int, int]] = {}
        """An account's net gain since it was first seen, and the most that was, and when."""
        self._place: tuple[int, int] | None = None

    def apply(self, fact: Fact, time_ms: int) -> None:
        """Count a fact that came true at agreed time `time_ms`."""
        match fact:
            case TaskOpened():
                put_newest(self._tasks, fact.task, _Task(fact.capability, set(), set()), OPEN_MAX)
            case TaskEnded():
                self._tasks.pop(fact.task, None)
            case WorkAnswered() if not fact.silent:
                is_little = 2 * fact.paid_ppm < PPM
                self._answers.note(fact.requester, time_ms, is_little)
            case AuctionBidCommitted() if fact.commitment is not None:
                if fact.auction not in self._sealed:
                    put_newest(self._sealed, fact.auction, set(), OPEN_MAX)
                self._sealed[fact.auction].add(fact.bidder)
            case AuctionCancelled():
                self._sealed.pop(fact.auction, None)
            case AuctionEnded():
                for bidder in self._sealed.pop(fact.auction, ()):
                    self._withheld.note(bidder, time_ms, bidder in fact.silent)
        task = self._tasks.get(getattr(fact, "task", None) or b"")
        if task is not None:
            self._count(task, fact, time_ms)
        self._count_moves(fact, time_ms)

    def note_votes(
        self, time_ms: int, epoch: int, view: int, voters: set[bytes], members: Iterable[bytes]
    ) -> None:
        """Count the proof of a batch, whose COMMITs `voters` signed in `view`."""
        if self._place is not None and self._place[0] != epoch:
            self._votes = Rates()  # who left has nothing to vote on, and views begin at 0 again
        elif self._place is not None:
            self._views.note(b"", time_ms, view > self._place[1])
        self._place = (epoch, view)
        for member in members:
            self._votes.note(member, time_ms, member in voters)

    def list_anomalies(self, balances: Mapping[bytes, int]) -> list[Anomaly]:
        """What is unusual now, in a fixed order. `balances`: what each account owns in all."""
        found = [*self._list_rates(), *self._list_times(), *self._list_prices()]
        found += self._list_drains(balances)
        return sorted(found, key=lambda each: (each.kind, each.subject, each.about or b""))

    # --- counting ----------------------------------------------------------------------------

    def _count(self, task: _Task, fact: Fact, time_ms: int) -> None:
        match fact:
            case AuctionOpened():
                task.sealed.clear()
                task.opened.clear()
                task.executor, task.outputs = b"", None
            case BidCommitted() if fact.commitment is not None:
                task.sealed.add(fact.bidder)
            case BidRevealed():
                task.opened.add(fact.bidder)
            case Awarded():
                self._count_bids(task, time_ms)
                task.executor, task.awarded_ms, task.outputs = fact.winner, time_ms, {}
                prices = self._prices.get(task.capability) or deque(maxlen=PAST_MAX)
                prices.append((time_ms, fact.price))
                put_newest(self._prices, task.capability, prices, SUBJECTS_MAX)
            case Unsold():
                self._count_bids(task, time_ms)
            case WorkCommitted() if fact.party == task.executor:
                key = (task.capability, task.executor)
                times = self._times.get(key) or deque(maxlen=PAST_MAX)
                times.append((time_ms, time_ms - task.awarded_ms))
                put_newest(self._times, key, times, SUBJECTS_MAX)
            case WorkRevealed() if task.outputs is not None:
                task.outputs[fact.party] = fact.output
            case Accepted() if task.outputs is not None:
                self._count_verdicts(task, time_ms)
            case Settled():
                is_failure = fact.grade in ("poor", "byzantine")
                self._failures.note(fact.executor, time_ms, is_failure)

    def _count_bids(self, task: _Task, time_ms: int) -> None:
        for bidder in sorted(task.sealed):
            self._withheld.note(bidder, time_ms, bidder not in task.opened)
        task.sealed.clear()

    def _count_verdicts(self, task: _Task, time_ms: int) -> None:
        """Who verified, and whether its output was another than the executor's."""
        outputs = task.outputs or {}
        said = outputs.get(task.executor)
        for party, output in sorted(outputs.items()):
            if party != task.executor and said is not None:
                self._verdicts.note(party, time_ms, output != said)

    def _count_moves(self, fact: Fact, time_ms: int) -> None:
        for move in fact.moves:
            if move.source == move.target:
                continue
            gains = ((move.source, -move.amount), (move.target, move.amount))
            for account, gain in gains:
                if account == COMMON or is_transit_account(account):
                    continue
                net = self._net.get(account, 0) + gain
                most = self._most.get(account, (0, time_ms))
                put_newest(self._net, account, net, ACCOUNTS_MAX)
                most = (net, time_ms) if net >= most[0] else most
                put_newest(self._most, account, most, ACCOUNTS_MAX)

    # --- telling -----------------------------------------------------------------------------

    def _list_rates(self) -> Iterator[Anomaly]:
        high: tuple[tuple[Kind, Rates, int, int], ...] = (
            ("fails_often", self._failures, AGREEMENTS_MIN, FAIL_FLOOR_PPM),
            ("withholds_bids", self._withheld, BIDS_MIN, WITHHOLD_FLOOR_PPM),
            ("pays_little", self._answers, ANSWERS_MIN, PAYS_LITTLE_FLOOR_PPM),
            ("view_changes", self._views, PROOFS_MIN, VIEW_FLOOR_PPM),
        )
        for kind, rates, trials_min, floor_ppm in high:
            for found in rates.find_high(trials_min=trials_min, floor_ppm=floor_ppm):
                yield _make(kind, found, is_high=True)
        for found in self._verdicts.find_low(trials_min=VERDICTS_MIN):
            if found.hits == 0:
                yield _make("never_disagrees", found, is_high=False)
        for found in self._votes.find_low(trials_min=PROOFS_MIN, share_ppm=VOTES_SHARE_PPM):
            yield _make("seldom_votes", found, is_high=False)

    def _list_times(self) -> Iterator[Anomaly]:
        by_capability: dict[bytes, dict[bytes, int]] = {}
        for (capability, executor), times in self._times.items():
            newest = [took_ms for _, took_ms in times][-NEWEST:]
            if len(newest) == NEWEST:
                by_capability.setdefault(capability, {})[executor] = compute_median(newest)
            past = [took_ms for _, took_ms in times][:-NEWEST]
            if len(past) >= PAST_MIN:
                high = find_high(past, slack=SLOW_SLACK_MS, slack_ppm=PPM)
                yield from self._compare_time("slower_than_before", capability, executor, high)
        for capability, medians in by_capability.items():
            for executor in medians:
                others = [each for key, each in medians.items() if key != executor]
                if len(others) >= 2:
                    high = find_high(others, slack=SLOW_SLACK_MS, slack_ppm=PPM)
                    yield from self._compare_time("slower_than_others", capability, executor, high)

    def _compare_time(
        self, kind: Kind, capability: bytes, executor: bytes, high: int
    ) -> Iterator[Anomaly]:
        newest = list(self._times[capability, executor])[-NEWEST:]
        observed = compute_median([took_ms for _, took_ms in newest])
        if observed > high:
            since_ms = next(at_ms for at_ms, took_ms in newest if took_ms > high)
            count = len(newest)
            yield Anomaly(kind, executor, capability, "ms", observed, None, high, count, since_ms)

    def _list_prices(self) -> Iterator[Anomaly]:
        for capability, points in self._prices.items():
            prices = [price for _, price in points]
            past, newest = prices[:-NEWEST], prices[-NEWEST:]
            if len(past) < PAST_MIN:
                continue
            high = find_high(past, slack=1, slack_ppm=PRICE_SLACK_PPM)
            low = max(0, find_low(past, slack=1, slack_ppm=PRICE_SLACK_PPM))
            observed = compute_median(newest)
            if not low <= observed <= high:
                times = [at_ms for at_ms, price in points if not low <= price <= high]
                found = (observed, low, high, len(newest), times[0])
                yield Anomaly("price_jump", b"", capability, "credits", *found)

    def _list_drains(self, balances: Mapping[bytes, int]) -> Iterator[Anomaly]:
        for account, (most, at_ms) in self._most.items():
            owned = balances.get(account, 0)
            peak = owned + most - self._net[account]
            low = peak * DRAINED_PPM // PPM
            if peak >= DRAIN_MIN and owned < low:
                yield Anomaly("drains", account, None, "credits", owned, low, None, 1, at_ms)


def count_owned(balances: Iterable[tuple[bytes, str, int]]) -> dict[bytes, int]:
    """What each account owns in all its buckets, from a stake view's balances."""
    owned: dict[bytes, int] = {}
    for account, bucket, amount in balances:
        if bucket in OWNED_BUCKETS and not is_transit_account(account):
            owned[account] = owned.get(account, 0) + amount
    return owned


def _make(kind: Kind, found: Unusual, *, is_high: bool) -> Anomaly:
    observed = found.hits * PPM // found.trials
    low, high = (None, found.usual_ppm) if is_high else (found.usual_ppm, None)
    bounds = (observed, low, high, found.trials, found.since_ms)
    return Anomaly(kind, found.subject, None, "ppm", *bounds)

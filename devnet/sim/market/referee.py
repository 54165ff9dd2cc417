"""Judges a market after each batch: A1 to A5 and C1 to C5 of the rules, by code of its own."""

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from crdt.facts import (
    AuctionOpened,
    Awarded,
    BidRevealed,
    BidsClosed,
    Fact,
    Paused,
    Slashed,
    Undecided,
    Unsold,
)
from devnet.sim.market.fold import (
    Breach,
    LogFold,
    Round,
    compute_weight,
    digest_of,
)
from devnet.sim.market.halts import Halts
from devnet.sim.market.leaders import SKEW_MS, Waiting
from devnet.sim.market.results import Results
from devnet.sim.market.sales import Sales
from devnet.sim.market.terms import Terms
from identity import cbor
from protocols.economy.operations import CommitBids, CommitWork, RevealBids, RevealWork
from protocols.economy.state import EconomyState, OrderedOperation

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld

VIOLATIONS_MAX = 20
RELOAD_POSITIONS = 16
"""The state is dumped and loaded anew at each position that this divides."""


class Referee(Results):
    """`hear` is told of every operation of an honest party, `check_batch` of each batch."""

    def __init__(self, world: "MarketWorld") -> None:
        super().__init__(world, LogFold())
        self.sales = Sales(world, self.fold)
        self.terms = Terms(world, self.fold, self.sales)
        self.halts = Halts(world, self.fold)
        self.violations: list[str] = []
        self._said: dict[tuple[str, bytes, int, bytes], int] = {}
        """When honest members held an honest party's word: (kind, task, round, party)."""
        self._nonces: dict[bytes, int] = {}
        self._openings: dict[tuple[str, bytes, int, bytes], list[tuple[int, bytes]]] = {}
        for fact in world.log:
            self.fold.apply(fact)

    def report(self, invariant: str, detail: str) -> None:
        if len(self.violations) < VIOLATIONS_MAX:
            place = f"position {self.world.state.position}"
            self.violations.append(f"{invariant}: {detail} ({place})")

    def hear(self, waiting: Waiting) -> None:
        """An honest party has submitted this."""
        assert waiting.heard_ms is not None
        for part in (self.sales, self.terms):
            part.hear(waiting.signer, waiting.operation.body, waiting.heard_ms)
        for kind, task, round_ in list_words(waiting.operation.body):
            self._said.setdefault((kind, task, round_, waiting.signer), waiting.heard_ms)

    def check_batch(
        self, digest: bytes, operations: Sequence[OrderedOperation], facts: Sequence[Fact]
    ) -> None:
        """The facts of one batch, and the state after it."""
        paid = self._take_operations(operations)
        treasury = self.fold.balances[bytes(32), "treasury"]
        for fact in facts:
            try:
                self._check(fact, digest)
                self.fold.apply(fact)
            except Breach as breach:
                self.report(*breach.args)
            except (KeyError, ValueError) as error:
                self.report("A2 recomputed", f"{type(fact).__name__} without {error!r}")
        state, fold = self.world.state, self.fold
        fees = fold.balances[bytes(32), "treasury"] - treasury
        if fees != paid * state.parameters.operation_fee:
            self.report("C3 one debit a nonce", f"{fees} paid for {paid} operations")
        if dict(state.stake.balances()) != fold.list_balances() or fold.compute_total():
            self.report("C1 conserved", "the state's balances are not the log's")
        locked = sum(v for (_, bucket), v in fold.balances.items() if bucket == "locked")
        if locked != sum(fold.deposits.values()):
            self.report("A5 deposits end once", f"{locked} locked")
        if state.position % RELOAD_POSITIONS == 0:
            self._reload()

    def finish(self) -> None:
        """The world is over: nothing is left behind."""
        left = dict.fromkeys(("locked", "escrow"), 0)
        for (_, bucket), value in self.fold.balances.items():
            if bucket in left:
                left[bucket] += value
        try:
            self.halts.finish()
        except Breach as breach:
            self.report(*breach.args)
        if any(left.values()) or self.fold.deposits or self.fold.jobs or self.terms.open:
            self.report("L5 nothing stays stuck", f"{left}, {len(self.fold.jobs)} tasks")

    # --- operations --------------------------------------------------------------------------

    def _take_operations(self, operations: Sequence[OrderedOperation]) -> int:
        """How many of a batch count: those that are their account's next."""
        counted = 0
        for each in operations:
            nonce = self._nonces.get(each.signer, 0)
            if each.operation.nonce != nonce + 1:
                continue
            self._nonces[each.signer] = nonce + 1
            counted += 1
            body = each.operation.body
            self.sales.take_openings(each.signer, body)
            self.terms.take_openings(each.signer, body)
            if isinstance(body, RevealBids):
                for bid in body.bids:
                    key = ("bid", bid.task, bid.round, each.signer)
                    self._openings.setdefault(key, []).append((bid.price, bid.salt))
            else:
                self.take_openings(each.signer, body)
        return counted

    def _reload(self) -> None:
        """Go on with what another member would have fetched."""
        world, data = self.world, self.world.state.dump()
        loaded = EconomyState.load(
            data, world.genesis, world.committee, world.state._books.check_receipt
        )
        if loaded.dump() != data:
            self.report("S5 states agree", "a loaded state differs")
        world.state = loaded

    # --- facts -------------------------------------------------------------------------------

    def _check(self, fact: Fact, digest: bytes) -> None:
        self.halts.check(fact)
        match fact:
            case AuctionOpened():
                self._check_auction(fact)
            case BidRevealed():
                self._check_reveal(fact)
            case BidsClosed():
                if fact.seed != digest:
                    raise Breach("A2 recomputed", "a seed that is not of the closing batch")
                self._check_heard(fact.task, fact.round, "bid")
            case Awarded():
                self._check_heard(fact.task, fact.round, "reveal_bid")
                self._check_award(fact)
                self.start_lease(fact)
            case Unsold():
                self._check_unsold(fact)
            case Paused() | Slashed() | Undecided():
                self._check_honour(fact)
                self.check_work_fact(fact, digest)
            case _:
                self.check_work_fact(fact, digest)
                self.sales.check(fact, digest)
                self.terms.check(fact)

    def _check_auction(self, fact: AuctionOpened) -> None:
        job = self.fold.jobs[fact.task]
        eligible = self.fold.list_eligible(self.world.state.parameters.bond_min, job.requester)
        if not set(fact.bidders) <= set(eligible):
            raise Breach("A2 recomputed", "somebody is invited who may not bid")
        for bidder, weight in zip(fact.bidders, fact.weights_ppm, strict=True):
            if weight != compute_weight(self.fold.scores.get(bidder, 0)):
                raise Breach("A2 recomputed", "a weight that is not the snapshot's")

    def _check_reveal(self, fact: BidRevealed) -> None:
        """A4, and that what was opened is what was sealed, by its own bidder."""
        round_ = self.get_round(fact.task, fact.round)
        if round_.seed is None:
            raise Breach("A4 no reveal before the close", fact.bidder.hex()[:8])
        place = self.world.committee
        for price, salt in self._openings.get(("bid", fact.task, fact.round, fact.bidder), ()):
            who = [fact.task, fact.round, fact.bidder]
            content = ["econode/bid", place.network, place.id, *who, price, salt]
            seal = hashlib.sha256(cbor.encode(content)).digest()
            if price == fact.price and seal == round_.sealed.get(fact.bidder):
                return
        raise Breach("A3 committed before the close", f"{fact.bidder.hex()[:8]} opens another bid")

    def _check_heard(self, task: bytes, number: int, kind: str) -> None:
        """A1: what every honest member held in time is there now."""
        round_ = self.get_round(task, number)
        is_seal = kind == "bid"
        deadline_ms = round_.commit_deadline_ms if is_seal else round_.reveal_deadline_ms
        there = round_.sealed if is_seal else round_.opened
        for bidder in round_.weights:
            heard_ms = self._said.get((kind, task, number, bidder))
            if heard_ms is None or deadline_ms is None or bidder in there:
                continue
            if heard_ms <= deadline_ms - SKEW_MS:
                name = self.world.by_key[bidder].name
                raise Breach("A1 timely words count", f"{kind} of {name} is missing")

    def _check_award(self, fact: Awarded) -> None:
        """A2, A3: winner and price by trying prices instead of by the formula."""
        round_, job = self.get_round(fact.task, fact.round), self.fold.jobs[fact.task]
        if round_.sealed.get(fact.winner) is None or round_.seed is None:
            raise Breach("A3 committed before the close", fact.winner.hex()[:8])
        cap = self.world.state.parameters.awards_active_max
        bids = {
            bidder: price
            for bidder, price in round_.opened.items()
            if price <= job.budget
            and bidder not in self.fold.paused
            and self.fold.active[bidder] < cap
        }
        winner = find_winner(bids, round_, fact.task)
        if winner != fact.winner or fact.bid != bids[winner]:
            raise Breach("A2 recomputed", f"{fact.winner.hex()[:8]} wins")
        price = find_price(bids, round_, fact.task, winner, job.budget)
        if price != fact.price or price < fact.bid:
            raise Breach("A2 recomputed", f"paid {fact.price}, {price} is right")
        if job.requester == fact.winner:
            raise Breach("A2 recomputed", "the requester wins its own auction")
        self._check_deposits(fact, round_, fact.winner)

    def _check_unsold(self, fact: Unsold) -> None:
        round_ = self.get_round(fact.task, fact.round)
        if round_.executor is not None:
            return
        self._check_heard(fact.task, fact.round, "bid" if round_.seed is None else "reveal_bid")
        self._check_deposits(fact, round_, None)

    def _check_deposits(self, fact: Awarded | Unsold, round_: Round, winner: bytes | None) -> None:
        """Who opened its bid has its deposit back; who did not has lost it."""
        for move in fact.moves:
            if move.source_bucket != "locked":
                continue
            has_opened = move.source in round_.opened
            due = move.source if has_opened else bytes(32)
            if move.source == winner or move.target != due:
                raise Breach("A5 deposits end once", f"{move.source.hex()[:8]} to a wrong place")

    def _check_honour(self, fact: Paused | Slashed | Undecided) -> None:
        """Nobody honest is slashed, or proven late: honest parties always speak in time."""
        match fact:
            case Undecided() if self.fold.jobs[fact.task].mode != "exact":
                return
            case Slashed(offender=key):
                invariant = "C5 nobody honest is slashed"
            case Paused(agent=key):
                invariant = "A1 timely words count"
            case Undecided(executor=key):
                invariant = "V2 honest work is accepted"
        party = self.world.by_key[key]
        if party.is_honest:
            raise Breach(invariant, f"{type(fact).__name__} {party.name}")


def list_words(body: object) -> list[tuple[str, bytes, int]]:
    """What an operation says of which rounds: a seal, an opening, a result."""
    match body:
        case CommitBids(bids):
            return [("bid", b.task, b.round) for b in bids if b.commitment is not None]
        case RevealBids(bids):
            return [("reveal_bid", b.task, b.round) for b in bids]
        case CommitWork(works):
            return [("work", w.task, w.round) for w in works if w.commitment is not None]
        case RevealWork(works):
            return [("reveal_work", w.task, w.round) for w in works]
    return []


def find_winner(bids: dict[bytes, int], round_: Round, task: bytes) -> bytes:
    """Least price by weight; the smaller digest wins a tie. Raises ValueError without bids."""
    return min(bids, key=lambda bidder: _rank(bidder, bids[bidder], round_, task))


def find_price(
    bids: dict[bytes, int], round_: Round, task: bytes, winner: bytes, budget: int
) -> int:
    """The highest price within the budget with which the winner still wins, by bisection."""
    low, high = bids[winner], budget
    while low < high:
        middle = (low + high + 1) // 2
        if find_winner({**bids, winner: middle}, round_, task) == winner:
            low = middle
        else:
            high = middle - 1
    return low


def _rank(bidder: bytes, price: int, round_: Round, task: bytes) -> tuple[Fraction, bytes]:
    assert round_.seed is not None
    return Fraction(price, round_.weights[bidder]), digest_of(round_.seed, task, bidder)

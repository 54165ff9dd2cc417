"""Judges a market after each batch: A1 to A5 and C1 to C5 of the rules, by code of its own."""

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from crdt.facts import (
    Accepted,
    AuctionOpened,
    Awarded,
    BidCommitted,
    BidRevealed,
    BidsClosed,
    Fact,
    Paused,
    Settled,
    Slashed,
    TaskEnded,
    Undecided,
    Unsold,
    VerifiersDrawn,
    WorkCommitted,
    WorkRevealed,
)
from devnet.sim.market.fold import (
    MILLION,
    Breach,
    LogFold,
    Round,
    compute_weight,
    digest_of,
)
from devnet.sim.market.leaders import SKEW_MS, Waiting
from devnet.sim.market.party import make_output
from identity import cbor
from protocols.economy.operations import CommitBids, RevealBids, RevealWork, CommitWork
from protocols.economy.state import EconomyState, OrderedOperation

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld

VIOLATIONS_MAX = 20
RELOAD_POSITIONS = 16
"""The state is dumped and loaded anew at each position that this divides."""


class Referee:
    """`hear` is told of every operation of an honest party, `check_batch` of each batch."""

    def __init__(self, world: "MarketWorld") -> None:
        self.world = world
        self.fold = LogFold()
        self.violations: list[str] = []
        self._said: dict[tuple[str, bytes, int, bytes], int] = {}
        """When honest members held an honest party's word: (kind, task, round, party)."""
        self.accepted: set[bytes] = set()
        """Inputs whose result was found."""
        self._nonces: dict[bytes, int] = {}
        self._openings: dict[tuple[str, bytes, int, bytes], Any] = {}
        self._work: dict[tuple[bytes, int], dict[bytes, bytes]] = {}
        self._shown: dict[tuple[bytes, int], dict[bytes, tuple[bytes, int]]] = {}
        for fact in world.log:
            self.fold.apply(fact)

    def report(self, invariant: str, detail: str) -> None:
        if len(self.violations) < VIOLATIONS_MAX:
            place = f"position {self.world.state.position}"
            self.violations.append(f"{invariant}: {detail} ({place})")

    def hear(self, waiting: Waiting) -> None:
        """An honest party has submitted this."""
        assert waiting.heard_ms is not None
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
        left = {b: 0 for b in ("locked", "escrow")}
        for (_, bucket), value in self.fold.balances.items():
            if bucket in left:
                left[bucket] += value
        if any(left.values()) or self.fold.deposits or self.fold.jobs:
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
            if isinstance(body, RevealBids):
                for bid in body.bids:
                    key = ("bid", bid.task, bid.round, each.signer)
                    self._openings.setdefault(key, []).append((bid.price, bid.salt))
            elif isinstance(body, RevealWork):
                for work in body.works:
                    key = ("work", work.task, work.round, each.signer)
                    self._openings.setdefault(key, []).append(
                        (work.output, work.output_bytes, work.salt)
                    )
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
            case Unsold():
                self._check_unsold(fact)
            case VerifiersDrawn():
                self._check_draw(fact, digest)
            case WorkCommitted():
                place = self._work.setdefault((fact.task, fact.round), {})
                place[fact.party] = fact.commitment
            case WorkRevealed():
                self._check_work(fact)
            case Accepted():
                self._check_result(fact)
            case Settled():
                self._check_grade(fact)
            case TaskEnded() if fact.outcome == "settled":
                self._check_fees(fact)
            case Paused() | Slashed() | Undecided():
                self._check_honour(fact)

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
        round_ = self._get_round(fact.task, fact.round)
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
        round_ = self._get_round(task, number)
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
        round_, job = self._get_round(fact.task, fact.round), self.fold.jobs[fact.task]
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
        round_ = self._get_round(fact.task, fact.round)
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
            if move.source == winner or (move.target == move.source) != has_opened:
                raise Breach("A5 deposits end once", f"{move.source.hex()[:8]} to a wrong place")

    def _check_draw(self, fact: VerifiersDrawn, digest: bytes) -> None:
        """A2 of the draw: those members whose digest under the batch's is least."""
        job, rules, place = self.fold.jobs[fact.task], self.world.state.parameters, (
            self.world.state.committee
        )
        round_ = self._get_round(fact.task, fact.round)
        if fact.seed != digest or fact.task not in {task for task, _ in self._work}:
            raise Breach("A2 recomputed", "verifiers drawn by another seed, or too early")
        pool = [
            key
            for key in self.fold.list_eligible(rules.bond_min, job.requester)
            if key in place.members and key not in (round_.executor, *round_.verifiers)
        ]
        subject = fact.task + fact.round.to_bytes(2, "big")
        pool.sort(key=lambda key: (key in self.fold.paused, digest_of(digest, subject, key)))
        if not set(fact.verifiers) <= set(pool) or (
            sorted(pool[: len(fact.verifiers)]) != sorted(fact.verifiers)
        ):
            raise Breach("A2 recomputed", "other verifiers are drawn")
        needed = max(2, place.f + 1) - (round_.executor in place.members)
        if not fact.escalated and len(fact.verifiers) < min(needed, len(pool)):
            raise Breach("A2 recomputed", "too few verifiers are drawn")
        round_.verifiers += fact.verifiers

    def _check_work(self, fact: WorkRevealed) -> None:
        """What is opened is what was sealed, with the party's own key inside."""
        place, seals = self.world.committee, self._work.get((fact.task, fact.round), {})
        shown = self._shown.setdefault((fact.task, fact.round), {})
        for output, size, salt in self._openings.get(
            ("work", fact.task, fact.round, fact.party), ()
        ):
            who = [fact.task, fact.round, fact.party]
            content = ["econode/work", place.network, place.id, *who, output, size, salt]
            seal = hashlib.sha256(cbor.encode(content)).digest()
            if output == fact.output and seal == seals.get(fact.party):
                shown[fact.party] = (fact.output, fact.output_bytes)
                return
        raise Breach("A4 sealed before opened", f"{fact.party.hex()[:8]} opens another result")

    def _check_result(self, fact: Accepted) -> None:
        place, job = self.world.state.committee, self.fold.jobs[fact.task]
        shown = self._shown.get((fact.task, fact.round), {})
        result = (fact.output, fact.output_bytes)
        holders = {key for key, each in shown.items() if each == result and key in place.members}
        if not set(fact.holders) <= holders or len(set(fact.holders)) < max(2, place.f + 1):
            raise Breach("A2 recomputed", "a result that too few opened")
        right = make_output(job.input)
        if result != (right.digest, right.size_bytes):
            raise Breach("V1 the result is right", "a lie was accepted")
        self.accepted.add(job.input)

    def _check_grade(self, fact: Settled) -> None:
        round_, job = self._get_round(fact.task, fact.round), self.fold.jobs[fact.task]
        party = self.world.by_key[fact.executor]
        if party.is_honest and fact.grade in ("poor", "byzantine"):
            raise Breach("A1 timely words count", f"honest {party.name} is graded {fact.grade}")
        if fact.executor != round_.executor:
            raise Breach("A2 recomputed", "another executor is graded")
        bonus = self.world.state.parameters.bonus_ppm
        due = {
            "excellent": round_.price + round_.price * bonus // MILLION,
            "satisfactory": round_.price,
        }.get(fact.grade, 0)
        paid = sum(m.amount for m in fact.moves if m.source_bucket == "escrow")
        if paid != due or due > job.escrow:
            raise Breach("A2 recomputed", f"{fact.grade} is paid {paid} instead of {due}")

    def _check_fees(self, fact: TaskEnded) -> None:
        job = self.fold.jobs[fact.task]
        fee = job.budget * self.world.state.parameters.verifier_fee_ppm // MILLION
        shown = self._shown.get((fact.task, job.round.number), {})
        right = make_output(job.input).digest
        paid = {m.target: m.amount for m in fact.moves if m.target != job.requester}
        due = {
            key: fee
            for key, (output, _) in shown.items()
            if key in job.round.verifiers
            and output == right
            and key in self.world.state.committee.members
        }
        if any(amount != fee or key not in job.round.verifiers for key, amount in paid.items()):
            raise Breach("A2 recomputed", "a verifier is paid otherwise")
        honest = {key for key in due if self.world.by_key[key].is_honest}
        if not honest <= set(paid):
            raise Breach("A2 recomputed", "an honest verifier is not paid")

    def _check_honour(self, fact: Paused | Slashed | Undecided) -> None:
        """Nobody honest is slashed, or proven late: honest parties always speak in time."""
        match fact:
            case Slashed(offender=key):
                invariant = "C5 nobody honest is slashed"
            case Paused(agent=key):
                invariant = "A1 timely words count"
            case Undecided(executor=key):
                invariant = "V2 honest work is accepted"
        party = self.world.by_key[key]
        if party.is_honest:
            raise Breach(invariant, f"{type(fact).__name__} {party.name}")

    def _get_round(self, task: bytes, number: int) -> Round:
        round_ = self.fold.jobs[task].round
        if round_.number != number:
            raise Breach("A2 recomputed", f"a fact of round {number} in {round_.number}")
        return round_


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

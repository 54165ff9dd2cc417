"""An account of a committee's log by other code than the product's: balances, agents, scores.

It reads facts and nothing else, as anybody can who holds the log. What it knows is what the
referee recomputes results from.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from crdt.facts import (
    COMMON,
    AgreementCancelled,
    AuctionOpened,
    Awarded,
    BidCommitted,
    BidRevealed,
    BidsClosed,
    EpochBegan,
    Fact,
    Minted,
    Move,
    Offered,
    Paused,
    Settled,
    Slashed,
    Snapshot,
    TaskEnded,
    TaskOpened,
    TermBegan,
    Unbonded,
    UnbondingBegan,
    Undecided,
    Unsold,
)
from crdt.facts_auctions import (
    AuctionBegan,
    AuctionBidCommitted,
    AuctionEnded,
    BidPlaced,
    DeliveryEnded,
)

MILLION = 1_000_000
PLACES = ("task", "auction", "variable")
"""Fields that name what a deposit belongs to."""
LOCKING = (BidCommitted, AuctionBegan, AuctionBidCommitted, BidPlaced, AuctionEnded, TermBegan)
"""Facts that lock deposits; a dutch auction locks the winner's in the fact that ends it."""
PARTLY = (AuctionEnded, DeliveryEnded)
"""Facts that end parts of a seller's deposit, one for each award. `Sales` knows how much."""


class Breach(Exception):
    """An invariant that does not hold: its name, and what was seen."""


@dataclass
class Round:
    """What the log says of a task's present round."""

    number: int = 0
    weights: dict[bytes, int] = field(default_factory=dict)
    commit_deadline_ms: int = 0
    reveal_deadline_ms: int | None = None
    sealed: dict[bytes, bytes | None] = field(default_factory=dict)
    opened: dict[bytes, int] = field(default_factory=dict)
    seed: bytes | None = None
    executor: bytes | None = None
    price: int = 0
    awarded_ms: int = 0
    lease_deadline_ms: int = 0
    verifiers: tuple[bytes, ...] = ()


@dataclass
class Job:
    """A task under way, by the log."""

    id: bytes
    requester: bytes
    budget: int
    input: bytes
    deadline_ms: int
    escrow: int
    mode: str = "exact"
    capability: bytes = b""
    audit_ppm: int = MILLION
    round: Round = field(default_factory=Round)
    past: set[int] = field(default_factory=set)


class LogFold:
    """Feed it every fact in order. Raises Breach where the log contradicts itself."""

    def __init__(self) -> None:
        self.balances: defaultdict[tuple[bytes, str], int] = defaultdict(int)
        self.members: tuple[bytes, ...] = ()
        self.offering: dict[bytes, bool] = {}
        self.paused: set[bytes] = set()
        self.banned: set[bytes] = set()
        self.leaving: defaultdict[bytes, int] = defaultdict(int)
        self.active: defaultdict[bytes, int] = defaultdict(int)
        self.jobs: dict[bytes, Job] = {}
        self.inputs: dict[bytes, bytes] = {}
        self.ended: dict[bytes, str] = {}
        self.scores: dict[bytes, int] = {}
        self.deposits: dict[tuple[bytes, bytes], int] = {}
        """What each account has at stake in each task."""
        self.offences: set[bytes] = set()
        self.graded: set[tuple[bytes, int]] = set()

    # --- credits -----------------------------------------------------------------------------

    def apply(self, fact: Fact) -> None:
        self._move(fact)
        handler = getattr(self, f"_on_{type(fact).__name__.lower()}", None)
        self._end_deposits(fact)
        if handler is not None:
            handler(fact)

    def _move(self, fact: Fact) -> None:
        for move in fact.moves:
            if move.amount < 0 or (move.source_bucket == "minted") != isinstance(fact, Minted):
                raise Breach("C1 conserved", f"{type(fact).__name__} moves {move}")
            source = (move.source, move.source_bucket)
            if move.source_bucket == "minted":
                self.balances[source] += move.amount
            else:
                self.balances[source] -= move.amount
                if self.balances[source] < 0:
                    raise Breach("C2 nothing negative", f"{source[0].hex()[:8]} {source[1]}")
            self.balances[move.target, move.target_bucket] += move.amount
            is_burnt_bond = move.source_bucket == "bonded" and move.target == COMMON
            if is_burnt_bond and not isinstance(fact, Slashed):
                raise Breach("C5 bonds burn for offences alone", type(fact).__name__)

    def list_balances(self) -> dict[tuple[bytes, str], int]:
        return {key: value for key, value in self.balances.items() if value}

    def compute_total(self) -> int:
        """Everything there is, less everything that was ever created: zero."""
        sums: defaultdict[str, int] = defaultdict(int)
        for (_, bucket), value in self.balances.items():
            sums[bucket] += value
        return sum(sums.values()) - 2 * sums["minted"]

    def compute_wealth(self, account: bytes) -> int:
        buckets = ("free", "bonded", "locked", "escrow", "transit")
        return sum(self.balances[account, bucket] for bucket in buckets)

    # --- deposits: A5 ------------------------------------------------------------------------

    def _end_deposits(self, fact: Fact) -> None:
        """Each deposit enters once and leaves whole, in a fact of its own task."""
        came: defaultdict[bytes, int] = defaultdict(int)
        went: defaultdict[bytes, int] = defaultdict(int)
        for move in fact.moves:
            if move.target_bucket == "locked":
                came[move.target] += move.amount
            if move.source_bucket == "locked":
                went[move.source] += move.amount
        if came and not isinstance(fact, LOCKING):
            raise Breach("A5 deposits end once", f"{type(fact).__name__} locks")
        task: bytes = next(
            (getattr(fact, name) for name in PLACES if hasattr(fact, name)),
            b"",
        )
        for account, amount in came.items():
            if (task, account) in self.deposits:
                raise Breach("A5 deposits end once", "locked twice")
            self.deposits[task, account] = amount
        for account, amount in went.items():
            mine = [place for place in self.deposits if place[1] == account]
            if isinstance(fact, Slashed):
                places = [place for place in mine if self._is_bidding(place[0])]
            else:
                places = [place for place in mine if place[0] == task]
            if isinstance(fact, PARTLY) and self.deposits.get((task, account), 0) > amount:
                self.deposits[task, account] -= amount
                continue
            held = sum(self.deposits.pop(place) for place in places)
            if held != amount:
                raise Breach("A5 deposits end once", f"{amount} leave, {held} were locked")

    def _is_bidding(self, task: bytes) -> bool:
        return task in self.jobs and self.jobs[task].round.executor is None

    # --- agents and tasks --------------------------------------------------------------------

    def _on_minted(self, fact: Minted) -> None:
        if fact.founder:
            self.members += (fact.account,)
            self.scores[fact.account] = 4 * MILLION * MILLION // (5 * MILLION)

    def _on_epochbegan(self, fact: EpochBegan) -> None:
        self.members = fact.members

    @property
    def faults(self) -> int:
        """f of the members that order the present batch."""
        return (len(self.members) - 1) // 3

    def _on_offered(self, fact: Offered) -> None:
        self.offering[fact.agent] = bool(fact.capabilities)
        self.paused.discard(fact.agent)

    def _on_paused(self, fact: Paused) -> None:
        self.paused.add(fact.agent)

    def _on_unbondingbegan(self, fact: UnbondingBegan) -> None:
        self.leaving[fact.account] += fact.amount

    def _on_unbonded(self, fact: Unbonded) -> None:
        self.leaving[fact.account] -= fact.amount

    def _on_slashed(self, fact: Slashed) -> None:
        if fact.offence in self.offences:
            raise Breach("C4 one slash an offence", fact.offender.hex()[:8])
        self.offences.add(fact.offence)
        self.banned.add(fact.offender)
        self.leaving[fact.offender] = 0
        for job in self.jobs.values():
            if job.round.executor is None:
                job.round.opened.pop(fact.offender, None)
                job.round.sealed.pop(fact.offender, None)

    def _on_snapshot(self, fact: Snapshot) -> None:
        self.scores = {score.agent: score.score_ppm for score in fact.scores}

    def _on_taskopened(self, fact: TaskOpened) -> None:
        self.inputs[fact.task] = fact.input
        escrow = sum(m.amount for m in fact.moves if m.target_bucket == "escrow")
        self.jobs[fact.task] = Job(
            fact.task,
            fact.requester,
            fact.budget,
            fact.input,
            fact.deadline_ms,
            escrow,
            fact.verification,
            fact.capability,
            fact.terms.audit_ppm,
        )

    def _on_auctionopened(self, fact: AuctionOpened) -> None:
        job = self.jobs[fact.task]
        if fact.round in job.past or job.round.executor is not None:
            raise Breach("A2 recomputed", "a round that was there before")
        job.past.add(fact.round)
        weights = dict(zip(fact.bidders, fact.weights_ppm, strict=True))
        job.round = Round(fact.round, weights, fact.deadline_ms)

    def _on_bidcommitted(self, fact: BidCommitted) -> None:
        self.jobs[fact.task].round.sealed[fact.bidder] = fact.commitment

    def _on_bidsclosed(self, fact: BidsClosed) -> None:
        round_ = self.jobs[fact.task].round
        round_.seed, round_.reveal_deadline_ms = fact.seed, fact.deadline_ms

    def _on_bidrevealed(self, fact: BidRevealed) -> None:
        self.jobs[fact.task].round.opened[fact.bidder] = fact.price

    def _on_awarded(self, fact: Awarded) -> None:
        round_ = self.jobs[fact.task].round
        round_.executor, round_.price = fact.winner, fact.price
        round_.lease_deadline_ms = fact.deadline_ms
        self.active[fact.winner] += 1

    def _end_agreement(self, task: bytes, number: int) -> None:
        round_ = self.jobs[task].round
        if round_.executor is not None:
            self.active[round_.executor] -= 1
            round_.executor = None
        if (task, number) in self.graded:
            raise Breach("A5 one end of an agreement", f"round {number}")
        self.graded.add((task, number))

    def _on_settled(self, fact: Settled) -> None:
        self._pay(fact)
        self._end_agreement(fact.task, fact.round)

    def _on_agreementcancelled(self, fact: AgreementCancelled) -> None:
        self._pay(fact)
        self._end_agreement(fact.task, fact.round)

    def _on_undecided(self, fact: Undecided) -> None:
        self._end_agreement(fact.task, fact.round)

    def _on_unsold(self, fact: Unsold) -> None:
        self._end_agreement(fact.task, fact.round)

    def _on_taskended(self, fact: TaskEnded) -> None:
        self._pay(fact)
        job = self.jobs.pop(fact.task)
        if job.escrow:
            raise Breach("A5 escrow ends once", f"{job.escrow} of a task stay")
        if fact.task in self.ended:
            raise Breach("A5 escrow ends once", "a task ends twice")
        self.ended[fact.task] = fact.outcome

    def _pay(self, fact: Settled | TaskEnded | AgreementCancelled) -> None:
        job = self.jobs[fact.task]
        for move in fact.moves:
            if move.source_bucket == "escrow":
                if move.source != job.requester:
                    raise Breach("A5 escrow ends once", "somebody else's escrow")
                job.escrow -= move.amount

    def list_eligible(self, bond_min: int, requester: bytes) -> list[bytes]:
        """Agents that may work for the requester, ascending."""
        return [
            key
            for key, offers in sorted(self.offering.items())
            if offers
            and key != requester
            and key not in self.banned
            and self.balances[key, "bonded"] - self.leaving[key] >= bond_min
        ]


def compute_weight(score_ppm: int) -> int:
    return 950_000 + score_ppm * 50_000 // MILLION


def list_flows(moves: Iterable[Move]) -> dict[tuple[bytes, str], int]:
    """What each account's buckets have more or less by these moves, beside fees."""
    flows: Counter[tuple[bytes, str]] = Counter()
    for move in moves:
        if move.target_bucket != "treasury":
            flows[move.source, move.source_bucket] -= move.amount
            flows[move.target, move.target_bucket] += move.amount
    return {place: amount for place, amount in flows.items() if amount}


def digest_of(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def fold(facts: Iterable[Any]) -> LogFold:
    """The fold of a whole log."""
    made = LogFold()
    for fact in facts:
        made.apply(fact)
    return made

"""A committee's economy with hundreds of agents, driven by the product's own agents and state.

Every score, fee, deposit, draw and payment comes from `EconomyState`; nothing here computes any.
What is made up is who wants what: costs, failures, and which task is whose. All of it follows
from the seed.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

from crdt.facts import BidRevealed, BidsClosed, Fact, OfferedCapability, Settled
from crdt.facts_auctions import BundleBid
from devnet.experiments.baselines import Rating
from identity import envelope, keys, schema
from protocols.agents.plan import Failure, Output, Planner
from protocols.agents.strategies import PASS, Chance, Cost, Decision, View
from protocols.economy.model import TaskView
from protocols.economy.operations import (
    ITEMS_MAX,
    RECEIPT_KIND,
    STATEMENT_EPOCH,
    AnyBody,
    Bond,
    Offer,
    OpenTasks,
    Operation,
    Receipt,
    TaskSpec,
)
from protocols.economy.receipts import check_receipt
from protocols.economy.state import EconomyState, OrderedOperation
from protocols.genesis import (
    Allotment,
    Genesis,
    Member,
    Parameters,
)

CREATED_MS = 1_700_000_000_000
BATCH_MS = 100
BATCHES_MAX = 2_000
"""Batches that one phase may take; then something never ends."""
FREE = 10_000_000
DURATION_MS = 3_600_000
INPUT = hashlib.sha256(b"input").digest()
OUTPUT = Output(hashlib.sha256(b"output").digest(), 6)
CAPABILITIES = tuple(
    OfferedCapability(hashlib.sha256(b"capability %d" % i).digest(), f"work{i}", "1")
    for i in range(20)
)
VALUES = {"excellent": 1.0, "satisfactory": 0.5, "poor": 0.0, "byzantine": 0.0}
"""What a grade is worth as a rating."""


@dataclass(frozen=True, slots=True)
class Auction:
    """The opened bids of one round; with weights, its result follows."""

    task: bytes
    seed: bytes
    prices: dict[bytes, int]


@dataclass(slots=True)
class Phase:
    """What happened in one phase: ratings and auctions in order, and every fact."""

    facts: list[Fact] = field(default_factory=list)
    ratings: list[Rating] = field(default_factory=list)
    auctions: list[Auction] = field(default_factory=list)
    winners: list[bytes] = field(default_factory=list)
    """Executors of settled agreements, in that order."""


Price = Callable[[TaskView, bytes], int | None]
"""What an agent asks for a task; None to pass."""
Fails = Callable[[TaskView, bytes], bool]
"""Whether an agent's run of a task fails."""


def make_key(name: str) -> bytes:
    """A public key that can own credits, by its name."""
    return _make_private(name).public


@lru_cache(maxsize=4_096)
def _make_private(name: str) -> keys.PrivateKey:
    return keys.PrivateKey(hashlib.sha256(f"collusion/{name}".encode()).digest())


def draw(seed: int, *parts: bytes) -> float:
    """A number from 0 to 1 that depends on the seed and these parts alone."""
    digest = hashlib.sha256(seed.to_bytes(8) + b"".join(parts)).digest()
    return int.from_bytes(digest[:8]) / 2**64


class _Told:
    """A strategy (`protocols.agents.strategies`): what the population's present rule says."""

    def __init__(self, population: "Population", key: bytes) -> None:
        self._population, self._key = population, key

    def decide(self, view: View, rng: Chance) -> Decision:
        task = self._population.state.get_task(view.auction)
        price = self._population.choose_price(task, self._key) if task else None
        if price is None or price > view.worth[0].limit:
            return PASS
        return Decision((BundleBid(view.worth[0].lots, price),))


class Population:
    """Founders that verify, and agents that bid. `add` lets further agents join later."""

    def __init__(
        self, seed: int, founders: int, accounts: Sequence[str], snapshot_ms_min: int
    ) -> None:
        """`accounts` are the names of those, beside the founders, that begin with credits."""
        self.seed = seed
        self.random = random.Random(seed)
        self.founders = [make_key(f"founder {i}") for i in range(founders)]
        genesis = Genesis(
            name="collusion",
            created_ms=CREATED_MS,
            members=tuple(
                Member(keys.compute_peer_id(key), "/ip4/127.0.0.1/tcp/1", FREE, FREE)
                for key in self.founders
            ),
            accounts=tuple(
                Allotment(keys.compute_peer_id(make_key(name)), FREE) for name in accounts
            ),
            parameters=Parameters(awards_active_max=64, snapshot_ms_min=snapshot_ms_min),
        )
        self.committee = genesis.make_committee()
        check = lru_cache(maxsize=256)(partial(check_receipt, self.committee))
        self.state = EconomyState(genesis, self.committee, check)
        self.facts: list[Fact] = list(self.state.genesis_facts())
        """Those of the genesis, of bonds and offers: what happened outside of phases."""
        self._agents: dict[bytes, Planner] = {}
        self._price: Price = lambda task, key: None
        self._fails: Fails = lambda task, key: False
        place = (self.committee.network, self.committee.id)
        context = envelope.Context(*place, STATEMENT_EPOCH, RECEIPT_KIND)
        held = schema.encode(Receipt((INPUT,)))
        self._receipts = tuple(
            envelope.sign(_make_private(f"founder {i}"), context, held).data
            for i in range(self.committee.f + 1)
        )
        self.run([(key, Offer(CAPABILITIES)) for key in self.founders])
        for key in self.founders:
            self._join(key)

    def choose_price(self, task: TaskView, key: bytes) -> int | None:
        """What an agent asks for a task in the present phase, None to pass."""
        return self._price(task, key)

    # --- accounts ----------------------------------------------------------------------------

    def add(self, offers: Mapping[bytes, tuple[int, Sequence[OfferedCapability]]]) -> None:
        """Let accounts bond so many credits and offer these capabilities."""
        self.bond({key: amount for key, (amount, _) in offers.items()})
        self.run([(key, Offer(tuple(offered))) for key, (_, offered) in offers.items()])
        for key in offers:
            self._join(key)

    def bond(self, amounts: Mapping[bytes, int]) -> None:
        self.run([(key, Bond(amount)) for key, amount in amounts.items()])

    def remove(self, agents: Iterable[bytes]) -> None:
        """Agents withdraw what they offer; their bonds stay where they are."""
        leaving = tuple(agents)
        self.run([(key, Offer(())) for key in leaving])
        for key in leaving:
            del self._agents[key]

    def _join(self, key: bytes) -> None:
        costs = {capability.id: Cost(1) for capability in CAPABILITIES}
        secret = hashlib.sha256(b"secret" + key).digest()
        self._agents[key] = Planner(self.committee, key, secret, _Told(self, key), costs)

    # --- time --------------------------------------------------------------------------------

    def open(self, wanted: Iterable[tuple[bytes, int]], budget: int) -> list[tuple[bytes, AnyBody]]:
        """The operations that open tasks: (requester, index of the capability) each."""
        specs: dict[bytes, list[TaskSpec]] = {}
        for requester, index in wanted:
            spec = TaskSpec(CAPABILITIES[index].id, INPUT, 5, budget, DURATION_MS)
            specs.setdefault(requester, []).append(spec)
        return [
            (requester, OpenTasks(tuple(mine[at : at + ITEMS_MAX]), self._receipts))
            for requester, mine in specs.items()
            for at in range(0, len(mine), ITEMS_MAX)
        ]

    def play(self, opened: Iterable[tuple[bytes, AnyBody]], price: Price, fails: Fails) -> Phase:
        """Execute operations and let all agents do their duties until no task is under way.

        Raises RuntimeError when that takes more than BATCHES_MAX batches.
        """
        self._price, self._fails = price, fails
        phase = Phase()
        self._note(phase, self.run(opened))
        for _ in range(BATCHES_MAX):
            if next(self.state.tasks(), None) is None:
                return phase
            pairs = self._plan()
            due_ms = 0 if pairs else self.state.next_deadline_ms() or 0
            self._note(phase, self.run(pairs, due_ms))
        raise RuntimeError("tasks that never end")

    def wait(self, until_ms: int) -> tuple[Fact, ...]:
        """Let the agreed time come to `until_ms`, with an empty batch."""
        return self.run((), until_ms)

    def run(self, pairs: Iterable[tuple[bytes, AnyBody]], time_ms: int = 0) -> tuple[Fact, ...]:
        """Order one batch of these operations, each account's in the order given, BATCH_MS after
        the last or at `time_ms`, if that is later."""
        ahead: dict[bytes, int] = {}
        ordered = []
        for signer, body in pairs:
            nonce = self.state.next_nonce(signer) + ahead.get(signer, 0)
            ahead[signer] = ahead.get(signer, 0) + 1
            digest = hashlib.sha256(signer + nonce.to_bytes(8)).digest()
            ordered.append(OrderedOperation(digest, signer, Operation(nonce, body)))
        position = self.state.position + 1
        time_ms = max(time_ms, self.state.time_ms + BATCH_MS)
        seed = hashlib.sha256(b"%d/%d" % (self.seed, position)).digest()
        return self.state.execute(position, time_ms, seed, ordered)

    def _plan(self) -> list[tuple[bytes, AnyBody]]:
        pairs: list[tuple[bytes, AnyBody]] = []
        for key, planner in self._agents.items():
            duties = self.state.duties(key)
            if duties:
                works = {duty.task for duty in duties if duty.kind in ("work", "reveal_work")}
                outcomes = {task: self._work(task, key) for task in works}
                bodies = planner.plan_operations(self.state, outcomes)
                pairs += [(key, body) for body in bodies]
        return pairs

    def _work(self, id_: bytes, key: bytes) -> Output | Failure:
        task = self.state.get_task(id_)
        return OUTPUT if task is None or not self._fails(task, key) else Failure("crashed")

    def _note(self, phase: Phase, facts: Sequence[Fact]) -> None:
        phase.facts += facts
        for fact in facts:
            if isinstance(fact, BidsClosed):
                phase.auctions.append(Auction(fact.task, fact.seed, {}))
            elif isinstance(fact, BidRevealed):
                _find(phase.auctions, fact.task).prices[fact.bidder] = fact.price
            elif isinstance(fact, Settled):
                phase.ratings.append(Rating(fact.rater, fact.executor, VALUES[fact.grade]))
                phase.winners.append(fact.executor)


def count_spent(facts: Iterable[Fact], payers: frozenset[bytes]) -> int:
    """Credits that left a group of accounts, less what came in."""
    spent = 0
    for move in (move for fact in facts for move in fact.moves):
        spent += move.amount * ((move.source in payers) - (move.target in payers))
    return spent


def _find(auctions: Sequence[Auction], task: bytes) -> Auction:
    return next(auction for auction in reversed(auctions) if auction.task == task)

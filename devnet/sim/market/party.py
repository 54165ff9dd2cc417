"""An honest party of the market: the product's planner, runs that cost something, and errands."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from crdt.facts import OfferedCapability, Verification
from crdt.facts_auctions import Direction
from devnet.sim.market import goods, modes, tuning
from devnet.sim.market.plan import DURATION_MS, Errand, MarketPlan, Trader, make_key
from identity import cbor
from identity.errors import InvalidSchema
from protocols.agents.plan import Failure, Output, Planner, plan_offer
from protocols.agents.strategies import STRATEGIES, Cost, Costs
from protocols.economy.auction_model import AuctionView
from protocols.economy.market_model import Variable, find_right
from protocols.economy.model import Duty
from protocols.economy.operations import (
    AnyBody,
    Bond,
    CommitBids,
    OpenTasks,
    Operation,
    Receipt,
    RevealBids,
    TaskSpec,
)
from protocols.economy.operations_auctions import (
    CommitAuctionBid,
    Deliver,
    RevealAuctionBid,
)
from protocols.genesis import PPM

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld

CAPABILITIES: dict[Verification, OfferedCapability] = {
    mode: OfferedCapability(
        hashlib.sha256(f"market {mode}".encode()).digest(), mode, "1", verification=mode
    )
    for mode in get_args(Verification)
}
OFFER = tuple(CAPABILITIES.values())
JUDGING_SHARE = 4
"""Judging costs this part of a run."""
OUTPUT_BYTES = 64
RETRY_MS = 2_000
"""An errand that could not be opened is tried again after this time."""


def make_input(number: int) -> bytes:
    """The input blob of the errand with this number."""
    return hashlib.sha256(b"market input %d" % number).digest()


def make_output(blob: bytes) -> Output:
    """What an honest run gives."""
    return Output(hashlib.sha256(b"market output" + blob).digest(), OUTPUT_BYTES)


def check_receipt(data: bytes) -> tuple[bytes, Receipt]:
    """Receipts of these worlds are [signer, [blobs]] without a signature: nobody forges one."""
    match cbor.decode(data, size_max=8192):
        case [bytes(signer), [*blobs]]:
            return signer, Receipt(tuple(blobs))
    raise InvalidSchema("not a receipt")


Price = Callable[[Duty, Costs], int | None]


@dataclass(frozen=True, slots=True)
class PartyPlanner(Planner):
    """The product's planner; its prices depend on the input, too, as the runs' real costs do."""

    price: Price = lambda _duty, _costs: None

    def _decide(self, duty: Duty) -> int | None:
        return self.price(duty, self.costs)


class Party:
    """Somebody with an account. Attacks override the hooks; what is not overridden is honest.

    `friends` are the accounts that it shares its purse with; `sight` is what it may look at.
    """

    is_honest = True

    def __init__(self, world: "MarketWorld", name: str, trader: Trader | None) -> None:
        plan: MarketPlan = world.plan
        self.world, self.name, self.key = world, name, make_key(name)
        self.rng = random.Random(f"{plan.seed}/{name}")
        self.trader, self.scale = trader, plan.scale
        self.latency_ms = trader.latency_ms if trader else self.rng.randint(5, 150)
        self.secret = hashlib.sha256(f"{plan.seed}/secret/{name}".encode()).digest()
        self.costs: Costs = {each.id: Cost(1) for each in OFFER}
        self.planner = PartyPlanner(
            world.committee,
            self.key,
            self.secret,
            STRATEGIES["truthful"],
            self.costs,
            price=self.price,
        )
        self.errands = [errand for errand in plan.errands if errand.requester == name]
        self.sales = [sale for sale in plan.sales if sale.seller == name]
        self.tunings = [each for each in plan.tunings if each.sponsor == name]
        self.opened: dict[bytes, Errand] = {}
        """By input."""
        self.pending: list[Operation] = []
        self.worked: dict[bytes, int] = {}
        """When the run of a task ends or ended; each costs its agent once."""
        self.work_spent = 0
        self.thoughts: dict[tuple[str, bytes], int] = {}
        """Until when it thinks about what."""
        self.judged: set[tuple[bytes, str]] = set()

    # --- what an attack may change -----------------------------------------------------------

    def wants_offer(self) -> bool:
        return self.trader is not None

    def price(self, duty: Duty, costs: Costs) -> int | None:
        """The strategy of its planner: the true cost of this run."""
        if self.trader is None:
            return None
        cost = self.trader.compute_cost(duty.input)
        return cost if cost <= duty.budget else None

    def works(self, world: "MarketWorld", duty: Duty) -> bool:
        """Whether it runs the capability at all."""
        return True

    def find_outcome(self, world: "MarketWorld", duty: Duty) -> Output | Failure | None:
        """What it will say of the task; None: not yet."""
        return make_output(duty.input)

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        """What it submits instead of what the planner proposes."""
        return bodies

    def choose_budget(self, errand: Errand) -> int:
        return errand.budget

    def beats(self, world: "MarketWorld", duty: Duty) -> bool:
        """Whether it says that it is alive while it executes."""
        return True

    def judge(self, world: "MarketWorld", duty: Duty) -> int:
        if (duty.task, "judged") not in self.judged and self.trader is not None:
            self.work_spent += self.trader.compute_cost(duty.input) // JUDGING_SHARE
        self.judged.add((duty.task, "judged"))
        return modes.judge_honestly(world, duty)

    def answer(self, world: "MarketWorld", duty: Duty) -> int | None:
        """What share of the price it pays for a delivered result; None: silence."""
        return modes.answer_honestly(world, duty)

    def may_buy(self) -> bool:
        """Whether sellers that list their bidders list it."""
        return self.trader is not None

    def appraise(self, names: list[str], direction: Direction) -> int:
        """What things are worth to it, or cost it; nothing to sybils."""
        return goods.appraise(self.name, names, self.scale, direction) if self.trader else 0

    def compute_worth(self, view: AuctionView, lots: bytes) -> int:
        """What it would give for these lots at most, or take for them at least."""
        variable = find_right(self.world.state.variables(), view.auction)
        if variable is not None:
            return tuning.appraise_right(self, variable)
        return self.appraise(goods.get_names(view.terms, lots), view.terms.direction)

    def offer(self, view: AuctionView) -> goods.Priced:
        """What it bids in an auction, at most; nothing: it does not."""
        return goods.offer_honestly(self, view) if self.trader is not None else ()

    def deliver(self, world: "MarketWorld", view: AuctionView, winner: bytes) -> Deliver | None:
        """Hand over what was sold."""
        return Deliver(view.auction, winner, goods.make_blob(view.auction, winner), "")

    def receive(self, world: "MarketWorld", auction: bytes, winner: bytes) -> int | None:
        """What share of the price it pays for what was delivered; None: silence."""
        is_right = world.handed.get((auction, winner)) == goods.make_blob(auction, winner)
        return PPM if is_right else 1

    def tune(self, world: "MarketWorld", variable: Variable) -> int | None:
        """The value that it sets as the holder, having searched for it; None: not now."""
        if world.once(self, (variable.id, variable.round)):
            self.work_spent += tuning.compute_search_cost(self, variable.id)
        return tuning.find_right_value(variable.id, variable.round)

    def report(self, world: "MarketWorld", variable: Variable) -> int:
        """What it says that it measured, in ppm."""
        return tuning.measure(self, variable)

    def opens(self, world: "MarketWorld", view: AuctionView) -> bool:
        """Whether it opens what it has sealed."""
        return True

    def list_holders(self, world: "MarketWorld", output: Output) -> list[bytes]:
        """Members that hold its output: whoever it gave the bytes to."""
        return list(world.state.committee.members[: world.state.committee.f + 1])

    # --- acting ------------------------------------------------------------------------------

    def set_up(self, world: "MarketWorld") -> list[AnyBody]:
        """Operations before the market begins: a bond, for whoever needs one."""
        bond = world.state.get_standing_bond(self.key)
        needed = world.state.parameters.bond_min - bond
        return [Bond(needed)] if needed > 0 and self.wants_offer() else []

    def act(self, world: "MarketWorld") -> None:
        """Submit what should be said now."""
        self.pending = [op for op in self.pending if op.nonce >= world.state.next_nonce(self.key)]
        bodies: list[AnyBody] = [*self.run_errands(world), *goods.open_sales(self, world)]
        if world.plan.sales or world.plan.tunings:
            bodies += tuning.open_variables(self, world)
            bodies += goods.plan_bids(self, world) if self.may_buy() else ()
            bodies += goods.plan_handovers(self, world)
            bodies += tuning.plan_terms(self, world)
        if self.wants_offer():
            offer = plan_offer(world.state, self.key, OFFER, self.pending)
            bodies += [offer] if offer is not None else []
        duties = world.state.duties(self.key)
        is_selling = world.plan.sales or world.plan.tunings
        owed = world.state.auction_duties(self.key) if is_selling else ()
        if duties or any(duty.kind == "inventory" for duty in owed):
            outcomes = self.run_work(world, duties)
            held = world.list_held() if any(d.kind == "inventory" for d in (*duties, *owed)) else ()
            findings = modes.make_findings(self, world, duties, outcomes)
            bodies += self.planner.plan_operations(
                world.state, outcomes, self.pending, held, findings
            )
            bodies += modes.plan_answers(self, world, duties, self.pending)
        for body in self.alter(world, bodies) if bodies or not self.is_honest else ():
            if not self.ponders(world, body):
                world.submit(self, body)

    def ponders(self, world: "MarketWorld", body: AnyBody) -> bool:
        """Whether it still thinks about this bid, or about opening it."""
        kinds = (CommitBids, RevealBids, CommitAuctionBid, RevealAuctionBid)
        if self.trader is None or not self.trader.think_ms or not isinstance(body, kinds):
            return False
        about = [b""]
        if isinstance(body, CommitBids | RevealBids):
            about = [item.task + bytes([item.round]) for item in body.bids]
        elif isinstance(body, CommitAuctionBid | RevealAuctionBid):
            about = [body.auction]
        end_ms = world.now_ms + self.trader.think_ms
        until_ms = min(
            self.thoughts.setdefault((type(body).__name__, each), end_ms) for each in about
        )
        world.wake(until_ms)
        return world.now_ms < until_ms

    def run_work(self, world: "MarketWorld", duties: list[Duty]) -> dict[bytes, Output | Failure]:
        """Start the runs that duties ask for; the outcomes of those that have ended."""
        outcomes: dict[bytes, Output | Failure] = {}
        for duty in duties:
            if duty.kind not in ("work", "reveal_work", "deliver"):
                continue
            if duty.task not in self.worked:
                self.worked[duty.task] = world.now_ms
                if self.trader is not None and self.works(world, duty):
                    self.worked[duty.task] += self.trader.work_ms
                    self.work_spent += self.trader.compute_cost(duty.input)
                world.wake(self.worked[duty.task])
            if self.worked[duty.task] <= world.now_ms:
                outcome = self.find_outcome(world, duty)
                if outcome is not None:
                    outcomes[duty.task] = outcome
        return outcomes

    def run_errands(self, world: "MarketWorld") -> list[AnyBody]:
        """Open the errands whose time has come, each bundle in an operation of its own."""
        bundles: dict[int, list[Errand]] = {}
        while self.errands and self.errands[0].at_ms + world.start_ms <= world.now_ms:
            errand = self.errands.pop(0)
            bundles.setdefault(errand.at_ms, []).append(errand)
            self.opened[make_input(errand.number)] = errand
        return [
            self.make_opening(world, [(each, self.choose_budget(each)) for each in bundle])
            for bundle in bundles.values()
        ]

    def make_opening(self, world: "MarketWorld", wanted: Sequence[tuple[Errand, int]]) -> OpenTasks:
        blobs = [make_input(errand.number) for errand, _ in wanted]
        specs = tuple(
            TaskSpec(
                CAPABILITIES[errand.mode].id,
                blob,
                1_000,
                budget,
                DURATION_MS,
                modes.make_terms(errand.mode, world.plan.n, errand.audit_ppm),
            )
            for blob, (errand, budget) in zip(blobs, wanted, strict=True)
        )
        holders = world.state.committee.members[: world.state.committee.f + 1]
        pool = sum(errand.pool for errand, _ in wanted)
        return OpenTasks(specs, tuple(cbor.encode([key, blobs]) for key in holders), pool)

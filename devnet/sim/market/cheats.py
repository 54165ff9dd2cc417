"""What cheats do instead of what is right: each a party with some of its hooks replaced."""

from typing import TYPE_CHECKING

from crdt.facts import BidRevealed, WorkRevealed
from devnet.sim.market.party import OUTPUT_BYTES, Party, make_input
from devnet.sim.market.plan import Errand, Trader
from protocols.agents.plan import Failure, Output
from protocols.agents.strategies import Costs
from protocols.economy.model import Duty, TaskView
from protocols.economy.operations import (
    AnyBody,
    BidCommitment,
    BidOpening,
    CommitBids,
    CommitWork,
    Held,
    Inventory,
    RevealBids,
    RevealWork,
    Transfer,
)

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld


class Honest(Party):
    """The honest twin of most cheats. It is counted as one of them, not as an honest party."""

    is_honest = False


class Cheat(Party):
    """Base of all that cheat; the purse is the plan's whole coalition."""

    is_honest = False

    def friends(self, world: "MarketWorld") -> set[bytes]:
        names = (name for name, _ in world.plan.cheats)
        return {world.parties[name].key for name in names}

    def submit_later(self, world: "MarketWorld", body: AnyBody, wait_ms: int) -> None:
        """Submit it once `wait_ms` have gone by; until then the planner proposes it again."""
        if wait_ms <= 0:
            world.submit(self, body)
        else:
            world.wake(world.now_ms + wait_ms)

    def find_task(self, world: "MarketWorld", id_: bytes) -> TaskView | None:
        return world.state.get_task(id_)


class Idle(Cheat):
    """The honest twin of a sybil: it does not take part."""

    def wants_offer(self) -> bool:
        return False


class NeverReveals(Cheat):
    """Seals a bid that would win, and never opens it."""

    def price(self, duty: Duty, costs: Costs) -> int | None:
        return 1

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        return [body for body in bodies if not isinstance(body, RevealBids)]


class LateReveal(Cheat):
    """Opens its bid after the deadline, having seen the others'."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        kept: list[AnyBody] = []
        for body in bodies:
            task = (
                self.find_task(world, body.bids[0].task) if isinstance(body, RevealBids) else None
            )
            if task is None:
                kept.append(body)
            else:
                wait_ms = task.stage_deadline_ms + 1 - world.now_ms
                self.submit_later(world, body, wait_ms)
        return kept


class Sniper(Cheat):
    """Seals its bid in the last moment before the deadline, and opens it in the last moment."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        kept: list[AnyBody] = []
        for body in bodies:
            task = None
            if isinstance(body, CommitBids | RevealBids):
                task = self.find_task(world, body.bids[0].task)
            if task is None:
                kept.append(body)
            else:
                wait_ms = task.stage_deadline_ms - self.latency_ms - 60 - world.now_ms
                self.submit_later(world, body, wait_ms)
        return kept


class Copycat(Cheat):
    """Seals what a rival sealed, and opens it with what the rival opens."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        return [made for body in bodies if (made := self._copy(world, body)) is not None]

    def _copy(self, world: "MarketWorld", body: AnyBody) -> AnyBody | None:
        if isinstance(body, CommitBids):
            items = [self._find_seal(world, item) for item in body.bids]
            kept = tuple(item for item in items if item is not None)
            return CommitBids(kept) if kept else None
        return body

    def _find_seal(self, world: "MarketWorld", item: BidCommitment) -> BidCommitment | None:
        for signer, body in world.list_said(CommitBids):
            for other in body.bids:
                same = (other.task, other.round) == (item.task, item.round)
                if same and other.commitment is not None and signer != self.key:
                    return BidCommitment(item.task, item.round, other.commitment)
        return None

    def act(self, world: "MarketWorld") -> None:
        super().act(world)
        for duty in world.state.duties(self.key):
            if duty.kind == "reveal_bid" and not self.pending:
                self._open(world, duty)

    def _open(self, world: "MarketWorld", duty: Duty) -> None:
        for signer, body in world.list_said(RevealBids):
            for item in body.bids:
                if (item.task, item.round) == (duty.task, duty.round) and signer != self.key:
                    opening = BidOpening(item.task, item.round, item.price, item.salt)
                    if world.once(self, opening):
                        world.submit(self, RevealBids((opening,)))


class CoverBidder(Cheat):
    """A sybil that bids above its friend, so that the auction seems to have more rivals."""

    def wants_offer(self) -> bool:
        return True

    def price(self, duty: Duty, costs: Costs) -> int | None:
        return max(1, duty.budget * self.rng_share(duty) // 1_000_000)

    def rng_share(self, duty: Duty) -> int:
        """A share of the budget that depends on the auction alone."""
        low = 30_000 if self.name.endswith("0") else 60_000
        return low + int.from_bytes(duty.task[:4]) % 30_000

    def works(self, world: "MarketWorld", duty: Duty) -> bool:
        return False

    def find_outcome(self, world: "MarketWorld", duty: Duty) -> Output | Failure | None:
        return Failure("sybil")


class Shill(CoverBidder):
    """A requester's sybil: its bid is the reserve that its friend does not say openly."""

    def price(self, duty: Duty, costs: Costs) -> int | None:
        if not self.is_for_friend(duty):
            return None
        return compute_reserve(duty.budget, self.scale, duty.input)

    def is_for_friend(self, duty: Duty) -> bool:
        task = self.world.state.get_task(duty.task)
        return task is not None and task.requester in self.friends(self.world)


def compute_reserve(budget: int, scale: int, blob: bytes) -> int:
    """A guess between the rivals' bids."""
    return min(budget, scale * (20 + int.from_bytes(blob[:4]) % 40))


class OpenReserve(Party):
    """The honest twin of who has shills: it says that reserve as its budget, and asks again with
    the whole budget if nobody takes it."""

    is_honest = False

    def __init__(self, world: "MarketWorld", name: str, trader: Trader | None) -> None:
        super().__init__(world, name, trader)
        self.inputs: dict[bytes, bytes] = {}
        """Tasks with a reserve, and their inputs."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        for task, blob in list(self.inputs.items()):
            if world.referee.fold.ended.get(task) == "failed":
                del self.inputs[task]
                errand = self.opened[blob]
                bodies.append(self.make_opening(world, [(errand, errand.budget)]))
        for job in world.referee.fold.jobs.values():
            if job.requester == self.key and job.budget < self.opened[job.input].budget:
                self.inputs[job.id] = job.input
        return bodies

    def choose_budget(self, errand: Errand) -> int:
        return compute_reserve(errand.budget, self.scale, make_input(errand.number))


class PickyShill(Shill):
    """One of several sybils of a requester: it opens its bid only if that makes the work cheaper
    without winning it."""

    def price(self, duty: Duty, costs: Costs) -> int | None:
        return self.scale * (25 + 9 * int(self.name[1:])) if self.is_for_friend(duty) else None

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        kept: list[AnyBody] = []
        for body in bodies:
            if not isinstance(body, RevealBids):
                kept.append(body)
                continue
            useful = tuple(item for item in body.bids if self._helps(world, item))
            if useful:
                kept.append(RevealBids(useful))
        return kept

    def _helps(self, world: "MarketWorld", item: BidOpening) -> bool:
        friends = self.friends(world)
        rivals = [
            fact.price
            for fact in world.log[-200:]
            if isinstance(fact, BidRevealed)
            and (fact.task, fact.round) == (item.task, item.round)
            and fact.bidder not in friends
        ]
        return bool(rivals) and item.price > min(rivals) * 21 // 20 + 1


class SelfDealer(CoverBidder):
    """A requester that bids for its own tasks."""

    def price(self, duty: Duty, costs: Costs) -> int | None:
        task = self.world.state.get_task(duty.task)
        return 1 if task is not None and task.requester == self.key else None


class LyingWorker(Cheat):
    """Executes nothing and says something, as executor and as verifier."""

    def price(self, duty: Duty, costs: Costs) -> int | None:
        return 1

    def works(self, world: "MarketWorld", duty: Duty) -> bool:
        return False

    def find_outcome(self, world: "MarketWorld", duty: Duty) -> Output | Failure | None:
        return Output(b"\x01" * 32, OUTPUT_BYTES)


class ShyLiar(LyingWorker):
    """Lies, and does not open its lie once it has seen that another result was opened."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        kept: list[AnyBody] = []
        for body in bodies:
            if isinstance(body, RevealWork):
                tasks = {item.task for item in body.works}
                opened = [f for f in world.log[-200:] if isinstance(f, WorkRevealed)]
                mine = [f for f in opened if f.task in tasks]
                task = self.find_task(world, body.works[0].task)
                alone = task is not None and task.waiting == (self.key,)
                if mine or not alone:
                    continue
            kept.append(body)
        return kept


class LyingVerifier(LyingWorker):
    """An honest executor that verifies without executing, and says something."""

    def price(self, duty: Duty, costs: Costs) -> int | None:
        return Party.price(self, duty, costs)

    def is_executor(self, world: "MarketWorld", duty: Duty) -> bool:
        task = world.state.get_task(duty.task)
        return task is not None and task.executor == self.key

    def works(self, world: "MarketWorld", duty: Duty) -> bool:
        return self.is_executor(world, duty)

    def find_outcome(self, world: "MarketWorld", duty: Duty) -> Output | Failure | None:
        if self.is_executor(world, duty):
            return Party.find_outcome(self, world, duty)
        return Output(b"\x02" * 32, OUTPUT_BYTES)


class CopyingVerifier(LyingVerifier):
    """Verifies by looking: it says what somebody else has already opened, or copies the sealed
    result of the executor."""

    def find_outcome(self, world: "MarketWorld", duty: Duty) -> Output | Failure | None:
        if self.is_executor(world, duty):
            return Party.find_outcome(self, world, duty)
        for fact in reversed(world.log):
            if isinstance(fact, WorkRevealed) and (fact.task, fact.round) == (
                duty.task,
                duty.round,
            ):
                return Output(fact.output, fact.output_bytes)
        return None

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        seals = [
            (signer, item)
            for signer, body in world.list_said(CommitWork)
            for item in body.works
            if signer != self.key
        ]
        for duty in world.state.duties(self.key):
            if duty.kind != "work" or self.is_executor(world, duty) or self.pending:
                continue
            for _, item in seals:
                same = (item.task, item.round) == (duty.task, duty.round)
                if same and item.commitment is not None and world.once(self, item):
                    return [*bodies, CommitWork((item,))]
        return bodies


class Withholder(Cheat):
    """Wins, seals a result, and never opens it."""

    def price(self, duty: Duty, costs: Costs) -> int | None:
        return 1

    def works(self, world: "MarketWorld", duty: Duty) -> bool:
        return False

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        return [body for body in bodies if not isinstance(body, RevealWork)]


class Sleeper(Withholder):
    """Wins and lets the lease pass, so that nobody else gets the task meanwhile."""

    def find_outcome(self, world: "MarketWorld", duty: Duty) -> Output | Failure | None:
        return None


class SlowExecutor(Cheat):
    """Seals its result in the last moment of the lease."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        kept: list[AnyBody] = []
        for body in bodies:
            if not isinstance(body, CommitWork):
                kept.append(body)
            elif works := tuple(item for item in body.works if self._is_time(world, item.task)):
                kept.append(CommitWork(works))
        return kept

    def _is_time(self, world: "MarketWorld", id_: bytes) -> bool:
        task = world.state.get_task(id_)
        if task is None or task.stage != "lease":
            return True
        due_ms = task.stage_deadline_ms - self.latency_ms - 100
        world.wake(due_ms)
        return world.now_ms >= due_ms


class Flooder(Cheat):
    """Submits bids, openings and results for everything that is there, again and again."""

    FLOOD_MAX = 60

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        if len(self.pending) >= 4 or getattr(self, "sent", 0) >= self.FLOOD_MAX:
            return bodies
        junk: list[AnyBody] = []
        for task in list(world.state.tasks())[:2]:
            seal = BidCommitment(task.task, task.round, self.rng.randbytes(32))
            junk.append(CommitBids((seal,) * 8))
            junk.append(RevealBids((BidOpening(task.task, task.round, 1, bytes(32)),) * 8))
        self.sent = getattr(self, "sent", 0) + len(junk)
        return [*bodies, *junk]


class LyingInventory(Cheat):
    """Says of whom it dislikes that it holds nothing, and of its friends that it holds all."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        return [
            Inventory(tuple(self._lie(world, item) for item in body.held))
            if isinstance(body, Inventory)
            else body
            for body in bodies
        ]

    def _lie(self, world: "MarketWorld", item: Held) -> Held:
        return Held(item.task, item.round, item.phase, tuple(sorted(self.friends(world))))


class SecretSealer(LyingInventory):
    """Shows its sealed bids to Byzantine members alone, and lies in its inventories."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        kept: list[AnyBody] = []
        for body in super().alter(world, bodies):
            if isinstance(body, CommitBids):
                world.submit(self, body, is_secret=True)
            else:
                kept.append(body)
        return kept


class Hostile(Cheat):
    """Does anything: half of what it should do is lost, and nonsense is added."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        kept = [body for body in bodies if self.rng.random() < 0.6]
        if self.rng.random() < 0.05:
            friend = self.rng.choice(list(world.parties.values())).key
            kept.append(Transfer(friend, self.rng.choice((1, 1 << 62))))
        for task in list(world.state.tasks())[:1] if self.rng.random() < 0.1 else ():
            salt = bytes(32)
            kept.append(RevealBids((BidOpening(task.task, task.round, 5, salt),)))
        return kept

    def find_outcome(self, world: "MarketWorld", duty: Duty) -> Output | Failure | None:
        dice = duty.task[0] % 4
        if dice == 0:
            return Failure("no_mood")
        if dice == 1:
            return Output(b"\x03" * 32, OUTPUT_BYTES)
        return super().find_outcome(world, duty)

"""Cheats where nobody runs the work again: junk, withheld bytes, answers, scores."""

from typing import TYPE_CHECKING

from devnet.sim.market.cheats import Cheat, CoverBidder
from devnet.sim.market.modes import GOOD_SCORE
from devnet.sim.market.party import OUTPUT_BYTES
from protocols.agents.plan import Failure, Output
from protocols.agents.strategies import Costs
from protocols.economy.model import Duty
from protocols.economy.operations_tasks import CancelTask

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld


class Miser(Cheat):
    """Seals something that it never made, and gives nobody the bytes."""

    def price(self, duty: Duty, costs: Costs) -> int | None:
        return 1

    def works(self, world: "MarketWorld", duty: Duty) -> bool:
        return False

    def list_holders(self, world: "MarketWorld", output: Output) -> list[bytes]:
        return [self.key] if world.state.committee.is_member(self.key) else []


class JunkDealer(Cheat):
    """Delivers something at once instead of working."""

    def works(self, world: "MarketWorld", duty: Duty) -> bool:
        return False

    def find_outcome(self, world: "MarketWorld", duty: Duty) -> Output | Failure | None:
        return Output(b"\x04" * 32, OUTPUT_BYTES)


class Rejecter(Cheat):
    """Pays nothing for what it gets."""

    def answer(self, world: "MarketWorld", duty: Duty) -> int | None:
        return 0


class Miserly(Cheat):
    def answer(self, world: "MarketWorld", duty: Duty) -> int | None:
        return 10_000


class LateCanceller(Cheat):
    """Cancels once the executor has worked for half of its lease, or is about to deliver."""

    def act(self, world: "MarketWorld") -> None:
        super().act(world)
        for task in world.state.tasks():
            if task.requester != self.key or task.stage != "lease":
                continue
            due_ms = task.lease_ms - world.state.parameters.work_phase_ms * 9 // 10
            if due_ms <= world.now_ms and world.once(self, task.task):
                world.submit(self, CancelTask(task.task))
            else:
                world.wake(due_ms)


class HarshJudge(Cheat):
    """Gives the lowest score, so that its rivals are not paid and the task comes back."""

    def judge(self, world: "MarketWorld", duty: Duty) -> int:
        return 0


class LazyJudge(Cheat):
    """Says what most results are worth, and looks at none."""

    def judge(self, world: "MarketWorld", duty: Duty) -> int:
        return GOOD_SCORE


class FriendlyJudge(CoverBidder):
    """A sybil that passes in auctions and praises what its friend delivered."""

    def price(self, duty: Duty, costs: Costs) -> int | None:
        return None

    def judge(self, world: "MarketWorld", duty: Duty) -> int:
        task = world.state.get_task(duty.task)
        is_friend = task is not None and task.executor in self.friends(world)
        return 100 if is_friend else GOOD_SCORE

"""Cheats that sell, pay, hold variables or measure them."""

from typing import TYPE_CHECKING

from devnet.sim.market import tuning
from devnet.sim.market.cheats import Cheat, LyingWorker
from protocols.agents.strategies import Costs
from protocols.economy.auction_model import AuctionView
from protocols.economy.market_model import Variable
from protocols.economy.model import Duty
from protocols.economy.operations_auctions import CancelAuction, Deliver
from protocols.genesis import PPM

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld


class StingyPayer(Cheat):
    """Pays the least there is for whatever was delivered to it."""

    def receive(self, world: "MarketWorld", auction: bytes, winner: bytes) -> int | None:
        return 1


class KeepingSeller(Cheat):
    """Sells, and keeps what it sold."""

    def deliver(self, world: "MarketWorld", view: AuctionView, winner: bytes) -> Deliver | None:
        return None


class RubbishSeller(Cheat):
    """Delivers something else than it sold."""

    def deliver(self, world: "MarketWorld", view: AuctionView, winner: bytes) -> Deliver | None:
        return Deliver(view.auction, winner, b"\x05" * 32, "as described")


class FickleOpener(Cheat):
    """Takes its auctions back whenever it can, or tries to."""

    def act(self, world: "MarketWorld") -> None:
        super().act(world)
        for view in world.state.auctions():
            is_mine = view.opener == self.key
            if is_mine and view.auction[0] % 2 and world.once(self, ("cancel", view.auction)):
                world.submit(self, CancelAuction(view.auction))


class IdleHolder(Cheat):
    """Holds a term so that nobody else does, and sets nothing."""

    def tune(self, world: "MarketWorld", variable: Variable) -> int | None:
        return None


class CarelessHolder(Cheat):
    """Sets any value instead of searching for the right one."""

    def tune(self, world: "MarketWorld", variable: Variable) -> int | None:
        return 1 + variable.id[0] % tuning.HIGH


class FalseReporter(Cheat):
    """A member that reports nothing of what others reach, and everything of its friends'."""

    def report(self, world: "MarketWorld", variable: Variable) -> int:
        return PPM if variable.holder in self.friends(world) else 0


class CarelessFriend(FalseReporter, CarelessHolder):
    """Careless as a holder, and false as a member; see `praised_holder`."""


class SampledLiar(LyingWorker):
    """Lies only where results are verified by sample."""

    def is_sampled(self, duty: Duty) -> bool:
        task = self.world.state.get_task(duty.task)
        return task is not None and task.terms.audit_ppm < PPM

    def price(self, duty: Duty, costs: Costs) -> int | None:
        return super().price(duty, costs) if self.is_sampled(duty) else None

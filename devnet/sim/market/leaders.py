"""Who orders: an honest leader, and what a Byzantine one may do until it is replaced.

A leader can leave out, delay and reorder what clients submitted, choose the time within what the
honest clocks allow, and with the order of a batch its digest. It cannot make up operations of
others. Members replace it once something that all of them hold was not executed for the view
timer (`protocols/pbft/view_change.py`), which doubles with each view that brought nothing.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from protocols.economy.operations import (
    CommitBids,
    CommitWork,
    Inventory,
    Operation,
    RevealBids,
    RevealWork,
)
from protocols.economy.operations_auctions import (
    AcceptPrice,
    CommitAuctionBid,
    PlaceBid,
    RevealAuctionBid,
)
from protocols.pbft.view_change import TIMEOUT_MS

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld

BUYING = (CommitAuctionBid, RevealAuctionBid, PlaceBid, AcceptPrice)
"""What bidders say in general auctions."""
SKEW_MS = 200
"""How far the clocks of honest members are apart at most."""
STALE_MS = 1_000
"""How old the clock readings may be that a leader shows."""
GRIND_MAX = 8
"""Orders of a batch that a leader tries."""


@dataclass(slots=True)
class Waiting:
    """A submitted operation that is not executed. `heard_ms`: when every honest member holds it;
    None while its author shows it to Byzantine members alone."""

    digest: bytes
    signer: bytes
    operation: Operation
    heard_ms: int | None
    author: str


class Leader:
    """An honest one: everything it holds, in the order it came, at the time it is."""

    def __init__(self, world: "MarketWorld", name: str) -> None:
        self.name = name
        self.rng = random.Random(f"{world.plan.seed}/leader/{name}")

    def choose(self, world: "MarketWorld", ready: Sequence[Waiting]) -> list[Waiting] | None:
        """What to order now, of what can be executed now; None: nothing, not even a tick."""
        return list(ready)

    def choose_time(self, world: "MarketWorld") -> int:
        return world.now_ms

    def choose_digest(self, world: "MarketWorld", batch: Sequence[Waiting]) -> bytes:
        return world.make_digest(batch, 0)


class Byzantine(Leader):
    """Orders also what only it knows, and lets the clock jump as far as it can."""

    def choose_time(self, world: "MarketWorld") -> int:
        return world.now_ms + self.rng.choice((-STALE_MS, 0, SKEW_MS))


class Censor(Byzantine):
    """Orders nothing of those it does not like, for as long as it leads. Whom it likes not: the
    rivals of its friends, that is every honest agent."""

    def choose(self, world: "MarketWorld", ready: Sequence[Waiting]) -> list[Waiting] | None:
        return [each for each in ready if not self.dislikes(world, each)]

    def dislikes(self, world: "MarketWorld", each: Waiting) -> bool:
        party = world.parties[each.author]
        kinds = (CommitBids, RevealBids, CommitWork, RevealWork, Inventory, *BUYING)
        return party.is_honest and isinstance(each.operation.body, kinds)


class CensorBids(Censor):
    """Leaves out sealed bids alone: a rival that is not in the auction cannot win it."""

    def dislikes(self, world: "MarketWorld", each: Waiting) -> bool:
        kinds = (CommitBids, *BUYING)
        return world.parties[each.author].is_honest and isinstance(each.operation.body, kinds)


class CensorOne(Censor):
    """Leaves out everything of one party: the same for the whole world."""

    def dislikes(self, world: "MarketWorld", each: Waiting) -> bool:
        honest = [party.name for party in world.parties.values() if party.is_honest]
        return each.author == honest[world.plan.seed % len(honest)]


class Slow(Byzantine):
    """Orders everything just before it would be replaced for it."""

    def choose(self, world: "MarketWorld", ready: Sequence[Waiting]) -> list[Waiting] | None:
        pressed = world.is_pressed(margin_ms=TIMEOUT_MS // 4)
        return list(ready) if pressed else None


class Shuffler(Byzantine):
    """Any order that keeps each account's nonces, and the digest that serves it best: here, the
    one with which its friends are drawn as verifiers of the tasks that are about to be sealed."""

    def choose(self, world: "MarketWorld", ready: Sequence[Waiting]) -> list[Waiting] | None:
        queues: dict[bytes, list[Waiting]] = {}
        for each in ready:
            queues.setdefault(each.signer, []).append(each)
        batch = []
        while queues:
            signer = self.rng.choice(list(queues))
            batch.append(queues[signer].pop(0))
            if not queues[signer]:
                del queues[signer]
        return batch

    def choose_digest(self, world: "MarketWorld", batch: Sequence[Waiting]) -> bytes:
        found = [world.make_digest(batch, i) for i in range(GRIND_MAX)]
        return max(found, key=lambda digest: (world.count_friends_drawn(digest), digest))


LEADERS: dict[str, type[Leader]] = {
    "censor": Censor,
    "censor_bids": CensorBids,
    "censor_one": CensorOne,
    "slow": Slow,
    "shuffler": Shuffler,
    "hasty": Byzantine,
}

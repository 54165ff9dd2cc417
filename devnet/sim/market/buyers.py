"""Cheats in general auctions."""

from typing import TYPE_CHECKING

from crdt.facts_auctions import BundleBid
from devnet.sim.market.cheats import Cheat
from devnet.sim.market.goods import LIMIT, Priced
from protocols.economy.auction_model import AuctionView
from protocols.economy.auction_terms import SEALED_KINDS
from protocols.economy.operations import AnyBody
from protocols.economy.operations_auctions import PlaceBid, RevealAuctionBid

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld

LAST_MS = 150
"""How long before the end a sniper's bid is ordered."""


class SilentBuyer(Cheat):
    """Seals the highest bid there is, and keeps silent: nobody is to know what it would pay."""

    def offer(self, view: AuctionView) -> Priced:
        if view.terms.kind not in SEALED_KINDS:
            return ()
        is_forward = view.terms.direction == "forward"
        return (BundleBid(b"\x00", view.terms.cap if is_forward else 1),)

    def opens(self, world: "MarketWorld", view: AuctionView) -> bool:
        return False


class SellersShill(Cheat):
    """One of several sybils of a seller: it opens its bid only if that makes the thing dearer
    without winning it."""

    def may_buy(self) -> bool:
        return True

    def offer(self, view: AuctionView) -> Priced:
        is_mine = view.opener in self.friends(self.world) and view.terms.direction == "forward"
        if view.terms.kind != "vickrey" or not is_mine:
            return ()
        return (BundleBid(b"\x00", self.scale * (LIMIT + 45 * (1 + int(self.name[1:])))),)

    def opens(self, world: "MarketWorld", view: AuctionView) -> bool:
        friends = self.friends(world)
        rivals = [
            body.bundles[0].price
            for signer, body in world.list_said(RevealAuctionBid)
            if body.auction == view.auction and signer not in friends
        ]
        mine = self.offer(view)
        return bool(mine) and mine[0].price * 106 // 100 < max(rivals, default=0)


class EnglishSniper(Cheat):
    """Bids so late that nobody could answer, were the end not moved."""

    def alter(self, world: "MarketWorld", bodies: list[AnyBody]) -> list[AnyBody]:
        kept: list[AnyBody] = []
        for body in bodies:
            view = world.state.get_auction(body.auction) if isinstance(body, PlaceBid) else None
            if view is None:
                kept.append(body)
                continue
            wait_ms = view.stage_deadline_ms - LAST_MS - self.latency_ms - world.now_ms
            self.submit_later(world, body, wait_ms)
        return kept

"""Things that requesters sell in general auctions: what each is worth to whom, and honest bids."""

import hashlib
from typing import TYPE_CHECKING

import msgspec

from crdt.facts_auctions import AuctionKind, AuctionTerms, BundleBid, Lot
from protocols.auction.commit_reveal import compute_auction_commitment
from protocols.economy.auction_model import AuctionView
from protocols.economy.operations import AnyBody, Operation
from protocols.economy.operations_auctions import (
    CommitAuctionBid,
    OpenAuction,
    PlaceBid,
    RevealAuctionBid,
)

if TYPE_CHECKING:
    from devnet.sim.market.party import Party
    from devnet.sim.market.world import MarketWorld

KINDS: tuple[AuctionKind, ...] = ("vickrey", "first_price", "multi_unit", "english")
BID_MS = 4_000
CAP = 1_000
LIMIT = 20
"""What a thing is worth to whoever sells it, times the scale; its least price, too."""
SHADE_PPM = 800_000
"""Who pays what it bids offers this share of the value."""


class Sale(msgspec.Struct, frozen=True):
    """A requester sells one thing, or several of a kind."""

    seller: str
    at_ms: int
    kind: AuctionKind
    units: int
    number: int


def compute_worth(name: str, lot: str, scale: int) -> int:
    """What one thing is worth to a party: 30 to 230, times the scale."""
    dice = int.from_bytes(hashlib.sha256(f"{name}/{lot}".encode()).digest()[:4])
    return scale * 30 + dice % (200 * scale)


def make_terms(sale: Sale, scale: int, bidders: tuple[bytes, ...]) -> AuctionTerms:
    lot = Lot(f"thing{sale.number}", LIMIT * scale)
    is_english = sale.kind == "english"
    return AuctionTerms(
        kind=sale.kind,
        direction="forward",
        lots=(lot,),
        cap=CAP * scale,
        units=sale.units,
        increment=5 * scale if is_english else 0,
        bid_ms=BID_MS,
        reveal_ms=0 if is_english else BID_MS,
        extend_ms=1_000 if is_english else 0,
        extend_ms_max=10_000 if is_english else 0,
        bidders=() if is_english else bidders,
    )


def open_sales(party: "Party", world: "MarketWorld") -> list[AnyBody]:
    """The auctions whose time has come."""
    bodies: list[AnyBody] = []
    while party.sales and party.sales[0].at_ms + world.start_ms <= world.now_ms:
        sale = party.sales.pop(0)
        bidders = [each.key for each in world.parties.values() if each.may_buy()]
        listed = tuple(sorted(bidders)) if sale.number % 2 else ()
        bodies.append(OpenAuction(make_terms(sale, party.scale, listed)))
    return bodies


def plan_bids(party: "Party", world: "MarketWorld") -> list[AnyBody]:
    """What an honest buyer says of each auction now."""
    bodies: list[AnyBody] = []
    said = {_key(op) for op in party.pending}
    for view in world.state.auctions():
        body = _plan_bid(party, world, view) if view.opener != party.key else None
        if body is not None and _key(Operation(1, body)) not in said:
            bodies.append(body)
    return bodies


def _key(operation: Operation) -> tuple[str, bytes]:
    body = operation.body
    return type(body).__name__, getattr(body, "auction", b"")


def _plan_bid(party: "Party", world: "MarketWorld", view: AuctionView) -> AnyBody | None:
    price = party.offer(view)
    match view.stage:
        case "auction_commit" if party.key not in view.bidders and not view.overdue:
            if view.terms.bidders and party.key not in view.terms.bidders:
                return None
            if price is None:
                return CommitAuctionBid(view.auction, None) if view.terms.bidders else None
            return CommitAuctionBid(view.auction, compute_seal(party, world, view, price))
        case "auction_reveal" if party.key in view.waiting and price is not None:
            if not party.opens(world, view):
                return None
            bundles = (BundleBid(b"\x00", price),)
            return RevealAuctionBid(view.auction, bundles, compute_salt(party, view))
        case "auction_bid" if view.standing != party.key and price is not None:
            least = max(view.terms.lots[0].limit, (view.price or 0) + view.terms.increment)
            least = least * 106 // 100  # weights differ by 5 % at most
            late = world.now_ms >= view.stage_deadline_ms
            return PlaceBid(view.auction, least) if least <= price and not late else None
    return None


def compute_salt(party: "Party", view: AuctionView) -> bytes:
    return hashlib.sha256(party.secret + view.auction).digest()


def compute_seal(party: "Party", world: "MarketWorld", view: AuctionView, price: int) -> bytes:
    place = world.committee
    return compute_auction_commitment(
        place.network,
        place.id,
        view.auction,
        party.key,
        [(b"\x00", price)],
        compute_salt(party, view),
    )


def offer_honestly(party: "Party", view: AuctionView) -> int | None:
    """The own value where the second price is paid, and in the open; less where the own bid is."""
    lot = view.terms.lots[0]
    worth = compute_worth(party.name, lot.name, party.scale)
    if view.terms.kind == "first_price":
        worth = worth * SHADE_PPM // 1_000_000
    return worth if worth >= lot.limit else None

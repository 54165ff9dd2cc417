"""Things that requesters sell and buy in general auctions: what each is worth to whom, and honest
bids, deliveries and answers."""

import hashlib
import random
from typing import TYPE_CHECKING

import msgspec

from crdt.facts_auctions import AuctionKind, AuctionTerms, BundleBid, Direction, Lot, Pricing
from protocols.auction.commit_reveal import compute_auction_commitment
from protocols.economy.auction_model import AuctionView
from protocols.economy.auction_terms import SEALED_KINDS
from protocols.economy.operations import AnyBody, Operation
from protocols.economy.operations_auctions import (
    AcceptDelivery,
    AcceptPrice,
    CommitAuctionBid,
    Deliver,
    OpenAuction,
    PlaceBid,
    RevealAuctionBid,
)
from protocols.genesis import PPM

if TYPE_CHECKING:
    from devnet.sim.market.party import Party
    from devnet.sim.market.world import MarketWorld

KINDS: tuple[AuctionKind, ...] = (
    *("vickrey", "first_price", "multi_unit", "english"),
    *("dutch", "combinatorial", "call"),
)
LOTS_KINDS = ("combinatorial", "call")
BID_MS = 4_000
DUTCH_MS = 8_000
DUTCH_STEP_MS = 250
HANDOVER_MS = 3_000
CAP = 1_000
LIMIT = 20
"""What a thing is worth to whoever sells it, times the scale; its least price, too."""
BUDGET = 150
"""The same for whoever buys one in a reverse auction; the most that it pays, too."""
SHADE_PPM = 800_000
"""Who pays what it bids offers this share of the value."""
Priced = tuple[BundleBid, ...]


class Sale(msgspec.Struct, frozen=True):
    """A requester sells (`forward`) or buys (`reverse`) a thing, several of a kind, or several
    lots. `is_delivered`: the price waits until the thing was delivered."""

    seller: str
    at_ms: int
    kind: AuctionKind
    units: int
    number: int
    direction: Direction = "forward"
    lots: int = 1
    pricing: Pricing = "vcg"
    is_delivered: bool = False


def draw_sales(
    rng: random.Random,
    sellers: tuple[str, ...],
    count: int,
    spread_ms: int,
    kinds: tuple[AuctionKind, ...] = KINDS,
    *,
    is_delivered: bool | None = None,
) -> tuple[Sale, ...]:
    """`is_delivered`: None: some are."""
    sales = []
    for number in range(count):
        kind = rng.choice(kinds)
        sales.append(
            Sale(
                rng.choice(sellers),
                rng.randint(0, spread_ms),
                kind,
                rng.randint(2, 3) if kind == "multi_unit" else 1,
                number,
                rng.choice(("forward", "forward", "reverse")),
                rng.randint(2, 4) if kind in LOTS_KINDS else 1,
                rng.choice(("vcg", "pay_as_bid")) if kind == "combinatorial" else "vcg",
                rng.random() < 0.4 if is_delivered is None else is_delivered,
            )
        )
    return tuple(sorted(sales, key=lambda sale: (sale.at_ms, sale.number)))


# --- what things are worth -----------------------------------------------------------------------


def appraise(name: str, lots: list[str], scale: int, direction: Direction) -> int:
    """What these things together are worth to a party (forward: 30 to 230 each, times the scale),
    or what providing them costs it (reverse). Two or more are worth more, or cost less, than each
    alone."""
    dice = [
        int.from_bytes(hashlib.sha256(f"{name}/{lot}".encode()).digest()[:4]) % (200 * scale)
        for lot in lots
    ]
    extra = 10 * (len(lots) - 1) * (1 if direction == "forward" else -1)
    return sum(scale * 30 + each for each in dice) * (100 + extra) // 100


def get_names(terms: AuctionTerms, lots: bytes) -> list[str]:
    return [terms.lots[place].name for place in lots]


def make_blob(auction: bytes, winner: bytes) -> bytes:
    """What is delivered to (by) this winner, if the seller is honest."""
    return hashlib.sha256(b"goods" + auction + winner).digest()


def list_wanted(terms: AuctionTerms) -> list[bytes]:
    """The bundles that an honest bidder says a price for: each lot; where bundles are sold,
    neighbours and all, too."""
    count = len(terms.lots)
    wanted = [bytes([lot]) for lot in range(count)]
    if terms.kind == "combinatorial":
        wanted += [bytes([lot, lot + 1]) for lot in range(count - 1)]
        wanted += [bytes(range(count))] if count > 2 else []
    return wanted


def shade(terms: AuctionTerms, value: int) -> int:
    """The own value where the second price is paid, and in the open; else a better one."""
    if terms.kind not in ("first_price", "dutch") and terms.pricing == "vcg":
        return value
    if terms.direction == "forward":
        return value * SHADE_PPM // PPM
    return value * PPM // SHADE_PPM


def offer_honestly(party: "Party", view: AuctionView) -> Priced:
    """The prices of an honest bidder, at most (reverse: at least); none for what is worth less
    than the limit."""
    terms = view.terms
    priced = []
    for lots in list_wanted(terms):
        price = shade(terms, party.compute_worth(view, lots))
        limit = sum(terms.lots[place].limit for place in lots)
        is_good = limit <= price <= terms.cap if terms.direction == "forward" else price <= limit
        if is_good and price > 0:
            priced.append(BundleBid(lots, price))
    return tuple(priced)


# --- selling -------------------------------------------------------------------------------------


def make_terms(sale: Sale, scale: int, bidders: tuple[bytes, ...]) -> AuctionTerms:
    is_english, is_dutch = sale.kind == "english", sale.kind == "dutch"
    is_forward, is_sealed = sale.direction == "forward", sale.kind in SEALED_KINDS
    limit = (LIMIT if is_forward else BUDGET) * scale
    handover_ms = HANDOVER_MS if sale.is_delivered else 0
    return AuctionTerms(
        kind=sale.kind,
        direction=sale.direction,
        lots=tuple(Lot(f"thing{sale.number}.{place}", limit) for place in range(sale.lots)),
        cap=CAP * scale * sale.lots if is_forward else 0,
        units=sale.units,
        pricing=sale.pricing,
        increment=5 * scale if is_english else 0,
        start=(250 if is_forward else 10) * scale if is_dutch else 0,
        step=10 * scale if is_dutch else 0,
        step_ms=DUTCH_STEP_MS if is_dutch else 0,
        bid_ms=DUTCH_MS if is_dutch else BID_MS,
        reveal_ms=BID_MS if is_sealed else 0,
        extend_ms=1_000 if is_english else 0,
        extend_ms_max=10_000 if is_english else 0,
        bidders=bidders if is_sealed else (),
        delivery_ms=handover_ms,
        accept_ms=handover_ms,
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


def plan_handovers(party: "Party", world: "MarketWorld") -> list[AnyBody]:
    """What a seller delivers and a payer answers now."""
    said = {
        (type(op.body).__name__, op.body.auction, op.body.winner)
        for op in party.pending
        if isinstance(op.body, Deliver | AcceptDelivery)
    }
    bodies: list[AnyBody] = []
    for view in world.state.auctions():
        for agreement in view.agreements:
            winner = agreement.award.winner
            seller, payer = winner, view.opener
            if view.terms.direction == "forward":
                seller, payer = payer, seller
            body: AnyBody | None = None
            if view.stage == "auction_delivery" and not agreement.delivered:
                body = party.deliver(world, view, winner) if party.key == seller else None
            elif agreement.delivered and party.key == payer:
                paid_ppm = party.receive(world, view.auction, winner)
                body = None if paid_ppm is None else AcceptDelivery(view.auction, winner, paid_ppm)
            if body and (type(body).__name__, view.auction, winner) not in said:
                bodies.append(body)
    return bodies


# --- bidding -------------------------------------------------------------------------------------


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
    match view.stage:
        case "auction_commit" if party.key not in view.bidders and not view.overdue:
            if view.terms.bidders and party.key not in view.terms.bidders:
                return None
            priced = party.offer(view)
            if not priced:
                return CommitAuctionBid(view.auction, None) if view.terms.bidders else None
            return CommitAuctionBid(view.auction, compute_seal(party, world, view, priced))
        case "auction_reveal" if party.key in view.waiting:
            priced = party.offer(view)
            if priced and party.opens(world, view):
                return RevealAuctionBid(view.auction, priced, compute_salt(party, view))
        case "auction_bid" if view.standing != party.key:
            return _plan_open_bid(party, world, view)
        case "auction_accept":
            return _plan_acceptance(party, world, view)
    return None


def _plan_open_bid(party: "Party", world: "MarketWorld", view: AuctionView) -> AnyBody | None:
    """A step beyond what is needed: weights and other bids of the same batch may differ."""
    priced = party.offer(view)
    least = world.state.quote(view.auction, party.key, world.now_ms)
    if not priced or least is None or world.now_ms >= view.stage_deadline_ms:
        return None
    if view.terms.direction == "forward":
        price = least * 106 // 100
        return PlaceBid(view.auction, price) if price <= priced[0].price else None
    price = least * 94 // 100
    return PlaceBid(view.auction, price) if price >= priced[0].price else None


def _plan_acceptance(party: "Party", world: "MarketWorld", view: AuctionView) -> AnyBody | None:
    """Take the clock's price once it is as good as what it would bid; look again at that time."""
    if (view.auction, party.name) not in world.takes:
        world.takes[view.auction, party.name] = _find_take(party, world, view)
    time_ms = world.takes[view.auction, party.name]
    if time_ms is None or world.now_ms >= view.stage_deadline_ms:
        return None
    if world.now_ms < time_ms:
        world.wake(time_ms)
        return None
    price = party.offer(view)[0].price
    return AcceptPrice(view.auction, price) if _is_good(party, world, view, world.now_ms) else None


def _find_take(party: "Party", world: "MarketWorld", view: AuctionView) -> int | None:
    if not party.offer(view):
        return None
    times = range(view.opened_ms, view.stage_deadline_ms, DUTCH_STEP_MS)
    return next((at_ms for at_ms in times if _is_good(party, world, view, at_ms)), None)


def _is_good(party: "Party", world: "MarketWorld", view: AuctionView, at_ms: int) -> bool:
    wanted, price = party.offer(view), world.state.quote(view.auction, party.key, at_ms)
    if price is None or not wanted:
        return False
    if view.terms.direction == "forward":
        return price <= wanted[0].price
    return price >= wanted[0].price


def compute_salt(party: "Party", view: AuctionView) -> bytes:
    return hashlib.sha256(party.secret + view.auction).digest()


def compute_seal(party: "Party", world: "MarketWorld", view: AuctionView, priced: Priced) -> bytes:
    place = world.committee
    return compute_auction_commitment(
        place.network,
        place.id,
        view.auction,
        party.key,
        [(bundle.lots, bundle.price) for bundle in priced],
        compute_salt(party, view),
    )

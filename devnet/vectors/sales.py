"""What happens in the village's general auctions: one of each kind, selling and buying."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from crdt.facts_auctions import AuctionPhase, AuctionTerms, BundleBid, Lot
from devnet.vectors.places import digest
from devnet.vectors.village import Village
from protocols.auction.commit_reveal import compute_auction_commitment
from protocols.economy.auction_model import compute_auction_id
from protocols.economy.body import Body
from protocols.economy.operations import Held, Inventory
from protocols.economy.operations_auctions import (
    AcceptDelivery,
    AcceptPrice,
    CommitAuctionBid,
    Deliver,
    OpenAuction,
    PlaceBid,
    RevealAuctionBid,
)

OPENER = "alice"
PHASE_MS, DELIVERY_MS = 4_000, 60_000
CAP = 1_000
PRICES = {"m1": 400, "m2": 700, "m3": 550, "m4": 620}
DIRECTIONS = ("forward", "reverse")
ONE_LOT = (("a boat", 100, 1_000),)
TWO_LOTS = (("a boat", 100, 1_000), ("an oar", 50, 900))
"""Name, the least price when it is sold, the most when it is bought."""
Bids = dict[str, tuple[BundleBid, ...]]


class Sale:
    """One auction of alice's in a village."""

    def __init__(
        self,
        kind: str,
        direction: str,
        lots: Sequence[tuple[str, int, int]] = ONE_LOT,
        rules: dict[str, int] | None = None,
        **others: Any,
    ) -> None:
        self.village = Village(**rules or {})
        village = self.village
        listed = tuple(sorted(village.keys[name].public for name in PRICES))
        is_sealed = kind not in ("english", "dutch")
        self.terms = msgspec.convert(
            {
                "kind": kind,
                "direction": direction,
                "lots": [
                    Lot(name, low if direction == "forward" else high) for name, low, high in lots
                ],
                "cap": CAP if direction == "forward" else 0,
                "bid_ms": PHASE_MS,
                "reveal_ms": PHASE_MS if is_sealed else 0,
                "bidders": listed if is_sealed else (),
                **others,
            },
            AuctionTerms,
        )
        place = village.committee
        nonce = village.chain.get_next_nonce(village.keys[OPENER].public)
        opener = village.keys[OPENER].public
        self.id = compute_auction_id(place.network, place.id, opener, nonce)
        village.act((OPENER, OpenAuction(self.terms)))

    def commit(self, bids: Bids) -> None:
        """Seal bids; who is listed and has none passes."""
        said: list[tuple[str, Body]] = [
            (name, CommitAuctionBid(self.id, self._seal(name, bids[name])))
            if name in bids
            else (name, CommitAuctionBid(self.id, None))
            for name in PRICES
        ]
        self.village.act(*said)

    def reveal(self, bids: Bids) -> None:
        self.village.act(
            *(
                (name, RevealAuctionBid(self.id, bundles, digest(name)))
                for name, bundles in bids.items()
            )
        )

    def _seal(self, name: str, bundles: tuple[BundleBid, ...]) -> bytes:
        place, key = self.village.committee, self.village.keys[name]
        priced = [(bundle.lots, bundle.price) for bundle in bundles]
        return compute_auction_commitment(
            place.network, place.id, self.id, key.public, priced, digest(name)
        )

    def miss_deadline(self, phase: AuctionPhase, *held: tuple[str, tuple[str, ...]]) -> None:
        """Let the phase fall due; then these members say whose words they hold."""
        village = self.village
        village.act(wait_ms=self.terms.bid_ms + PHASE_MS)
        inventories = [
            (name, Inventory((Held(self.id, 0, phase, self._sort(parties)),)))
            for name, parties in held
        ]
        village.act(*inventories)

    def _sort(self, names: tuple[str, ...]) -> tuple[bytes, ...]:
        return tuple(sorted(self.village.keys[name].public for name in names))


def make_bids(kind: str) -> Bids:
    """What the members bid, by PRICES, in a form that the kind knows."""
    if kind == "call":
        return {
            name: (BundleBid(b"\0", price), BundleBid(b"\1", price // 2 + 20))
            for name, price in PRICES.items()
        }
    if kind == "combinatorial":
        return {
            name: (BundleBid(b"\0", price), BundleBid(b"\0\1", price + 150 + number))
            if number % 2
            else (BundleBid(b"\1", price // 2),)
            for number, (name, price) in enumerate(PRICES.items())
        }
    return {name: (BundleBid(b"\0", price),) for name, price in PRICES.items()}


def sell_sealed(kind: str, direction: str, **others: Any) -> Sale:
    """Everybody seals a bid and opens it: the auction ends at once."""
    lots = TWO_LOTS if kind in ("combinatorial", "call") else ONE_LOT
    sale = Sale(kind, direction, lots, **others)
    bids = make_bids(kind)
    sale.commit(bids)
    sale.reveal(bids)
    return sale


def sell_english(direction: str) -> Sale:
    """Three bids, each better than the one before; the last one stands at the deadline."""
    sale = Sale("english", direction, increment=5)
    first, step = (200, 50) if direction == "forward" else (900, -50)
    for number, name in enumerate(("m1", "m2", "bob")):
        sale.village.act((name, PlaceBid(sale.id, first + number * step)))
    sale.miss_deadline("auction_bid", *((name, ()) for name in ("m1", "m2", "m3")))
    return sale


def sell_dutch(direction: str) -> Sale:
    """The price moves until one takes it."""
    start, limit = (900, 500) if direction == "forward" else (100, 600)
    sale = Sale("dutch", direction, start=start, step=40, step_ms=100)
    sale.village.act(("bob", AcceptPrice(sale.id, limit)), wait_ms=100)
    sale.village.act(("m2", AcceptPrice(sale.id, limit)), wait_ms=1_500)
    return sale


def sell_to_nobody(direction: str) -> Sale:
    """Nobody bids until the deadline."""
    sale = Sale("vickrey", direction)
    sale.miss_deadline("auction_commit", *((name, ()) for name in ("m1", "m2", "m3")))
    return sale


def keep_silent(direction: str) -> Sale:
    """One of four does not open its bid: a quorum's inventories end the wait, its deposit burns."""
    sale = Sale("vickrey", direction)
    bids = make_bids("vickrey")
    sale.commit(bids)
    sale.reveal({name: bids[name] for name in ("m1", "m2", "m3")})
    sale.miss_deadline("auction_reveal", *((name, ()) for name in ("m1", "m2", "m3")))
    return sale


def deliver(paid_ppm: int | None, is_delivered: bool = True) -> Sale:
    """A sale with a delivery; without `paid_ppm` the buyer says nothing, which pays in full."""
    sale = sell_sealed("vickrey", "forward", delivery_ms=DELIVERY_MS, accept_ms=DELIVERY_MS)
    village = sale.village
    winner = village.keys["m2"].public
    if is_delivered:
        village.act((OPENER, Deliver(sale.id, winner, None, "at the pier")))
    if paid_ppm is not None:
        village.act(("m2", AcceptDelivery(sale.id, winner, paid_ppm)))
        return sale
    phase: AuctionPhase = "auction_acceptance" if is_delivered else "auction_delivery"
    village.act(wait_ms=DELIVERY_MS + PHASE_MS)
    held = Inventory((Held(sale.id, 0, phase, ()),))
    village.act(*((name, held) for name in village.members[:3]))
    return sale


Make = Callable[[], Sale]


def _both(sell: Callable[..., Sale], *args: Any, **others: Any) -> tuple[Make, ...]:
    """One that sells, and one that buys."""
    return tuple(partial(sell, *args, direction=each, **others) for each in DIRECTIONS)


SALES: dict[str, tuple[Make, ...]] = {
    "first_price": _both(sell_sealed, "first_price"),
    "vickrey": (
        *_both(sell_sealed, "vickrey"),
        *_both(keep_silent),
        partial(sell_to_nobody, "forward"),
    ),
    "multi_unit": _both(sell_sealed, "multi_unit", units=2),
    "english": _both(sell_english),
    "dutch": _both(sell_dutch),
    "combinatorial": (
        *_both(sell_sealed, "combinatorial"),
        *_both(sell_sealed, "combinatorial", pricing="pay_as_bid"),
    ),
    "call": _both(sell_sealed, "call"),
}
"""By kind of auction; first one that sells, then one that buys."""


def sale() -> Village:
    """A boat is sold by sealed bids; one of the four bidders never opens its own."""
    return keep_silent("forward").village


def purchase() -> Village:
    """Two things are bought by bids for bundles, paid by what the winners' absence would cost."""
    return sell_sealed("combinatorial", "reverse").village


def delivery() -> Village:
    """What was sold is delivered, and the buyer pays a part; the rest burns."""
    return deliver(600_000).village


def undelivered() -> Village:
    """What was sold never comes: the buyer is paid back, and the seller's deposit burns."""
    return deliver(None, is_delivered=False).village


def unanswered() -> Village:
    """The buyer does not say what a delivery is worth: it pays in full."""
    return deliver(None).village


SALE_STORIES: dict[str, Callable[[], Village]] = {
    "sale": sale,
    "purchase": purchase,
    "delivery": delivery,
    "undelivered": undelivered,
    "unanswered": unanswered,
}

"""Winners and payments by trying: prices by bisection, bundles by all sets of lots.

Written from docs/protocol-market.md, without the product's mechanisms, so that a mistake in those
is seen. Small instances alone.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from crdt.facts_auctions import AuctionBid, AuctionTerms
from devnet.sim.market.fold import MILLION, digest_of

Award = tuple[bytes, bytes, int]
"""Winner, lots, price."""


@dataclass(frozen=True)
class Sealed:
    """What was opened, with what breaks ties."""

    terms: AuctionTerms
    bids: Mapping[bytes, tuple[tuple[bytes, int], ...]]
    """(lots, price) of each bidder's bundles."""
    weights: Mapping[bytes, int]
    seed: bytes
    auction: bytes


def make_sealed(
    terms: AuctionTerms, bids: tuple[AuctionBid, ...], seed: bytes, auction: bytes
) -> Sealed:
    return Sealed(
        terms,
        {bid.bidder: tuple((each.lots, each.price) for each in bid.bundles) for bid in bids},
        {bid.bidder: bid.weight_ppm for bid in bids},
        seed,
        auction,
    )


def find_awards(sealed: Sealed) -> list[Award]:
    """Who wins what for how much, ascending."""
    if sealed.terms.kind in ("combinatorial", "call"):
        return sorted(_find_bundles(sealed))
    return sorted(_find_single(sealed))


# --- one lot -------------------------------------------------------------------------------------


def _find_single(sealed: Sealed) -> list[Award]:
    terms = sealed.terms
    bids = {bidder: bundles[0][1] for bidder, bundles in sealed.bids.items()}
    winners = _rank(sealed, bids)[: terms.units]
    if terms.kind == "first_price":
        return [(winner, b"\x00", bids[winner]) for winner in winners]
    return [(winner, b"\x00", _find_price(sealed, bids, winner)) for winner in winners]


def _find_price(sealed: Sealed, bids: Mapping[bytes, int], winner: bytes) -> int:
    """The last price with which it still wins, by bisection."""
    terms, limit = sealed.terms, sealed.terms.lots[0].limit

    def wins(price: int) -> bool:
        return winner in _rank(sealed, {**bids, winner: price})[: terms.units]

    good, bad = bids[winner], limit - 1 if terms.direction == "forward" else limit + 1
    while abs(good - bad) > 1:
        middle = (good + bad) // 2
        if wins(middle):
            good = middle
        else:
            bad = middle
    return good


def _rank(sealed: Sealed, bids: Mapping[bytes, int]) -> list[bytes]:
    """The best first; bids beyond the limit do not count."""
    limit, is_forward = sealed.terms.lots[0].limit, sealed.terms.direction == "forward"
    counted = [
        bidder
        for bidder, price in bids.items()
        if (price >= limit if is_forward else price <= limit)
    ]

    def key(bidder: bytes) -> tuple[Fraction, bytes]:
        weight = sealed.weights[bidder]
        score = Fraction(-bids[bidder] * weight) if is_forward else Fraction(bids[bidder], weight)
        return score, digest_of(sealed.seed, sealed.auction, bidder)

    return sorted(counted, key=key)


# --- several lots --------------------------------------------------------------------------------

Choice = tuple[int, int, tuple[tuple[bytes, bytes], ...]]
"""Sum of gains, sum of ties, and the winners with their lots."""


def find_best(sealed: Sealed, without: bytes | None = None) -> Choice:
    """The best allocation: bidder after bidder, for each set of lots that may be taken."""
    best: dict[int, Choice] = {0: (0, 0, ())}
    for bidder, bundles in sealed.bids.items():
        if bidder == without:
            continue
        grown = dict(best)
        for lots, price in bundles:
            gain = compute_gain(sealed, bidder, lots, price)
            if gain < 0:
                continue
            mask = sum(1 << lot for lot in lots)
            tie = _compute_tie(sealed, bidder, mask)
            for taken, (value, ties, winners) in best.items():
                if not taken & mask:
                    made = (value + gain, ties + tie, (*winners, (bidder, lots)))
                    other = grown.get(taken | mask)
                    if other is None or made[:2] > other[:2]:
                        grown[taken | mask] = made
        best = grown
    return max(best.values(), key=lambda choice: choice[:2])


def compute_gain(sealed: Sealed, bidder: bytes, lots: bytes, price: int) -> int:
    limit = sum(sealed.terms.lots[lot].limit for lot in lots)
    if sealed.terms.direction == "forward":
        return sealed.weights[bidder] * (price - limit)
    return MILLION * limit - _multiply(sealed, bidder) * price


def _multiply(sealed: Sealed, bidder: bytes) -> int:
    return MILLION * MILLION // sealed.weights[bidder]


def _compute_tie(sealed: Sealed, bidder: bytes, mask: int) -> int:
    content = sealed.seed + sealed.auction + bidder + mask.to_bytes(8, "big")
    return 1 + int.from_bytes(hashlib.sha256(content).digest()[-4:], "big") % (1 << 20)


def _find_bundles(sealed: Sealed) -> list[Award]:
    total, _, winners = find_best(sealed)
    awards = []
    for bidder, lots in winners:
        price = next(price for each, price in sealed.bids[bidder] if each == lots)
        if sealed.terms.pricing == "vcg":
            gain = compute_gain(sealed, bidder, lots, price)
            price = _charge(sealed, bidder, lots, find_best(sealed, bidder)[0] - (total - gain))
        awards.append((bidder, lots, price))
    return awards


def _charge(sealed: Sealed, bidder: bytes, lots: bytes, harm: int) -> int:
    """The price of a winner whose presence costs the others a gain of `harm`."""
    limit = sum(sealed.terms.lots[lot].limit for lot in lots)
    if sealed.terms.direction == "forward":
        return limit + -(-harm // sealed.weights[bidder])
    return (MILLION * limit - harm) // _multiply(sealed, bidder)

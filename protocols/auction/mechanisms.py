"""Payment rules of sealed-bid auctions with reputation weights, on integers.

Second price with weights (an affine maximiser): a bid counts as price times weight (forward,
highest wins) or price over weight (reverse, lowest wins), compared exactly by multiplying
crosswise. The winner pays (is paid) the last price with which it would still have won, so no lie
pays and nobody loses (Vickrey 1961; Edelman, Ostrovsky, Schwarz 2007 for weights). Ties go to the
smaller sha256(seed | auction | bidder), with a seed fixed after the bids were sealed; a price that
only ties is enough exactly when the tie is won.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key

from protocols.auction.commit_reveal import compute_draw


@dataclass(frozen=True, slots=True)
class Bid:
    """`price` in credits; `weight_ppm` > 0."""

    bidder: bytes
    price: int
    weight_ppm: int


@dataclass(frozen=True, slots=True)
class Award:
    """One unit goes to `bidder`, who pays (forward) or is paid (reverse) `price`."""

    bidder: bytes
    price: int


def award_reverse(
    bids: Sequence[Bid], budget: int, seed: bytes, auction: bytes, units: int = 1
) -> list[Award]:
    """The `units` best offers to sell, best first; offers above `budget` do not count.

    i beats j when a_i * w_j < a_j * w_i. With the best loser j: i is paid a_j * w_i / w_j, rounded
    down when it wins the tie and else to the next integer below; without one, the budget.
    """

    def compare(left: Bid, right: Bid) -> int:
        return left.price * right.weight_ppm - right.price * left.weight_ppm

    ranked = _rank([bid for bid in bids if bid.price <= budget], compare, seed, auction)
    awards = []
    for bid in ranked[:units]:
        price = budget
        if len(ranked) > units:
            loser = ranked[units]
            scaled = loser.price * bid.weight_ppm
            if _wins_tie(bid, loser, seed, auction):
                price = scaled // loser.weight_ppm
            else:
                price = -(-scaled // loser.weight_ppm) - 1
        awards.append(Award(bid.bidder, min(price, budget)))
    return awards


def award_forward(
    bids: Sequence[Bid], reserve: int, seed: bytes, auction: bytes, units: int = 1
) -> list[Award]:
    """The `units` best offers to buy, best first; offers below `reserve` do not count.

    i beats j when b_i * w_i > b_j * w_j. With the best loser j: i pays b_j * w_j / w_i, rounded up
    when it wins the tie and else to the next integer above; at least the reserve.
    """

    def compare(left: Bid, right: Bid) -> int:
        return right.price * right.weight_ppm - left.price * left.weight_ppm

    ranked = _rank([bid for bid in bids if bid.price >= reserve], compare, seed, auction)
    awards = []
    for bid in ranked[:units]:
        price = reserve
        if len(ranked) > units:
            loser = ranked[units]
            scaled = loser.price * loser.weight_ppm
            if _wins_tie(bid, loser, seed, auction):
                price = -(-scaled // bid.weight_ppm)
            else:
                price = scaled // bid.weight_ppm + 1
        awards.append(Award(bid.bidder, max(price, reserve)))
    return awards


def _rank(
    bids: list[Bid], compare: Callable[[Bid, Bid], int], seed: bytes, auction: bytes
) -> list[Bid]:
    def order(left: Bid, right: Bid) -> int:
        difference = compare(left, right)
        if difference:
            return difference
        return -1 if _wins_tie(left, right, seed, auction) else 1

    return sorted(bids, key=cmp_to_key(order))


def _wins_tie(bid: Bid, other: Bid, seed: bytes, auction: bytes) -> bool:
    return compute_draw(seed, auction, bid.bidder) < compute_draw(seed, auction, other.bidder)

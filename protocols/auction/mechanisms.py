"""Payment rules of sealed-bid auctions with reputation weights, on integers.

First price: the best bids win and pay (are paid) what they say. Nobody loses by its own bid, but
whoever says its true value gains nothing: it pays to shade. No other bid changes what a winner
pays, so it is the rule to choose where the seller and the committee may collude.

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
    ranked = rank_reverse(bids, budget, seed, auction)
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
    ranked = rank_forward(bids, reserve, seed, auction)
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


def award_first_price_reverse(
    bids: Sequence[Bid], budget: int, seed: bytes, auction: bytes, units: int = 1
) -> list[Award]:
    """The `units` best offers to sell, each paid what it asked."""
    ranked = rank_reverse(bids, budget, seed, auction)[:units]
    return [Award(bid.bidder, bid.price) for bid in ranked]


def award_first_price_forward(
    bids: Sequence[Bid], reserve: int, seed: bytes, auction: bytes, units: int = 1
) -> list[Award]:
    """The `units` best offers to buy, each paying what it offered."""
    ranked = rank_forward(bids, reserve, seed, auction)[:units]
    return [Award(bid.bidder, bid.price) for bid in ranked]


Rule = Callable[[Sequence[Bid], int, bytes, bytes, int], list[Award]]
SECOND_PRICE: dict[str, Rule] = {"forward": award_forward, "reverse": award_reverse}
FIRST_PRICE: dict[str, Rule] = {
    "forward": award_first_price_forward,
    "reverse": award_first_price_reverse,
}


def rank_reverse(bids: Sequence[Bid], budget: int, seed: bytes, auction: bytes) -> list[Bid]:
    """Offers to sell within the budget, the best first."""

    def compare(left: Bid, right: Bid) -> int:
        return left.price * right.weight_ppm - right.price * left.weight_ppm

    return _rank([bid for bid in bids if bid.price <= budget], compare, seed, auction)


def rank_forward(bids: Sequence[Bid], reserve: int, seed: bytes, auction: bytes) -> list[Bid]:
    """Offers to buy of at least the reserve, the best first."""

    def compare(left: Bid, right: Bid) -> int:
        return right.price * right.weight_ppm - left.price * left.weight_ppm

    return _rank([bid for bid in bids if bid.price >= reserve], compare, seed, auction)


def clear_uniform(asks: Sequence[int], bids: Sequence[int]) -> tuple[int, int]:
    """One price for many sellers and buyers of one unit each: (price, units that change hands).

    The most that agree trade: the k cheapest asks and the k highest bids. The price lies in the
    middle of the last two that trade, so nobody loses; it can pay to lie where one's own is one of
    them (McAfee 1992). Without a trade the price is 0.
    """
    sellers, buyers = sorted(asks), sorted(bids, reverse=True)
    count = sum(ask <= bid for ask, bid in zip(sellers, buyers, strict=False))
    if not count:
        return 0, 0
    return (sellers[count - 1] + buyers[count - 1]) // 2, count


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

"""One instance: bidders with bundles that exclude each other, and how it becomes a problem."""

import hashlib
import random
from dataclasses import dataclass, field

from protocols.auction.combinatorial.bids import Direction, Offer, Problem, make_problem
from protocols.genesis import PPM

PRICE_SCALE = 1_000
"""Credits of one unit of the descriptions' money."""
WEIGHT_PPM_MIN = 950_000


@dataclass(slots=True)
class Instance:
    """`bidders` lists, for each, its bundles: the goods (bit mask) and the price in credits."""

    family: str
    seed: int
    goods: int
    bids_wanted: int
    bidders: list[list[tuple[int, int]]] = field(default_factory=list)
    count: int = 0

    @property
    def complete(self) -> bool:
        return self.count >= self.bids_wanted

    def add(self, bundles: dict[int, float]) -> bool:
        """Add a bidder with these (goods, value), without what is dominated or already too much.

        A bundle is dominated by one that asks for no more goods and offers no less; where a bidder
        names one bundle alone, those of others count too. False: nothing was left.
        """
        kept: list[tuple[int, int]] = []
        priced = sorted((-round(value * PRICE_SCALE), goods) for goods, value in bundles.items())
        for negative, goods in priced:
            if -negative > 0 and not any(other & goods == other for other, _ in kept):
                kept.append((goods, -negative))
        if len(kept) == 1 and self._is_dominated(*kept[0]):
            return False
        kept = kept[: self.bids_wanted - self.count]
        if not kept:
            return False
        self.bidders.append(kept)
        self.count += len(kept)
        return True

    def _is_dominated(self, goods: int, price: int) -> bool:
        return any(
            len(bundles) == 1 and bundles[0][0] & goods == bundles[0][0] and bundles[0][1] >= price
            for bundles in self.bidders
        )

    def make_problem(self, direction: Direction = "forward") -> Problem:
        """The problem with weights drawn over their whole range. Reverse: the limits are twice what
        a good costs on average, so nearly all can be bought."""
        rng = random.Random(f"weights {self.family} {self.seed}")
        offers = [
            Offer(
                hashlib.sha256(f"bidder {place}".encode()).digest(),
                rng.randrange(WEIGHT_PPM_MIN, PPM + 1),
                tuple(bundles),
            )
            for place, bundles in enumerate(self.bidders)
        ]
        limits = [0] * self.goods
        if direction == "reverse":
            prices = sum(price for bundles in self.bidders for _, price in bundles)
            sizes = sum(goods.bit_count() for bundles in self.bidders for goods, _ in bundles)
            limits = [2 * prices // max(sizes, 1)] * self.goods
        return make_problem(direction, limits, offers)


def to_mask(goods: set[int] | frozenset[int] | list[int]) -> int:
    mask = 0
    for good in goods:
        mask |= 1 << good
    return mask

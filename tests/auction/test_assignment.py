"""The call auction by brute force: the best assignment, its VCG payments, no lie that pays."""

import random
from itertools import product

import pytest

from protocols.auction.assignment import LotPrices, assign
from protocols.auction.combinatorial.bids import Direction, compute_gain, compute_multiplier
from protocols.auction.combinatorial.vcg import compute_price

SEED, AUCTION = bytes(32), b"auction"
WEIGHTS = (950_000, 1_000_000, 975_000)


def best_gain(direction: Direction, limits: list[int], bids: list[LotPrices]) -> int:
    """Every assignment there is."""
    if not bids:
        return 0
    first, rest = bids[0], bids[1:]
    best = best_gain(direction, limits, rest)
    for lot, price in first.prices:
        if limits[lot] >= 0:
            gain = compute_gain(direction, limits[lot], first.weight_ppm, price)
            if gain >= 0:
                others = [-1 if each == lot else limit for each, limit in enumerate(limits)]
                best = max(best, gain + best_gain(direction, others, rest))
    return best


def make_bids(rng: random.Random, lots: int, bidders: int, top: int) -> list[LotPrices]:
    return [
        LotPrices(
            bytes([place]),
            rng.choice(WEIGHTS),
            tuple((lot, rng.randint(1, top)) for lot in range(lots) if rng.random() < 0.8),
        )
        for place in range(bidders)
    ]


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_assignment_and_payments_are_those_of_every_assignment(direction: Direction) -> None:
    for number in range(300):
        rng = random.Random(number)
        lots, bidders = rng.randint(1, 4), rng.randint(1, 5)
        limits = [rng.randint(1, 6) for _ in range(lots)]
        bids = make_bids(rng, lots, bidders, 8)
        found = assign(direction, limits, bids, SEED, AUCTION)
        assert len({each.lot for each in found}) == len({each.bidder for each in found})
        total = best_gain(direction, limits, bids)
        gains = {
            each.bidder: compute_gain(
                direction,
                limits[each.lot],
                bids[each.bidder].weight_ppm,
                dict(bids[each.bidder].prices)[each.lot],
            )
            for each in found
        }
        assert sum(gains.values()) == total
        for each in found:
            others = [bid for place, bid in enumerate(bids) if place != each.bidder]
            loss = best_gain(direction, limits, others) - (total - gains[each.bidder])
            factor = compute_multiplier(direction, bids[each.bidder].weight_ppm)
            assert each.price == compute_price(direction, limits[each.lot], factor, loss)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_no_lie_pays_and_nobody_loses(direction: Direction) -> None:
    limits, values = [2, 1], range(1, 5)
    sign = 1 if direction == "forward" else -1
    if direction == "reverse":
        limits = [4, 3]
    grid = list(product(values, repeat=2))

    def utility(bids: list[LotPrices], truth: tuple[int, int]) -> int:
        for each in assign(direction, limits, bids, SEED, AUCTION):
            if each.bidder == 0:
                return sign * (truth[each.lot] - each.price)
        return 0

    for others in product(grid, grid[::3]):
        rest = [
            LotPrices(bytes([place + 1]), WEIGHTS[place + 1], tuple(enumerate(prices)))
            for place, prices in enumerate(others)
        ]
        told = {
            lie: utility_of_lie
            for lie in grid
            for utility_of_lie in [[LotPrices(b"\0", WEIGHTS[0], tuple(enumerate(lie))), *rest]]
        }
        for truth in grid:
            honest = utility(told[truth], truth)
            assert honest >= 0
            assert all(utility(bids, truth) <= honest for bids in told.values())


def test_ties_follow_the_seed_and_nothing_else() -> None:
    bids = [LotPrices(bytes([place]), 1_000_000, ((0, 5),)) for place in range(4)]
    winners = {
        assign("forward", [1], bids, bytes([number]) * 32, AUCTION)[0].bidder
        for number in range(40)
    }
    assert winners == {0, 1, 2, 3}
    turned = assign("forward", [1], bids[::-1], SEED, AUCTION)[0]
    assert bids[::-1][turned.bidder] == bids[assign("forward", [1], bids, SEED, AUCTION)[0].bidder]


def test_nobody_and_nothing() -> None:
    assert assign("forward", [1], [], SEED, AUCTION) == []
    assert assign("forward", [9], [LotPrices(b"a", 1_000_000, ((0, 8),))], SEED, AUCTION) == []
    lone = assign("forward", [9], [LotPrices(b"a", 950_000, ((0, 9),))], SEED, AUCTION)
    assert [each.price for each in lone] == [9]

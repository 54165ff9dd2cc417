"""Which claims hold for which kind, by brute force through `clear`, the function that ordered code
and verifiers use; with ties, unequal weights, reserves and budgets."""

from collections.abc import Sequence
from itertools import product

import pytest

from crdt.facts_auctions import AuctionBid, AuctionTerms, BundleBid
from protocols.auction.clearing import Contest, Outcome, clear
from protocols.auction.mechanisms import clear_uniform
from protocols.auction.open_prices import (
    beats,
    compute_clock,
    compute_dutch_price,
    compute_end,
    is_within,
)
from tests.economy.auction_commands import make_terms

NAMES = (b"a" * 32, b"b" * 32, b"c" * 32)
SEEDS = tuple(bytes([i]) * 32 for i in range(2))
PRICES = range(1, 7)
WEIGHTS = ((1, 1, 1), (2, 3, 4), (3, 2, 2), (950_000, 1_000_000, 975_000))
LIMITS = {"forward": 2, "reverse": 5}
CASES = [
    (kind, direction, units)
    for kind, units in (("vickrey", 1), ("multi_unit", 1), ("multi_unit", 2), ("multi_unit", 3))
    for direction in ("forward", "reverse")
]


def make_bids(prices: Sequence[int], weights: Sequence[int]) -> tuple[AuctionBid, ...]:
    return tuple(
        AuctionBid(name, weight, (BundleBid(b"\0", price),), 0)
        for name, price, weight in zip(NAMES, prices, weights, strict=True)
    )


def compute_gains(
    terms: AuctionTerms, prices: Sequence[int], values: Sequence[int], weights, seed: bytes
) -> list[int]:
    """What each bidder gains whose true value (cost) is in `values` when it says `prices`."""
    found = clear(Contest(bytes(32), terms, 0, make_bids(prices, weights), seed))
    assert isinstance(found, Outcome)
    assert len(found.awards) <= terms.units
    gains = [0, 0, 0]
    for award in found.awards:
        me = NAMES.index(award.winner)
        sign = 1 if terms.direction == "forward" else -1
        gains[me] = sign * (values[me] - award.price)
    return gains


@pytest.mark.parametrize(("kind", "direction", "units"), CASES)
@pytest.mark.parametrize("weights", WEIGHTS)
def test_no_lie_pays_and_nobody_loses(kind, direction, units, weights):
    terms = make_terms(kind, direction, limit=LIMITS[direction], units=units)
    for values, seed in product(product(PRICES, repeat=3), SEEDS):
        honest = compute_gains(terms, values, values, weights, seed)
        assert min(honest) >= 0
        for me in range(3):
            for lie in PRICES:
                said = [*values[:me], lie, *values[me + 1 :]]
                assert compute_gains(terms, said, values, weights, seed)[me] <= honest[me]


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_first_price_nobody_loses_and_truth_gains_nothing(direction, weights):
    terms = make_terms("first_price", direction, limit=LIMITS[direction])
    shaded = False
    for values in product(PRICES, repeat=3):
        honest = compute_gains(terms, values, values, weights, SEEDS[0])
        assert honest == [0, 0, 0]
        for me, lie in product(range(3), PRICES):
            said = [*values[:me], lie, *values[me + 1 :]]
            shaded |= compute_gains(terms, said, values, weights, SEEDS[0])[me] > 0
    assert shaded


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize("weights", WEIGHTS)
def test_english_whoever_goes_on_to_its_value_does_not_lose(direction, weights):
    """Bidders that raise by the least step up to their values: the best score wins, up to one
    step, at no more than its value."""
    limit = LIMITS[direction]
    terms = make_terms("english", direction, limit=limit)
    for values in product(PRICES, repeat=3):
        standing: tuple[int, int, int] | None = None  # who, price, weight
        steps = range(1, 8) if direction == "forward" else range(7, 0, -1)
        moved = True
        while moved:
            moved = False
            for me, (value, weight) in enumerate(zip(values, weights, strict=True)):
                if standing is not None and standing[0] == me:
                    continue
                for price in steps:
                    if price > value if direction == "forward" else price < value:
                        break
                    better = standing is None or beats(terms, price, weight, standing[1:])
                    if is_within(terms, price) and better:
                        standing, moved = (me, price, weight), True
                        break
        within = [v >= limit if direction == "forward" else v <= limit for v in values]
        assert (standing is not None) == any(within)
        if standing is not None:
            me, price, weight = standing
            assert price <= values[me] if direction == "forward" else price >= values[me]
            others = [i for i in range(3) if i != me and within[i]]
            assert not any(beats(terms, values[i], weights[i], (price, weight)) for i in others)


def test_english_cannot_be_beaten_by_less_than_the_increment():
    terms = make_terms("english", "forward", increment=5)
    assert not beats(terms, 24, 1, (20, 1))
    assert beats(terms, 25, 1, (20, 1))
    assert not beats(terms, 25, 950_000, (20, 1_000_000))
    reverse = make_terms("english", "reverse", increment=5)
    assert not beats(reverse, 16, 1, (20, 1))
    assert beats(reverse, 15, 1, (20, 1))
    assert not beats(reverse, 1, 1, (4, 1))


def test_the_end_moves_and_not_beyond_the_cap():
    terms = make_terms("english", "forward")  # 10 s, 2 s after a bid, 5 s at most
    assert compute_end(terms, 0, 10_000, 1_000) == 10_000
    assert compute_end(terms, 0, 10_000, 9_500) == 11_500
    assert compute_end(terms, 0, 14_900, 14_800) == 15_000
    assert compute_end(terms, 0, 15_000, 17_000) == 15_000
    assert compute_end(terms, 0, 10_000, 18_000) == 10_000
    assert compute_end(make_terms("english", "forward", extend_ms=0), 0, 9, 8) == 9


def test_the_dutch_clock():
    down = make_terms("dutch", "forward", limit=42, cap=200)
    assert [compute_clock(down, ms) for ms in (0, 999, 1_000, 5_999, 6_000, 10**12)] == [
        *(100, 100, 90, 50, 42, 42)
    ]
    up = make_terms("dutch", "reverse", limit=25)
    assert [compute_clock(up, ms) for ms in (0, 1_000, 2_999, 3_000, 10**12)] == [1, 11, 21, 25, 25]
    for ms in range(0, 12_000, 500):
        for weight in (950_000, 975_001, 1_000_000):
            paid = compute_dutch_price(down, ms, weight)
            assert compute_clock(down, ms) <= paid <= 200
            assert paid * weight >= compute_clock(down, ms) * 1_000_000
            asked = compute_dutch_price(up, ms, weight)
            assert 1 <= asked <= compute_clock(up, ms) <= 25
    free = make_terms("dutch", "forward", limit=0, start=1, cap=1)
    assert compute_clock(free, 10**9) == 1


def test_dutch_the_price_is_that_of_the_time():
    terms = make_terms("dutch", "forward", limit=10)
    bid = AuctionBid(NAMES[0], 1_000_000, (BundleBid(b"\0", 70),), 13_000)
    found = clear(Contest(bytes(32), terms, 10_000, (bid,), bytes(32)))
    assert isinstance(found, Outcome)
    assert [award.price for award in found.awards] == [70]


@pytest.mark.parametrize("kind", ["english", "dutch", "vickrey", "first_price", "multi_unit"])
def test_nobody_bids_nobody_wins(kind):
    for direction in ("forward", "reverse"):
        terms = make_terms(kind, direction)
        assert clear(Contest(bytes(32), terms, 0, (), bytes(32))) == Outcome()


def test_one_price_for_all():
    for asks in product(range(1, 6), repeat=3):
        for bids in product(range(1, 6), repeat=2):
            price, count = clear_uniform(asks, bids)
            sellers, buyers = sorted(asks), sorted(bids, reverse=True)
            assert all(ask <= price for ask in sellers[:count])
            assert all(bid >= price for bid in buyers[:count])
            if count < 2:  # nobody else would still agree
                assert sellers[count] > buyers[count]
    assert clear_uniform((), (1,)) == (0, 0)

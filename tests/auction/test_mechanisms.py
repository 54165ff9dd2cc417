"""The payment rules by brute force: no lie pays, nobody loses, ties included."""

from collections.abc import Callable
from itertools import product

import pytest

from protocols.auction.commit_reveal import (
    compute_bid_commitment,
    compute_draw,
    compute_work_commitment,
    may_close,
)
from protocols.auction.mechanisms import Award, Bid, award_forward, award_reverse

NAMES = (b"a", b"b", b"c")
AUCTION = b"auction"
SEEDS = tuple(bytes([i]) * 32 for i in range(3))
PRICES = range(1, 8)
LIMIT = 6
# Small weights make many exact ties (2 * 3 = 3 * 2); the last are the real range.
WEIGHTS = ((1, 1, 1), (2, 3, 4), (3, 2, 2), (950_000, 1_000_000, 975_000))

Rule = Callable[..., list[Award]]


def utility(rule: Rule, bids: list[Bid], me: int, true: int, seed: bytes, units: int) -> int:
    for award in rule(bids, LIMIT, seed, AUCTION, units):
        if award.bidder == NAMES[me]:
            return award.price - true if rule is award_reverse else true - award.price
    return 0


@pytest.mark.parametrize("rule", [award_reverse, award_forward])
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("units", [1, 2, 3])
def test_no_lie_pays_and_nobody_loses(rule: Rule, weights: tuple[int, ...], units: int) -> None:
    for prices, seed in product(product(PRICES, repeat=3), SEEDS):
        honest = [Bid(*bid) for bid in zip(NAMES, prices, weights, strict=True)]
        for me, true in enumerate(prices):
            base = utility(rule, honest, me, true, seed, units)
            assert base >= 0
            for lie in PRICES:
                bids = list(honest)
                bids[me] = Bid(NAMES[me], lie, weights[me])
                assert utility(rule, bids, me, true, seed, units) <= base


@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("units", [1, 2])
def test_the_price_is_the_last_that_wins(weights: tuple[int, ...], units: int) -> None:
    """One credit beyond the price and the winner would have lost."""
    for prices, seed in product(product(PRICES, repeat=3), SEEDS):
        bids = [Bid(*bid) for bid in zip(NAMES, prices, weights, strict=True)]
        for rule, step in ((award_reverse, 1), (award_forward, -1)):
            for award in rule(bids, LIMIT, seed, AUCTION, units):
                me = NAMES.index(award.bidder)
                for price, wins in ((award.price, True), (award.price + step, False)):
                    others = [bid for bid in bids if bid.bidder != award.bidder]
                    again = rule(
                        [*others, Bid(award.bidder, price, weights[me])],
                        LIMIT,
                        seed,
                        AUCTION,
                        units,
                    )
                    assert (award.bidder in [other.bidder for other in again]) == wins


def test_winners_are_the_best_and_ties_go_by_the_draw() -> None:
    seed = SEEDS[0]
    bids = [Bid(b"a", 20, 2), Bid(b"b", 30, 3), Bid(b"c", 50, 4)]
    first = min((b"a", b"b"), key=lambda name: compute_draw(seed, AUCTION, name))
    assert award_reverse(bids, 100, seed, AUCTION)[0].bidder == first
    # 20/2 and 30/3 tie exactly, so each sets the other's price: its own bid
    price = {b"a": 20, b"b": 30}[first]
    assert award_reverse(bids, 100, seed, AUCTION) == [Award(first, price)]
    assert {award.bidder for award in award_reverse(bids, 100, seed, AUCTION, 2)} == {b"a", b"b"}


def test_the_order_of_bids_does_not_matter() -> None:
    bids = [Bid(bytes([i]), 10 + i % 3, 950_000 + i) for i in range(12)]
    for units in (1, 4, 20):
        expected = award_reverse(bids, 12, SEEDS[1], AUCTION, units)
        assert award_reverse(bids[::-1], 12, SEEDS[1], AUCTION, units) == expected


def test_alone_and_nobody() -> None:
    assert award_reverse([Bid(b"a", 5, 1)], 9, SEEDS[0], AUCTION) == [Award(b"a", 9)]
    assert award_forward([Bid(b"a", 5, 1)], 2, SEEDS[0], AUCTION) == [Award(b"a", 2)]
    assert award_reverse([Bid(b"a", 10, 1)], 9, SEEDS[0], AUCTION) == []
    assert award_forward([Bid(b"a", 1, 1)], 2, SEEDS[0], AUCTION) == []
    assert award_reverse([], 9, SEEDS[0], AUCTION) == []


def test_reputation_moves_prices_by_five_percent_at_most() -> None:
    """A stranger at 1000 beats a perfect score at 1053, and loses to it at 1052."""
    for rival, winner in ((1052, b"known"), (1053, b"new")):
        bids = [Bid(b"new", 1_000, 950_000), Bid(b"known", rival, 1_000_000)]
        assert award_reverse(bids, 10_000, SEEDS[0], AUCTION)[0].bidder == winner


def test_a_seal_covers_its_place_and_owner() -> None:
    place = [b"n" * 32, b"c" * 16, b"t" * 32, 1, b"k" * 32, 500, b"s" * 32]
    seals = {compute_bid_commitment(*place)}
    others = [b"N" * 32, b"C" * 16, b"T" * 32, 2, b"K" * 32, 501, b"S" * 32]
    for index, other in enumerate(others):
        seals.add(compute_bid_commitment(*place[:index], other, *place[index + 1 :]))
    seals.add(compute_work_commitment(*place[:5], b"o" * 32, 7, b"s" * 32))
    seals.add(compute_work_commitment(*place[:5], b"o" * 32, 8, b"s" * 32))
    assert len(seals) == len(others) + 3


def test_a_phase_closes_without_the_silent_and_never_without_the_held() -> None:
    assert not may_close({b"1": (), b"2": ()}, {b"x": None}, quorum=3, faults=1)
    assert may_close({b"1": (), b"2": (), b"3": ()}, {b"x": None}, quorum=3, faults=1)
    held = {b"1": (b"x",), b"2": (), b"3": ()}
    assert may_close(held, {b"x": None}, quorum=3, faults=1)
    held[b"2"] = (b"x", b"y")
    assert not may_close(held, {b"x": None, b"y": None}, quorum=3, faults=1)
    assert may_close(held, {b"y": None}, quorum=3, faults=1)

"""The screens find constructed rings, and let honest populations be.

Each honest population runs with many seeds; the share with any suspicion at all is bounded here
and told in docs/protocol-market.md. Set ECONODE_SCREEN_SEEDS to look at more.
"""

import os
import random
import statistics
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt.facts import Fact
from protocols.auction import screening
from protocols.auction.screening import Screening
from protocols.auction.screens import (
    Payments,
    find_components,
    has_low_variation,
    has_relative_distance,
    measure_spread,
    screen_rotation,
    screen_wash_trading,
)
from tests.auction import populations
from tests.auction.populations import AGENTS, key, pay, run_english, screen

SEEDS = int(os.environ.get("ECONODE_SCREEN_SEEDS", "100"))
AUCTIONS = 60
HONEST = {
    populations.bid_apart: 0,
    populations.bid_by_load: 10_000,
    populations.bid_closely: 30_000,
    populations.trade_services: 0,
}
"""Each with the share of seeds (ppm) that may raise a suspicion."""


@pytest.mark.parametrize("population", HONEST, ids=lambda each: each.__name__)
def test_honest_populations_raise_few_suspicions(population, record_property):
    flagged = [seed for seed in range(SEEDS) if screen(population(random.Random(seed), AUCTIONS))]
    share_ppm = len(flagged) * 1_000_000 // SEEDS
    record_property("false_positive_ppm", share_ppm)
    assert share_ppm <= HONEST[population], flagged


RINGS = {
    populations.bid_as_ring: "cover_bids",
    populations.bid_in_turns: "rotation",
    populations.trade_in_circles: "wash_trading",
}


@pytest.mark.parametrize("ring", RINGS, ids=lambda each: each.__name__)
def test_rings_are_found(ring):
    for seed in range(20):
        found = [evidence.screen for evidence in screen(ring(random.Random(seed), AUCTIONS))]
        assert RINGS[ring] in found


def test_ring_of_cover_bids_comes_with_its_numbers():
    (evidence,) = screen(populations.bid_as_ring(random.Random(1), 20))
    assert (evidence.parties, evidence.about) == ((AGENTS[0],), populations.CAPABILITY)
    assert evidence.numbers == {"auctions": 20, "low_variation": 20, "distant": 20, "both": 20}


def test_wash_trading_names_the_circle_and_nobody_else():
    (evidence,) = [
        each
        for each in screen(populations.trade_in_circles(random.Random(1), AUCTIONS))
        if each.screen == "wash_trading"
    ]
    assert evidence.parties == tuple(sorted(AGENTS[:3]))
    assert evidence.numbers["trades"] == AUCTIONS


def make_english_market(shill: bytes | None, seed: int) -> Screening:
    """Three sellers, five buyers; a shill raises the price of the first seller's lots."""
    rng, result = random.Random(seed), Screening()
    sellers = [key(f"seller {i}") for i in range(3)]
    for number in range(45):
        seller = sellers[number % 3]
        values = {agent: rng.randint(100, 400) for agent in rng.sample(AGENTS, 4)}
        if shill is not None and seller == sellers[0]:
            values[shill] = max(values.values()) * 9 // 10
        pace_ms = 100 if shill else rng.randint(100, 4_000)
        for fact, time_ms in run_english(number, seller, values, lambda _: 1, pace_ms):
            result.apply(fact, time_ms)
    return result


def test_shill_is_found_and_no_buyer():
    shill = key("shill")
    for seed in range(20):
        found = [
            evidence.parties
            for evidence in make_english_market(shill, seed).list_evidence()
            if evidence.screen == "shill"
        ]
        assert found == [(key("seller 0"), shill)]


def test_buyers_of_english_auctions_are_no_shills():
    for seed in range(SEEDS):
        assert not make_english_market(None, seed).list_evidence()


def test_buyers_with_one_seller_to_choose_are_no_shills():
    result = Screening()
    for number in range(20):
        values = {AGENTS[0]: 400, AGENTS[1]: 200}
        for fact, time_ms in run_english(number, key("seller"), values, lambda _: 1, 100):
            result.apply(fact, time_ms)
    assert not result.list_evidence()


# --- the functions -----------------------------------------------------------------------------

prices = st.lists(st.integers(1, 10**9), min_size=3, max_size=16)


@given(prices)
def test_variation_is_the_standard_deviation_over_the_mean(bids):
    ratio = statistics.stdev(bids) / statistics.fmean(bids)
    if abs(ratio - 0.06) > 1e-9:
        assert has_low_variation(measure_spread(bids)) == (ratio < 0.06)


@given(prices, st.booleans())
def test_relative_distance_is_the_gap_over_the_losers_deviation(bids, forward):
    ranked = sorted(bids, reverse=forward)
    gap, scatter = abs(ranked[1] - ranked[0]), statistics.stdev(ranked[1:])
    if abs(gap - scatter) > 1e-6 * max(gap, 1):
        assert has_relative_distance(measure_spread(bids, forward=forward)) == (gap > scatter)


def test_relative_distance_asks_for_two_losers():
    assert not has_relative_distance(measure_spread([1, 1_000]))


def test_rotation_counts_runs_in_which_everybody_wins_once():
    turns = screen_rotation([b"a", b"b", b"c"] * 5)
    assert (turns.bidders, turns.windows, turns.full) == (3, 13, 13)
    assert turns.is_suspicious
    assert not screen_rotation([b"a", b"b", b"c"] * 4).is_suspicious
    assert not screen_rotation([b"a", b"b"] * 12).is_suspicious
    assert screen_rotation([b"a", b"b"] * 13).is_suspicious
    assert not screen_rotation([b"a"] * 100).is_suspicious


def test_components_are_those_that_reach_each_other():
    names = {letter: key(letter) for letter in "abcdefg"}
    arrows = ["ab", "bc", "ca", "cd", "de", "ed", "fg"]
    edges = {(names[a], names[b]): Payments(1, 1) for a, b in arrows}
    expected = [tuple(sorted(names[x] for x in group)) for group in ("abc", "de")]
    assert find_components(edges) == sorted(expected)


def test_component_as_long_as_the_table_needs_no_recursion():
    chain = [number.to_bytes(4) for number in range(20_000)]
    edges = {pair: Payments(1, 1) for pair in pairwise(chain)} | {
        (chain[-1], chain[0]): Payments(1, 1)
    }
    (wash,) = screen_wash_trading(edges)
    assert (len(wash.accounts), wash.volume, wash.net) == (20_000, 20_000, 0)


def test_payments_that_stay_somewhere_are_no_wash_trading():
    a, b = AGENTS[:2]

    def trade(back: int) -> list[Fact]:
        return [fact for _ in range(10) for fact in (pay(a, b, 100), pay(b, a, back))]

    assert not screen(iter(trade(80)))
    assert [each.screen for each in screen(iter(trade(99)))] == ["wash_trading"]


def test_tables_forget_the_oldest(monkeypatch):
    monkeypatch.setattr(screening, "EDGES_MAX", 4)
    result = Screening()
    for number in range(100):
        result.apply(pay(AGENTS[0], key(f"payee {number}"), 1), 0)
    assert len(result._edges) == 4
    assert (AGENTS[0], key("payee 99")) in result._edges

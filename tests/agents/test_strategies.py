"""What strategies bid, in each kind of auction; and what an agent wants of an auction's lots."""

from collections import Counter

import pytest

from crdt.facts_auctions import AuctionTerms, BundleBid, Lot
from protocols.agents.strategies import (
    PASS,
    STRATEGIES,
    SeededChance,
    View,
    Worth,
    cost_plus,
    get_price,
    truthful,
    underbid,
)
from protocols.agents.wants import Want, find_want

SEALED = ("first_price", "vickrey", "multi_unit", "combinatorial", "call")

CHANCE = SeededChance(b"chance")


def view(kind, direction="forward", amount=100, limit=20, **more):
    return View(kind=kind, direction=direction, worth=(Worth(b"\0", amount, limit),), **more)


def price(strategy, seen):
    return get_price(strategy.decide(seen, CHANCE))


@pytest.mark.parametrize("kind", ["vickrey", "multi_unit", "combinatorial", "call"])
def test_the_truth_where_no_lie_pays(kind):
    assert price(truthful, view(kind, margin_ppm=500_000)) == 100
    assert price(truthful, view(kind, "reverse", 100, 300)) == 100


def test_shading_where_the_winner_pays_what_it_said():
    for kind, more in (("first_price", {}), ("dutch", {}), ("combinatorial", {"pricing": "x"})):
        seen = {"pricing": "pay_as_bid"} if more else {}
        # four bidders: a quarter of the way from the value to the limit
        assert price(truthful, view(kind, **seen)) == 80
        assert price(truthful, view(kind, rivals=1, **seen)) == 60
        assert price(truthful, view(kind, "reverse", 100, 300, rivals=1, **seen)) == 200
        assert price(truthful, view(kind, rivals=0, **seen)) == 20  # alone: the limit is enough


def test_a_margin():
    for kind in ("first_price", "vickrey"):
        assert price(cost_plus, view(kind, margin_ppm=100_000)) == 90
        assert price(cost_plus, view(kind, "reverse", 100, 300, margin_ppm=100_000)) == 110


@pytest.mark.parametrize("kind", SEALED)
def test_no_bid_that_does_not_count_or_costs_more_than_it_is_worth(kind):
    for strategy in (cost_plus, truthful):
        assert strategy.decide(view(kind, amount=19), CHANCE) == PASS
        assert strategy.decide(view(kind, "reverse", 301, 300), CHANCE) == PASS
    assert price(truthful, view("vickrey", amount=900, cap=500)) == 500


def test_english_by_the_increment():
    for strategy in (cost_plus, truthful):
        assert price(strategy, view("english", price=40)) == 40
        assert price(strategy, view("english", price=100)) == 100
        assert price(strategy, view("english", price=101)) is None
        assert price(strategy, view("english", price=40, leads=True)) is None
        assert price(strategy, view("english", "reverse", 100, 300, price=100)) == 100
        assert price(strategy, view("english", "reverse", 100, 300, price=99)) is None
        assert price(strategy, view("english", "reverse", 100, 300, price=0)) is None


def test_underbidding_sells_at_any_price_and_buys_nothing():
    assert price(underbid, view("vickrey", "reverse", 900, 300)) == 1
    assert price(underbid, view("english", "reverse", 900, 300, price=7)) == 7
    assert underbid.decide(view("vickrey"), CHANCE) == PASS


def test_chance_follows_from_its_seed_alone():
    draws = [SeededChance(b"seed").randrange(6) for _ in range(2)]
    assert draws[0] == draws[1]
    chance = SeededChance(b"seed")
    counts = Counter(chance.randrange(6) for _ in range(600))
    assert set(counts) == set(range(6))
    assert max(counts.values()) < 2 * min(counts.values())
    other = SeededChance(b"other")
    assert [chance.randrange(1 << 64) for _ in range(4)] != [
        other.randrange(1 << 64) for _ in range(4)
    ]


def test_all_are_pure():
    seen = view("first_price", "reverse", 100, 300, rivals=2, free=7, posted=9)
    for strategy in STRATEGIES.values():
        assert strategy.decide(seen, SeededChance(b"1")) == strategy.decide(
            seen, SeededChance(b"1")
        )


# --- what an agent wants ------------------------------------------------------------------------


def terms(kind, *names, direction="forward"):
    lots = tuple(Lot(name=name, limit=10 + i) for i, name in enumerate(names))
    return AuctionTerms(kind=kind, direction=direction, lots=lots, bid_ms=1_000)


def want(*lots, direction="forward", units_max=2, name="w"):
    return Want(name, direction, lots, 50, units_max, truthful)


def test_a_pattern_matches_each_lot():
    found = find_want([want("gpu-*")], terms("call", "gpu-1", "cpu", "gpu-2"), {})
    assert found is not None
    assert found[1] == (Worth(b"\0", 50, 10), Worth(b"\2", 50, 12))
    assert find_want([want("gpu-*")], terms("vickrey", "cpu"), {}) is None
    assert find_want([want("*", direction="reverse")], terms("vickrey", "cpu"), {}) is None
    assert find_want([want("*")], terms("vickrey", "cpu"), {"w": 0}) is None


def test_bundles_are_for_combinatorial_auctions():
    both = want("cpu", "gpu-*")
    assert find_want([both], terms("call", "gpu-1", "cpu"), {}) is None
    found = find_want([both], terms("combinatorial", "gpu-1", "cpu", "x"), {})
    assert found is not None
    assert found[1] == (Worth(b"\0\1", 50, 21),)
    assert find_want([both], terms("combinatorial", "gpu-1", "x"), {}) is None
    assert find_want([both], terms("combinatorial", "gpu-1", "cpu"), {"w": 1}) is None
    # one pattern: each lot has the amount, and of all the sets one is won
    found = find_want([want("gpu-*")], terms("combinatorial", "gpu-1", "gpu-2", "gpu-3"), {})
    assert found is not None
    lots = [worth.lots for worth in found[1]]
    assert lots == [b"\0", b"\1", b"\2", b"\0\1", b"\0\2", b"\1\2"]
    assert found[1][3].amount == 100


def test_a_bundle_bid_is_what_operations_take():
    found = find_want([want("gpu-*", units_max=1)], terms("combinatorial", "gpu-1", "gpu-2"), {})
    assert found is not None
    seen = View(kind="combinatorial", direction="forward", worth=found[1])
    assert truthful.decide(seen, CHANCE).bundles == (
        BundleBid(b"\0", 50),
        BundleBid(b"\1", 50),
    )

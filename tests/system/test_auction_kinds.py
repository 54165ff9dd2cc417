"""Each kind as a purchase on four real nodes, by hand and by agents; see `test_auctions.py`."""

import pytest

from tests.system.network import wait_until
from tests.system.trading import (
    SEALED,
    check_certificate,
    do,
    fail,
    list_awards,
    list_named,
    open_auction,
    wait_ended,
    wait_known,
)

pytestmark = pytest.mark.full


def test_several_units_are_bought_by_hand(market, tmp_path):
    opener, *others = market.nodes
    terms = ("--lot", "hand:100", "--units", 2, *SEALED, *list_named(others))
    auction = open_auction(opener, "multi_unit", "--buy", *terms)
    for node, bid in zip(others, (50, 90, 70), strict=True):
        wait_known(node, auction)
        do(node, "auction", "bid", auction, "--price", bid)
    found = wait_ended(opener, auction)
    assert {award.winner for award in found.awards} == {others[0].peer_id, others[2].peer_id}
    assert {award.price for award in found.awards} <= {89, 90}  # the best loser's, or less by a tie
    check_certificate(market, opener, auction, tmp_path)


def test_english_downwards_by_hand(market):
    opener, first, second, _ = market.nodes
    terms = ("--lot", "hand:1000", "--increment", 5, "--bid-for", "20s", "--extend", "1s")
    auction = open_auction(opener, "english", "--buy", *terms, "--extend-max", "10s")
    wait_known(first, auction)
    do(first, "auction", "bid", auction, "--price", 900)
    wait_until(lambda: second.client.auctions.show(auction).standing == first.peer_id, "a bid")
    error = fail(second, "bid-too-small", "auction", "bid", auction, "--price", 897)
    assert "895" in error["detail"]
    assert do(second, "auction", "bid", auction, "--price", 400)["said"] == "placed"
    assert list_awards(wait_ended(opener, auction)) == [(second.peer_id, ("hand",), 400)]


def test_dutch_upwards_by_hand(market):
    opener, first, second, _ = market.nodes
    terms = ("--lot", "hand:100", "--start", 10, "--step", 10, "--step-time", "500ms")
    auction = open_auction(opener, "dutch", "--buy", *terms, "--bid-for", "20s")
    wait_known(first, auction)
    fail(first, "price-beyond-limit", "auction", "bid", auction, "--price", 95)
    wait_until(lambda: (second.client.auctions.show(auction).quote or 0) >= 30, "a higher price")
    assert do(second, "auction", "bid", auction, "--price", 20)["said"] == "accepted"
    ((winner, _, price),) = list_awards(wait_ended(opener, auction))
    assert winner == second.peer_id
    assert 30 <= price <= 100


@pytest.mark.parametrize("flags", [(), ("--pay-as-bid",)])
def test_bundles_are_bought_by_hand(market, tmp_path, flags):
    """Both from one costs 100, the cheapest of two others 130: that is what the pair is paid."""
    opener, *others = market.nodes
    lots = ("--lot", "hand-a:100", "--lot", "hand-b:100", *flags)
    auction = open_auction(opener, "combinatorial", "--buy", *lots, *SEALED, *list_named(others))
    bids = (("hand-a,hand-b:100",), ("hand-a:60",), ("hand-b:70", "hand-a,hand-b:150"))
    for node, bundles in zip(others, bids, strict=True):
        wait_known(node, auction)
        do(node, "auction", "bid", auction, *(w for each in bundles for w in ("--bundle", each)))
    ((winner, lots, price),) = list_awards(wait_ended(opener, auction))
    assert (winner, lots) == (others[0].peer_id, ("hand-a", "hand-b"))
    assert price == 100 if flags else 129 <= price <= 130
    check_certificate(market, opener, auction, tmp_path)


def test_a_call_to_buy_by_hand(market, tmp_path):
    """The cheapest for a is needed more for b."""
    opener, *others = market.nodes
    lots = [word for name in "abc" for word in ("--lot", f"hand-{name}:100")]
    auction = open_auction(opener, "call", "--buy", *lots, *SEALED, *list_named(others))
    bids = (("hand-a:10", "hand-b:20"), ("hand-a:30", "hand-b:80"), ("hand-c:50", "hand-b:90"))
    for node, bundles in zip(others, bids, strict=True):
        wait_known(node, auction)
        do(node, "auction", "bid", auction, *(w for each in bundles for w in ("--bundle", each)))
    awards = list_awards(wait_ended(opener, auction))
    names = ("hand-b", "hand-a", "hand-c")
    assert {winner: lots for winner, lots, _ in awards} == {
        node.peer_id: (name,) for node, name in zip(others, names, strict=True)
    }
    (paid,) = (price for _, lots, price in awards if lots == ("hand-c",))
    assert 94 <= paid <= 100  # nobody else offers c: the limit, less what reputation lacks
    check_certificate(market, opener, auction, tmp_path)


def test_agents_sell_several_units(market):
    opener, *others = market.nodes
    terms = ("--lot", "gpu-x:500", "--units", 2, *SEALED, *list_named(others))
    found = wait_ended(opener, open_auction(opener, "multi_unit", "--buy", *terms))
    assert {award.winner for award in found.awards} == {node.peer_id for node in others[1:]}
    assert {award.price for award in found.awards} <= {199, 200}


def test_agents_sell_bundles(market):
    """The cheapest provides both, and is paid what both would have cost from the next one."""
    opener, *others = market.nodes
    lots = ("--lot", "gpu-1:500", "--lot", "gpu-2:500")
    auction = open_auction(opener, "combinatorial", "--buy", *lots, *SEALED, *list_named(others))
    ((winner, lots, price),) = list_awards(wait_ended(opener, auction))
    assert (winner, lots) == (others[2].peer_id, ("gpu-1", "gpu-2"))
    assert 239 <= price <= 240


def test_agents_sell_one_lot_each_in_a_call(market):
    opener, *others = market.nodes
    lots = ("--lot", "gpu-1:500", "--lot", "gpu-2:500")
    auction = open_auction(opener, "call", "--buy", *lots, *SEALED, *list_named(others))
    awards = list_awards(wait_ended(opener, auction))
    assert {winner for winner, _, _ in awards} == {node.peer_id for node in others[1:]}
    assert sorted(lot for _, lots, _ in awards for lot in lots) == ["gpu-1", "gpu-2"]
    assert {price for _, _, price in awards} <= {199, 200}

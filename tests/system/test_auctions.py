"""General auctions on four real nodes: each kind by hand through the commands, and by agents.

The other direction of each kind is in `test_auction_kinds.py`.
"""

import json
import re

import pytest

from tests.system.network import wait_until
from tests.system.trading import (
    FEE,
    SEALED,
    check_certificate,
    do,
    fail,
    get_free,
    list_awards,
    list_named,
    open_auction,
    run,
    wait_ended,
    wait_known,
)

# --- by hand --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "side", "bids", "winner", "price"),
    [
        ("vickrey", "--sell", (90, 70, 50), 0, 70),
        ("vickrey", "--buy", (30, 40, 50), 0, 40),
        ("first_price", "--sell", (90, 70, 50), 0, 90),
        ("first_price", "--buy", (30, 40, 50), 0, 30),
    ],
)
def test_sealed_bids_by_hand(market, tmp_path, kind, side, bids, winner, price):
    opener, *others = market.nodes
    listed = list_named(others)
    cap = ("--cap", 100) if side == "--sell" else ()
    lot = "hand:10" if side == "--sell" else "hand:100"
    auction = open_auction(opener, kind, side, "--lot", lot, *cap, *SEALED, *listed)
    for node, bid in zip(others, bids, strict=True):
        wait_known(node, auction)
        assert do(node, "auction", "bid", auction[:12], "--price", bid)["said"] == "sealed"
    found = wait_ended(opener, auction)
    ((who, lots, paid),) = list_awards(found)
    assert (who, lots) == (others[winner].peer_id, ("hand",))
    assert abs(paid - price) <= (kind == "vickrey")  # 1 more or less breaks a tie
    assert do(opener, "auction", "show", auction)["summary"]["state"] == "sold"
    check_certificate(market, opener, auction, tmp_path)
    fail(others[0], "auction-closed", "auction", "bid", auction, "--price", 20)


def test_several_units_by_hand(market):
    opener, *others = market.nodes
    listed = list_named(others)
    terms = ("--lot", "hand:10", "--cap", 100, "--units", 2, *SEALED)
    auction = open_auction(opener, "multi_unit", "--sell", *terms, *listed)
    for node, bid in zip(others, (50, 90, 70), strict=True):
        wait_known(node, auction)
        do(node, "auction", "bid", auction, "--price", bid)
    found = wait_ended(opener, auction)
    winners = {others[1].peer_id, others[2].peer_id}
    assert {award.winner for award in found.awards} == winners
    assert {award.price for award in found.awards} <= {50, 51}


@pytest.mark.full
def test_english_by_hand(market):
    opener, first, second, _ = market.nodes
    terms = ("--lot", "hand:10", "--cap", 1_000, "--increment", 5, "--bid-for", "20s")
    end = ("--extend", "1s", "--extend-max", "10s")
    auction = open_auction(opener, "english", "--sell", *terms, *end)
    wait_known(first, auction)
    assert do(first, "auction", "bid", auction, "--price", 10)["said"] == "placed"
    fail(first, "already-best", "auction", "bid", auction, "--price", 30)
    wait_until(lambda: second.client.auctions.show(auction).standing == first.peer_id, "a bid")
    error = fail(second, "bid-too-small", "auction", "bid", auction, "--price", 14)
    assert "15" in error["detail"]
    do(second, "auction", "bid", auction, "--price", 40)
    fail(opener, "bids-are-in", "auction", "cancel", auction)
    code, out = run(opener, "auction", "watch", auction, "--json")
    assert code == 0
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[-1]["auction"]["awards"][0]["price"] == 40
    found = wait_ended(opener, auction)
    assert list_awards(found) == [(second.peer_id, ("hand",), 40)]


def test_dutch_by_hand(market):
    opener, first, second, _ = market.nodes
    terms = ("--lot", "hand:10", "--cap", 100, "--start", 100, "--step", 10, "--step-time", "500ms")
    auction = open_auction(opener, "dutch", "--sell", *terms, "--bid-for", "20s")
    wait_known(first, auction)
    fail(first, "price-beyond-limit", "auction", "bid", auction, "--price", 12)

    def is_low():
        quote = second.client.auctions.show(auction).quote
        return quote is not None and quote <= 70

    wait_until(is_low, "a lower price")
    assert do(second, "auction", "bid", auction, "--price", 90)["said"] == "accepted"
    found = wait_ended(opener, auction)
    ((winner, _, price),) = list_awards(found)
    assert winner == second.peer_id
    assert 10 <= price <= 90


def test_a_sale_is_delivered_and_paid_in_part(market, tmp_path):
    opener, buyer, _, _ = market.nodes
    before = get_free(market, buyer)
    terms = ("--lot", "hand:10", "--cap", 100, *SEALED, "--bidder", buyer.peer_id)
    times = ("--deliver-in", "30s", "--accept-in", "30s")
    auction = open_auction(opener, "first_price", "--sell", *terms, *times)
    wait_known(buyer, auction)
    do(buyer, "auction", "bid", auction, "--price", 80)
    wait_until(lambda: opener.client.auctions.show(auction).awards, "a result")
    fail(buyer, "not-yours", "auction", "deliver", auction, "--note", "here")
    fail(opener, "usage", "auction", "deliver", auction, code=2)
    (tmp_path / "goods").write_bytes(b"what was sold")
    award = do(opener, "auction", "deliver", auction, "--file", tmp_path / "goods")
    assert award["delivery"] == "delivered"
    wait_until(
        lambda: buyer.client.auctions.show(auction).awards[0].delivery == "delivered", "delivery"
    )
    done = do(buyer, "auction", "accept", auction, "--paid-ppm", 500_000)
    assert (done["delivery"], done["paid"]) == ("accepted", 40)
    wait_ended(market.nodes[0], auction)
    spent = before - get_free(market, buyer)
    assert 80 < spent <= 80 + 4 * FEE  # the half that was withheld burnt


def test_a_bid_by_hand_survives_kill_9(market):
    opener, bidder, late, _ = market.nodes
    listed = ("--bidder", bidder.peer_id, "--bidder", late.peer_id)
    terms = ("--lot", "hand:10", "--cap", 100, "--bid-for", "60s", "--reveal-for", "60s")
    auction = open_auction(opener, "vickrey", "--sell", *terms, *listed)
    wait_known(bidder, auction)
    do(bidder, "auction", "bid", auction, "--price", 77)
    bidder.kill()
    wait_known(late, auction)
    do(late, "auction", "bid", auction, "--pass")
    bidder.start()
    found = wait_ended(opener, auction)
    assert list_awards(found) == [(bidder.peer_id, ("hand",), 10)]
    assert found.silent == ()
    market.wait_linked()


def test_an_auction_without_a_bid_is_cancelled_or_unsold(market):
    opener = market.nodes[0]
    terms = ("--lot", "hand:10", "--cap", 100)
    auction = open_auction(opener, "vickrey", "--sell", *terms)
    wait_known(market.nodes[1], auction)
    fail(market.nodes[1], "not-yours", "auction", "cancel", auction)
    assert do(opener, "auction", "cancel", auction)["state"] == "cancelled"
    auction = open_auction(opener, "english", "--sell", *terms, "--bid-for", "1s")
    assert wait_ended(opener, auction).summary.state == "unsold"
    assert run(opener, "auction", "watch", auction, "--json")[0] == 1


# --- by agents ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "side", "winner", "low", "high"),
    [
        ("vickrey", "--sell", 1, 300, 300),
        pytest.param("vickrey", "--buy", 3, 120, 120, marks=pytest.mark.full),
        pytest.param("first_price", "--sell", 1, 270, 270, marks=pytest.mark.full),
        ("first_price", "--buy", 3, 180, 180),
        pytest.param("english", "--sell", 1, 290, 310, marks=pytest.mark.full),
        ("english", "--buy", 3, 110, 130),
        ("dutch", "--sell", 1, 205, 270),
        pytest.param("dutch", "--buy", 3, 180, 245, marks=pytest.mark.full),
    ],
)
def test_agents_bid_by_themselves(market, kind, side, winner, low, high):
    """Truthful where no lie pays; where the winner pays its own price, shaded: three listed
    bidders keep a third of the distance to the limit, unlisted ones a quarter."""
    opener, *others = market.nodes
    listed = list_named(others)
    lot = "gpu-x:10" if side == "--sell" else "gpu-x:500"
    terms = ["--lot", lot, *(("--cap", 1_000) if side == "--sell" else ())]
    if kind == "english":
        terms += ["--increment", 10, "--bid-for", "3s", "--extend", "2s", "--extend-max", "20s"]
    elif kind == "dutch":
        start = 400 if side == "--sell" else 10
        terms += ["--start", start, "--step", 20, "--step-time", "400ms", "--bid-for", "20s"]
        terms += listed
    else:
        terms += [*SEALED, *listed]
    auction = open_auction(opener, kind, side, *terms)
    found = wait_ended(opener, auction)
    ((who, lots, price),) = list_awards(found)
    assert (who, lots) == (others[winner - 1].peer_id, ("gpu-x",))
    assert low - 1 <= price <= high + 1  # a tie may cost 1


def test_agents_bid_for_several_units(market):
    opener, *others = market.nodes
    terms = ("--lot", "gpu-x:10", "--cap", 1_000, "--units", 2, *SEALED, *list_named(others))
    found = wait_ended(opener, open_auction(opener, "multi_unit", "--sell", *terms))
    assert {award.winner for award in found.awards} == {node.peer_id for node in others[:2]}
    assert {award.price for award in found.awards} <= {200, 201}  # the best loser's, and a tie


def test_bundles_by_hand(market):
    """cpu and disk together are worth more than apart: the pair beats the two singles."""
    opener, *others = market.nodes
    listed = list_named(others)
    lots = ("--lot", "hand-a:5", "--lot", "hand-b:5", "--cap", 500)
    auction = open_auction(opener, "combinatorial", "--sell", *lots, *SEALED, *listed)
    bids = (("hand-a,hand-b:200",), ("hand-a:60",), ("hand-b:70", "hand-a,hand-b:90"))
    for node, bundles in zip(others, bids, strict=True):
        wait_known(node, auction)
        do(node, "auction", "bid", auction, *(w for each in bundles for w in ("--bundle", each)))
    ((winner, lots, price),) = list_awards(wait_ended(opener, auction))
    assert (winner, lots) == (others[0].peer_id, ("hand-a", "hand-b"))
    assert abs(price - 130) <= 1  # what the others lose


def test_a_call_by_hand(market):
    """Three lots to three bidders at once, one each."""
    opener, *others = market.nodes
    listed = list_named(others)
    lots = [word for name in "abc" for word in ("--lot", f"hand-{name}:5")]
    auction = open_auction(opener, "call", "--sell", *lots, "--cap", 500, *SEALED, *listed)
    bids = (("hand-a:90", "hand-b:80"), ("hand-a:70", "hand-b:20"), ("hand-c:50", "hand-b:10"))
    for node, bundles in zip(others, bids, strict=True):
        wait_known(node, auction)
        do(node, "auction", "bid", auction, *(w for each in bundles for w in ("--bundle", each)))
    won = {winner: lots for winner, lots, _ in list_awards(wait_ended(opener, auction))}
    names = ("hand-b", "hand-a", "hand-c")
    assert won == {node.peer_id: (name,) for node, name in zip(others, names, strict=True)}


@pytest.mark.parametrize(("kind", "lots"), [("combinatorial", ("cpu-1", "disk-1")),
                                            ("call", ("gpu-1", "gpu-2"))])  # fmt: skip
def test_agents_bid_for_several_lots(market, kind, lots):
    opener, *others = market.nodes
    listed = list_named(others)
    terms = [word for name in lots for word in ("--lot", f"{name}:10")]
    auction = open_auction(opener, kind, "--sell", *terms, "--cap", 1_000, *SEALED, *listed)
    found = wait_ended(opener, auction)
    assert sorted(lot for _, won, _ in list_awards(found) for lot in won) == sorted(lots)
    assert {bid.bidder for bid in found.bids} == {node.peer_id for node in others}


def test_hands_and_agents_mix(market):
    opener, *others = market.nodes
    auction = open_auction(opener, "vickrey", "--sell", "--lot", "gpu-mixed:10", "--cap", 1_000,
                           "--bid-for", "6s", "--reveal-for", "10s")  # fmt: skip

    def have_bid():
        return len(opener.client.auctions.show(auction).bids) == len(others)

    wait_until(have_bid, "the agents' bids")
    shown = opener.client.auctions.show(auction)
    assert all(bid.bundles is None for bid in shown.bids)  # nobody sees what was sealed
    found = wait_ended(opener, auction)
    ((who, _, price),) = list_awards(found)
    assert who == others[0].peer_id
    assert price in (300, 301)
    text = run(opener, "auction", "show", auction)[1]
    assert re.search(r"winner +lots +price +delivery +paid", text)
    listed = do(opener, "auction", "list", "--mine", "--state", "sold")["auctions"]
    assert auction in [each["id"] for each in listed]
    for node in market.nodes:
        assert node.client.stake().conserved

"""What an account submits in general auctions, from the state and its wants alone."""

import pytest

from protocols.agents.plan_auctions import Trader
from protocols.agents.strategies import cost_plus, truthful
from protocols.agents.wants import Want
from protocols.economy.operations_auctions import (
    AcceptPrice,
    CommitAuctionBid,
    OpenAuction,
    PlaceBid,
    RevealAuctionBid,
)
from tests.economy.auction_commands import make_terms
from tests.economy.world import FREE, World, digest

LEFT = {"w": 5}


def make_trader(world, name, amount=80, direction="forward", *, passes=False, strategy=truthful):
    want = Want("w", direction, ("a*",), amount, 5, strategy)
    wants = (want,) if amount else ()
    return Trader(world.committee, world.keys[name], digest(name), wants, passes)


def start(kind, direction="forward", **terms):
    """A world in which alice has opened an auction; its id."""
    world = World(4)
    world.run(world.sign("alice", OpenAuction(make_terms(kind, direction, **terms))))
    (view,) = world.state.auctions()
    return world, view.auction


def plan(world, trader, sealed=None, left=LEFT, **more):
    return trader.plan(world.state, sealed or {}, left, world.time_ms, **more)


def test_a_seal_is_opened_from_what_was_kept():
    world, auction = start("vickrey")
    trader = make_trader(world, "m1")
    (act,) = plan(world, trader).acts
    assert isinstance(act.body, CommitAuctionBid)
    assert act.deposit == 100  # the cap
    assert act.bundles[0].price == 80
    world.run(world.sign("m1", act.body))
    assert plan(world, trader).acts == []
    world.run(wait_ms=5_000)
    world.run(wait_ms=30_000)
    # A restart with other wants: what was kept is opened all the same, and only that.
    other = make_trader(world, "m1", 0)
    assert plan(world, other).acts == []
    wrong = tuple(type(bundle)(bundle.lots, 7) for bundle in act.bundles)
    (shown,) = plan(world, other, {auction: [wrong, act.bundles]}).acts
    assert isinstance(shown.body, RevealAuctionBid)
    assert shown.body.bundles == act.bundles
    pending = [world.sign("m1", shown.body).operation]
    assert plan(world, other, {auction: [act.bundles]}, pending=pending).acts == []
    world.run(world.sign("m1", shown.body))
    assert world.state.get_auction(auction) is None


def test_nothing_beyond_what_is_wanted_or_can_be_paid():
    world, _ = start("vickrey")
    assert plan(world, make_trader(world, "m1"), left={"w": 0}).acts == []
    assert plan(world, make_trader(world, "alice")).acts == []  # its own auction
    assert plan(world, make_trader(world, "bob")).acts == []  # no credits for the deposit
    assert plan(world, make_trader(world, "m1", direction="reverse")).acts == []
    assert plan(world, make_trader(world, "m1", amount=9)).acts == []  # below the reserve
    world.run(world.sign("alice", OpenAuction(make_terms("vickrey", "forward"))))
    assert len(plan(world, make_trader(world, "m1"), left={"w": 1}).acts) == 1
    assert len(plan(world, make_trader(world, "m1"), left={"w": 2}).acts) == 2


def test_credits_are_counted_over_all_bids():
    world = World(4)
    for _ in range(2):
        terms = make_terms("vickrey", "forward", cap=FREE * 2 // 3)
        world.run(world.sign("alice", OpenAuction(terms)))
    assert len(plan(world, make_trader(world, "m1")).acts) == 1


def test_named_bidders_pass_only_if_they_are_told_to():
    world = World(4)
    listed = tuple(sorted((world.keys["m1"], world.keys["m2"])))
    terms = make_terms("vickrey", "forward", bidders=listed)
    world.run(world.sign("alice", OpenAuction(terms)))
    assert plan(world, make_trader(world, "m1", 0)).acts == []
    (act,) = plan(world, make_trader(world, "m1", 0, passes=True)).acts
    assert act.body == CommitAuctionBid(act.auction, None)
    assert plan(world, make_trader(world, "m3", 80)).acts == []
    world.run(world.sign("m1", act.body))
    assert plan(world, make_trader(world, "m1", 0, passes=True)).acts == []


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_english_bids_rise_to_the_second_value(direction):
    amounts = {"m1": 80, "m2": 50} if direction == "forward" else {"m1": 20, "m2": 50}
    limit = 10 if direction == "forward" else 90
    world, auction = start("english", direction, limit=limit, increment=3)
    traders = {
        name: make_trader(world, name, amount, direction) for name, amount in amounts.items()
    }
    for _ in range(100):
        acts = [(name, act.body) for name, t in traders.items() for act in plan(world, t).acts]
        if not acts:
            break
        assert all(isinstance(body, PlaceBid) for _, body in acts)
        world.run(*world.sign_all(acts[:1]), wait_ms=1)
    view = world.state.get_auction(auction)
    assert view.standing == world.keys["m1"]
    assert abs(view.price - 50) <= 3


@pytest.mark.parametrize(("direction", "amount"), [("forward", 70), ("reverse", 40)])
def test_a_dutch_price_is_waited_for(direction, amount):
    terms = {"limit": 10 if direction == "forward" else 100, "step": 5, "step_ms": 100}
    world, auction = start("dutch", direction, **terms)
    trader = make_trader(world, "m1", amount, direction, strategy=cost_plus)
    first = plan(world, trader)
    assert first.acts == []
    wake_ms = first.wake_ms
    before = world.state.quote(auction, trader.me, wake_ms - 1)
    price = world.state.quote(auction, trader.me, wake_ms)
    assert before > amount >= price if direction == "forward" else before < amount <= price
    world.time_ms = wake_ms
    (act,) = plan(world, trader).acts
    assert act.body == AcceptPrice(auction, amount)
    world.run(world.sign("m1", act.body))
    assert world.state.get_auction(auction) is None


def test_a_dutch_price_that_never_comes_is_not_waited_for():
    world, _ = start("dutch", limit=60, step=5, step_ms=100)
    assert plan(world, make_trader(world, "m1", 40, strategy=cost_plus)).wake_ms is None

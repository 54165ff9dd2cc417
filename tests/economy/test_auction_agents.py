"""What members' planners say about general auctions."""

from crdt.facts import AuctionBegan
from protocols.economy.operations import Held, Inventory, Operation
from protocols.economy.operations_auctions import CommitAuctionBid, OpenAuction
from tests.economy.auction_commands import make_terms, parse_bid, seal_bid
from tests.economy.world import World


def test_members_say_what_they_hold_of_overdue_auctions() -> None:
    """A planner names whoever could speak now: not the opener, nobody beyond a gap of nonces,
    nobody that has spoken."""
    world = World()
    auction_terms = make_terms("vickrey", "forward")
    (began,) = world.run(world.sign("alice", OpenAuction(auction_terms)))
    assert isinstance(began, AuctionBegan)
    id_ = began.auction
    seals = {
        name: CommitAuctionBid(id_, seal_bid(world, name, id_, parse_bid("20")))
        for name in ("m2", "m3", "m4", "alice")
    }
    world.run(world.sign("m2", seals["m2"]))
    world.run(wait_ms=4_000)
    held = [
        (world.keys["m2"], Operation(2, seals["m2"])),
        (world.keys["m3"], Operation(1, seals["m3"])),
        (world.keys["m4"], Operation(2, seals["m4"])),
        (world.keys["alice"], Operation(2, seals["alice"])),
    ]
    planner = world.planners["m1"]
    (body,) = planner.plan_operations(world.state, {}, (), held)
    expected = Held(id_, 0, "auction_commit", (world.keys["m3"],))
    assert body == Inventory((expected,))
    assert planner.plan_operations(world.state, {}, (Operation(1, body),), held) == []
    world.run(world.sign("m1", body))
    assert planner.plan_operations(world.state, {}, (), held) == []

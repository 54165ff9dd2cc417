"""Operations that come in company, and who is still awaited."""

from crdt.facts_auctions import AuctionBegan
from protocols.economy.operations import Body, CommitBids, Transfer
from protocols.economy.operations_auctions import (
    CommitAuctionBid,
    OpenAuction,
    PlaceBid,
    RevealAuctionBid,
)
from tests.economy.auction_commands import make_terms
from tests.economy.world import World, digest


def awaits(world: World, *said: tuple[str, Body]) -> bool:
    pairs = [(world.keys[name], world.sign(name, body).operation) for name, body in said]
    return world.state.awaits_company(pairs)


def open_auction(world: World, kind: str, *bidders: str) -> bytes:
    terms = make_terms(kind, "forward", bidders=tuple(sorted(world.keys[b] for b in bidders)))
    facts = world.run(world.sign("alice", OpenAuction(terms)))
    (began,) = (fact for fact in facts if isinstance(fact, AuctionBegan))
    return began.auction


def test_listed_bidders_are_awaited_until_all_are_there() -> None:
    world = World()
    auction = open_auction(world, "vickrey", "m1", "m2")
    seal = CommitAuctionBid(auction, digest("seal"))
    assert awaits(world, ("m1", seal))
    assert awaits(world, ("m1", seal), ("m1", seal))
    assert not awaits(world, ("m1", seal), ("m2", seal))
    assert not awaits(world, ("m1", seal), ("bob", Transfer(world.keys["m1"], 1)))


def test_whoever_sealed_is_awaited_with_the_opening() -> None:
    world = World()
    auction = open_auction(world, "vickrey", "m1", "m2", "m3")
    seals = [(name, CommitAuctionBid(auction, digest(name))) for name in ("m1", "m2")]
    world.run(*world.sign_all([*seals, ("m3", CommitAuctionBid(auction, None))]))
    opening = RevealAuctionBid(auction, (), digest("salt"))
    assert awaits(world, ("m1", opening))
    assert not awaits(world, ("m1", opening), ("m2", opening))


def test_nobody_is_awaited_beside_other_words() -> None:
    world = World()
    english = open_auction(world, "english", "m1", "m2")
    assert not awaits(world, ("m1", PlaceBid(english, 5)))
    assert not awaits(world, ("m1", CommitAuctionBid(digest("unknown"), None)))
    assert not awaits(world)


def test_invited_agents_are_awaited() -> None:
    world = World()
    world.run(*world.offer("m1", "m2", "m3"))
    world.run(world.open("alice"))
    says = dict.fromkeys(("m1", "m2", "m3"), "output")
    duties = [(name, body) for name, body in world.plan(says) if isinstance(body, CommitBids)]
    assert len(duties) == 3
    assert awaits(world, *duties[:2])
    assert not awaits(world, *duties)

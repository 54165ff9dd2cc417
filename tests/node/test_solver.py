"""A member's solver on a real state: it finds what ordered code did not, and says it once."""

import hashlib
from types import SimpleNamespace

import trio
import trio.testing

from crdt.facts import AuctionBegan, AuctionEnded, SolutionAwaited, SolutionSubmitted
from crdt.facts_auctions import AuctionTerms, BundleBid, Lot
from node.solver import Solver
from protocols.auction.commit_reveal import compute_auction_commitment
from protocols.auction.verify import verify_auction
from protocols.economy.operations_auctions import (
    CommitAuctionBid,
    OpenAuction,
    RevealAuctionBid,
)
from tests.economy.world import World

SALT = hashlib.sha256(b"salt").digest()
BIDS = {"m1": b"\0\1", "m2": b"\0", "m3": b"\1"}
PRICES = {"m1": 110, "m2": 70, "m3": 70}


def play_until_the_window(world: World) -> bytes:
    """An auction in which greedy takes the bundle of both lots, and the two others are better."""
    terms = AuctionTerms(
        kind="combinatorial",
        direction="forward",
        lots=(Lot("a", 0), Lot("b", 0)),
        bid_ms=4_000,
        reveal_ms=4_000,
        cap=200,
        bidders=tuple(sorted(world.keys[name] for name in BIDS)),
    )
    (began,) = world.run(world.sign("alice", OpenAuction(terms)))
    assert isinstance(began, AuctionBegan)
    for name, lots in BIDS.items():
        priced = [(lots, PRICES[name])]
        seal = compute_auction_commitment(
            *(world.committee.network, world.committee.id, began.auction),
            *(world.keys[name], priced, SALT),
        )
        world.run(world.sign(name, CommitAuctionBid(began.auction, seal)))
    for name, lots in BIDS.items():
        opened = (BundleBid(lots, PRICES[name]),)
        facts = world.run(world.sign(name, RevealAuctionBid(began.auction, opened, SALT)))
    assert isinstance(facts[-1], SolutionAwaited)
    assert [each.bidder for each in facts[-1].winners] == [world.keys["m1"]]
    return began.auction


def make_solver(world: World, name: str, path, said: list) -> Solver:
    """A solver of the member `name` whose account executes at once what it is given."""

    def try_submit(body):
        said.extend(world.run(world.sign(name, body)))
        return 1

    place = SimpleNamespace(
        id=world.committee.id,
        committee=world.committee,
        chain=SimpleNamespace(state=world.state),
        seat=SimpleNamespace(catch_up=SimpleNamespace(is_behind=lambda: False)),
        account=SimpleNamespace(try_submit=try_submit),
        node=SimpleNamespace(
            key=SimpleNamespace(public=world.keys[name]), home=SimpleNamespace(path=path)
        ),
    )
    return Solver(place)


async def test_members_find_what_ordered_code_did_not(tmp_path):
    world = World(4, auction_work_max=0)
    play_until_the_window(world)
    said = []
    async with trio.open_nursery() as nursery:
        solvers = [make_solver(world, name, tmp_path / name, said) for name in ("m1", "m4")]
        for solver in solvers:
            nursery.start_soon(solver.run)
        with trio.fail_after(60):
            while not said or any(not solver._tried for solver in solvers):
                await trio.sleep(0.05)
            await trio.testing.wait_all_tasks_blocked(0.1)
        nursery.cancel_scope.cancel()
    (submitted,) = said  # the second found nothing to add
    assert isinstance(submitted, SolutionSubmitted)
    assert submitted.improved
    world.run(wait_ms=10_000)
    *_, ended = world.run(wait_ms=world.state.parameters.inventory_phase_ms)
    assert isinstance(ended, AuctionEnded)
    assert {award.winner for award in ended.awards} == {world.keys["m2"], world.keys["m3"]}
    assert ended.gap_ppm == 0
    assert verify_auction(ended).awards == ended.awards

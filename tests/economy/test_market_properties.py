"""Whatever is asked for and bid: prices stay above 0, tables stay small, credits are conserved."""

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from crdt.facts import AuctionBegan, MarketHalted, MarketReopened, PricePosted, TermEnded
from protocols.auction.commit_reveal import compute_report_commitment
from protocols.economy.floods import forget_idle, take_bid
from protocols.economy.model import Refused
from protocols.economy.operations_auctions import CommitAuctionBid, RevealAuctionBid
from protocols.economy.operations_market import (
    CommitReport,
    OpenVariable,
    RevealReport,
    SetVariable,
)
from protocols.economy.prices import BUCKETS_MAX, compute_price, note_award, pass_time
from protocols.economy.variables import is_in_domain
from tests.economy.auction_commands import parse_bid, seal_bid
from tests.economy.market_commands import make_variable
from tests.economy.world import CAPABILITY, START_MS, World, digest

PPM = 1_000_000
amounts = st.integers(1, (1 << 62) - 1)


@given(amounts, st.integers(0, PPM), st.integers(1, PPM))
def test_price_is_never_below_one_and_moves_by_an_eighth_of_itself_per_target(price, used, target):
    after = compute_price(price, used, target)
    assert after >= 1
    if used > target:
        assert price < after <= price + max(1, price * (PPM - target) // target // 8)
    else:
        assert price - price // 8 <= after <= price


def test_price_at_the_target_stays():
    assert compute_price(1_000, 500_000, 500_000) == 1_000
    assert compute_price(1_000, PPM, 500_000) == 1_125
    assert compute_price(1_000, 0, 500_000) == 875
    assert compute_price(1, 0, 500_000) == 1


steps = st.lists(st.tuples(st.integers(0, 200_000), st.integers(1, 10**6)), max_size=60)


@settings(max_examples=60)
@given(steps)
def test_market_stays_small_and_halts_alternate_with_reopenings(awards):
    world = World(halt_awards_min=2, halt_after_ms=1_000, halt_ms=60_000)
    world.run(*world.offer(*world.members))
    books = world.state._books
    for wait_ms, price in awards:
        books.time_ms += wait_ms
        pass_time(books)
        note_award(books, CAPABILITY, price)
        market = books.markets[CAPABILITY]
        assert len(market.buckets) <= BUCKETS_MAX + 1
        assert market.price >= 1
        assert market.halted_until_ms is None or market.halted_until_ms > books.time_ms
    told = [type(fact) for fact in books.facts if not isinstance(fact, PricePosted)]
    assert told == [MarketHalted, MarketReopened] * (len(told) // 2) + [MarketHalted] * (
        len(told) % 2
    )


@given(st.lists(st.integers(0, 2_000), max_size=200), st.integers(1, 5))
def test_bucket_of_bids_lets_through_the_burst_and_the_rate(waits, burst):
    world = World(bid_burst=burst, bid_interval_ms=100)
    books, bidder = world.state._books, world.keys["m1"]
    taken, now_ms = 0, 0
    for wait_ms in waits:
        now_ms += wait_ms
        books.time_ms = START_MS + now_ms
        forget_idle(books)
        with suppress(Refused):
            take_bid(books, bidder)
            taken += 1
        assert taken <= burst + now_ms // 100
    books.time_ms += burst * 100
    forget_idle(books)
    assert not books.bidders


@given(st.integers(0, 50), st.integers(1, 10), st.integers(1, 5), st.integers(0, 200))
def test_domain_is_every_step_between_its_ends(low, step, count, value):
    terms = make_variable("rate", low=low, high=low + step * count, step=step, initial=low)
    assert is_in_domain(terms, value) == (value in range(low, low + step * count + 1, step))


@settings(max_examples=40)
@given(
    bids=st.lists(st.integers(10, 500), min_size=0, max_size=3),
    sets=st.booleans(),
    said=st.lists(st.integers(0, PPM), min_size=0, max_size=4),
    opened=st.integers(0, 4),
    terms=st.fixed_dictionaries(
        {
            "pool": st.integers(0, 5_000),
            "deposit": st.integers(0, 5_000),
            "reward_ppm": st.integers(0, PPM),
            "objective_min_ppm": st.integers(0, PPM),
            "missed_slash_ppm": st.integers(0, PPM),
            "unset_slash_ppm": st.integers(0, PPM),
            "report_fee": st.integers(0, 5_000),
            "tolerance_ppm": st.integers(0, PPM),
        }
    ),
)
def test_variable_ends_and_every_credit_is_somewhere(bids, sets, said, opened, terms):
    world = World()
    began = [
        fact
        for fact in world.run(world.sign("alice", OpenVariable(make_variable("rate", **terms))))
        if isinstance(fact, AuctionBegan)
    ]
    (variable,) = world.state.variables()
    right = began[0].auction
    bidders = world.members[: len(bids)]
    for name, price in zip(bidders, bids, strict=True):
        seal = seal_bid(world, name, right, parse_bid(str(price)))
        world.run(world.sign(name, CommitAuctionBid(right, seal)))
    world.run(wait_ms=4_000)
    world.run(wait_ms=20_000)
    for name, price in zip(bidders, bids, strict=True):
        body = RevealAuctionBid(right, parse_bid(str(price)), digest("salt"))
        world.run(world.sign(name, body))
    if sets and bids:
        holder = next(iter(world.state.variables())).holder
        world.run(world.sign(world.names[holder], SetVariable(variable.id, 1, 60)))
    world.run(wait_ms=60_000)
    place = world.committee
    for name, ppm in zip(world.members, said, strict=False):
        key = world.keys[name]
        seal = compute_report_commitment(
            place.network, place.id, variable.id, 1, key, ppm, digest("salt")
        )
        world.run(world.sign(name, CommitReport(variable.id, 1, seal)))
    world.run(wait_ms=20_000)
    for name, ppm in list(zip(world.members, said, strict=False))[:opened]:
        world.run(world.sign(name, RevealReport(variable.id, 1, ppm, digest("salt"))))
    world.run(wait_ms=20_000)
    assert world.state.stake.is_conserved()
    assert not list(world.state.variables())
    totals = world.state.stake.totals()
    assert totals["escrow"] == totals["locked"] == 0
    for fact in world.log:
        if isinstance(fact, TermEnded):
            assert fact.reward <= terms["pool"]
            assert fact.slashed <= terms["deposit"]

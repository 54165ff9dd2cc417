"""Populations of bidders as facts: honest ones of several kinds, and rings, from a seed."""

import hashlib
import random
from collections.abc import Callable, Iterator

from crdt.facts import (
    AuctionBegan,
    AuctionEnded,
    Awarded,
    BidPlaced,
    Fact,
    Move,
    Paid,
    Settled,
    TaskBid,
    TaskEnded,
    TaskOpened,
)
from crdt.facts_auctions import AuctionAward, AuctionBid, AuctionTerms, BundleBid, Lot
from protocols.auction.screening import Evidence, Screening

ZERO = bytes(32)
WEIGHT = 1_000_000
Bids = dict[bytes, int]


def key(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


CAPABILITY = key("capability")
REQUESTER = key("requester")
AGENTS = tuple(sorted(key(f"agent {i}") for i in range(5)))


def run_task(number: int, bids: Bids, requester: bytes = REQUESTER) -> Iterator[Fact]:
    """A task from opening to end: the lowest bid wins and is paid the second."""
    task = key(f"task {number}")
    winner = min(bids, key=lambda bidder: (bids[bidder], bidder))
    price = sorted(bids.values())[1]
    yield TaskOpened(
        task=task,
        requester=requester,
        capability=CAPABILITY,
        input=ZERO,
        input_bytes=0,
        budget=10**6,
        deadline_ms=0,
    )
    yield Awarded(
        task=task,
        round=1,
        winner=winner,
        bid=bids[winner],
        price=price,
        deadline_ms=0,
        budget=10**6,
        seed=ZERO,
        bids=tuple(TaskBid(bidder, said, WEIGHT) for bidder, said in sorted(bids.items())),
    )
    yield Settled(
        task=task,
        round=1,
        executor=winner,
        grade="excellent",
        price=price,
        rater=requester,
        allowance=0,
        moves=(Move(requester, "escrow", winner, "free", price),),
    )
    yield TaskEnded(task=task, outcome="settled", output=None)


def pay(source: bytes, target: bytes, amount: int) -> Fact:
    moves = (Move(source, "free", target, "free", amount),)
    return Paid(account=source, to=target, amount=amount, moves=moves)


def run_english(
    number: int, seller: bytes, values: Bids, steps: Callable[[bytes], int], delay_ms: int
) -> Iterator[tuple[Fact, int]]:
    """An english auction: whoever may still gain outbids the other by its `steps` increments,
    `delay_ms` later."""
    terms = AuctionTerms(
        kind="english",
        direction="forward",
        lots=(Lot("lot", 10),),
        bid_ms=60_000,
        cap=10**6,
        increment=10,
    )
    id_, time_ms, price = key(f"auction {number}"), number * 10**6, 0
    standing: bytes | None = None
    yield (
        AuctionBegan(auction=id_, opener=seller, terms=terms, weights_ppm=(), deadline_ms=0),
        time_ms,
    )
    placed: Bids = {}
    while True:
        asked = {bidder: price + 10 * steps(bidder) for bidder in values if bidder != standing}
        able = [bidder for bidder in asked if asked[bidder] <= values[bidder]]
        if not able:
            break
        standing = min(able, key=lambda bidder: (placed.get(bidder, 0), bidder))
        price, time_ms = asked[standing], time_ms + delay_ms
        placed[standing] = price
        yield (
            BidPlaced(auction=id_, bidder=standing, weight_ppm=WEIGHT, price=price, deadline_ms=0),
            time_ms,
        )
    awards = () if standing is None else (AuctionAward(standing, b"\0", price),)
    moves = () if standing is None else (Move(standing, "locked", seller, "free", price),)
    yield (
        AuctionEnded(
            auction=id_,
            opener=seller,
            terms=terms,
            opened_ms=0,
            seed=ZERO,
            bids=tuple(
                AuctionBid(bidder, WEIGHT, (BundleBid(b"\0", said),), 0)
                for bidder, said in sorted(placed.items())
            ),
            silent=(),
            awards=awards,
            gap_ppm=0,
            deadline_ms=None,
            moves=moves,
        ),
        time_ms,
    )


def screen(facts: Iterator[Fact]) -> list[Evidence]:
    screening = Screening()
    for fact in facts:
        screening.apply(fact, 0)
    return screening.list_evidence()


# --- honest populations ------------------------------------------------------------------------


def bid_apart(rng: random.Random, count: int) -> Iterator[Fact]:
    """Costs differ by task and by agent, within 20 % of each other."""
    for number in range(count):
        yield from run_task(number, {agent: rng.randint(800, 1_200) for agent in AGENTS})


def bid_by_load(rng: random.Random, count: int) -> Iterator[Fact]:
    """Each agent has its own cost and asks for more while it is busy with what it won."""
    costs = {agent: rng.randint(800, 1_200) for agent in AGENTS}
    busy = dict.fromkeys(AGENTS, 0)
    for number in range(count):
        bids = {agent: costs[agent] + 100 * busy[agent] + rng.randint(-80, 80) for agent in AGENTS}
        yield from run_task(number, bids)
        winner = min(bids, key=lambda bidder: (bids[bidder], bidder))
        busy[winner] += 1
        for agent in AGENTS:
            if busy[agent] and rng.random() < 0.3:
                busy[agent] -= 1


def bid_closely(rng: random.Random, count: int) -> Iterator[Fact]:
    """Equal machines: all costs are within 3 %, newly drawn for each task."""
    for number in range(count):
        yield from run_task(number, {agent: rng.randint(970, 1_030) for agent in AGENTS})


def trade_services(rng: random.Random, count: int) -> Iterator[Fact]:
    """Agents that also ask each other for work, and now and then pay each other."""
    for number in range(count):
        requester, *others = rng.sample(AGENTS, len(AGENTS))
        bids = {agent: rng.randint(800, 1_200) for agent in others}
        yield from run_task(number, bids, requester)
        if rng.random() < 0.1:
            yield pay(requester, others[0], rng.randint(1, 500))


# --- foul play ---------------------------------------------------------------------------------


def bid_as_ring(rng: random.Random, count: int) -> Iterator[Fact]:
    """The first agent wins by agreement; the others cover it a little above the agreed price."""
    for number in range(count):
        price = rng.randint(800, 1_200)
        bids = {agent: price + rng.randint(60, 70) * price // 1_000 for agent in AGENTS}
        bids[AGENTS[0]] = price
        yield from run_task(number, bids)


def bid_in_turns(rng: random.Random, count: int) -> Iterator[Fact]:
    """A ring whose members win one after the other."""
    for number in range(count):
        bids = {agent: rng.randint(1_100, 1_300) for agent in AGENTS}
        bids[AGENTS[number % len(AGENTS)]] = 1_000
        yield from run_task(number, bids)


def trade_in_circles(rng: random.Random, count: int) -> Iterator[Fact]:
    """Three accounts work for each other for a good name, and square it all among themselves;
    two others do honest work."""
    ring, honest = AGENTS[:3], AGENTS[3:]
    for number in range(count):
        price = rng.randint(900, 1_100)
        payer, worker = ring[number % 3], ring[(number + 1) % 3]
        bids = {worker: price, ring[(number + 2) % 3]: price}
        bids[worker] -= 1
        yield from run_task(number, bids, payer)
        yield from run_task(count + number, {agent: rng.randint(800, 1_200) for agent in honest})

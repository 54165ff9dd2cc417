"""Each anomaly comes up where somebody behaves so, with its numbers, and names nobody else."""

import hashlib
import random

import pytest

from crdt import facts
from crdt.moves import Move
from node.anomaly_rules import RULES
from protocols.anomalies import watch
from protocols.anomalies.watch import Watch, count_owned

AGENTS = [hashlib.sha256(f"agent {n}".encode()).digest() for n in range(6)]
REQUESTERS = [hashlib.sha256(f"requester {n}".encode()).digest() for n in range(4)]
WORDS = hashlib.sha256(b"words").digest()
GOOD, BAD = hashlib.sha256(b"good").digest(), hashlib.sha256(b"bad").digest()
STEP_MS = 10_000


class Market:
    """Tasks one after the other, with the habits that a test gives its agents."""

    def __init__(self, seed=0):
        self.watch = Watch()
        self.rng = random.Random(seed)
        self.time_ms = 0
        self.number = 0

    def tell(self, fact):
        self.watch.apply(fact, self.time_ms)

    def run(self, executor, *, grade="excellent", took_ms=None, price=None, **habits):
        self.time_ms += STEP_MS
        self.number += 1
        task = hashlib.sha256(f"task {self.number}".encode()).digest()
        requester = REQUESTERS[self.number % len(REQUESTERS)]
        took_ms = self.rng.randrange(200, 800) if took_ms is None else took_ms
        price = self.rng.randrange(20, 26) if price is None else price
        opened = (task, requester, WORDS, GOOD, 10, 100, self.time_ms + STEP_MS)
        self.tell(facts.TaskOpened(*opened))
        self.tell(facts.AuctionOpened(task, 0, tuple(AGENTS), (1,) * len(AGENTS), self.time_ms))
        for bidder in AGENTS:
            self.tell(facts.BidCommitted(task, 0, bidder, BAD))
            if bidder not in habits.get("withholding", ()):
                self.tell(facts.BidRevealed(task, 0, bidder, price))
        bids = tuple(facts.TaskBid(each, price, 1) for each in AGENTS)
        awarded = (executor, price, price, self.time_ms, 100, GOOD, bids)
        self.tell(facts.Awarded(task, 0, *awarded))
        self.time_ms += took_ms
        self.tell(facts.WorkCommitted(task, 0, executor, BAD))
        self.verify(task, executor, grade, habits.get("copying", ()), habits.get("lying", ()))
        moves = (Move(requester, "escrow", executor, "free", price),)
        settled = (executor, grade, price, requester, 1)
        self.tell(facts.Settled(task, 0, *settled, moves=moves))
        self.tell(facts.TaskEnded(task, "settled", GOOD))

    def verify(self, task, executor, grade, copying, lying):
        says = BAD if grade == "byzantine" else GOOD
        self.tell(facts.WorkRevealed(task, 0, executor, says, 10))
        others = [each for each in AGENTS if each != executor]
        for party in self.rng.sample(others, 3):
            output = says if party in copying else BAD if party in lying else GOOD
            self.tell(facts.WorkRevealed(task, 0, party, output, 10))
        self.tell(facts.Accepted(task, 0, GOOD, 10, tuple(others[:3])))

    def run_many(self, count, **habits):
        for _ in range(count):
            self.run(self.rng.choice(AGENTS), **habits)

    def find(self, balances=None):
        return self.watch.list_anomalies(balances or dict.fromkeys(AGENTS + REQUESTERS, 10**6))


def name(found):
    return [(each.kind, each.subject, each.about) for each in found]


@pytest.mark.parametrize("seed", range(40))
def test_honest_markets_are_quiet(seed):
    market = Market(seed)
    market.run_many(300)
    assert market.find(dict.fromkeys(AGENTS + REQUESTERS, 100_000)) == []


def test_a_failing_executor_is_named_with_its_numbers():
    market = Market()
    for number in range(160):
        executor = AGENTS[number % 6]
        market.run(executor, grade="poor" if executor == AGENTS[2] else "excellent")
    (found,) = market.find()
    assert name([found]) == [("fails_often", AGENTS[2], None)]
    assert (found.observed, found.high, found.unit) == (1_000_000, 50_000, "ppm")
    assert found.count == 27
    assert 2 * STEP_MS < found.since_ms < 5 * STEP_MS


def test_where_everybody_fails_nobody_is_named():
    market = Market()
    for number in range(160):
        market.run(AGENTS[number % 6], grade="poor" if number % 12 < 6 else "satisfactory")
    assert market.find() == []


def test_an_executor_that_became_slow_is_named():
    market = Market()
    market.run_many(200)
    for number in range(60):
        executor = AGENTS[number % 6]
        market.run(executor, took_ms=9_000 if executor == AGENTS[1] else None)
    found = market.find()
    kinds = {("slower_than_before", AGENTS[1], WORDS), ("slower_than_others", AGENTS[1], WORDS)}
    assert set(name(found)) == kinds
    assert all((each.observed, each.unit, each.count) == (9_000, "ms", 8) for each in found)
    assert all(each.high < 4_000 and each.since_ms > 200 * STEP_MS for each in found)


def test_when_all_become_slower_it_is_told_of_their_past_alone():
    market = Market()
    market.run_many(200)
    for number in range(60):
        market.run(AGENTS[number % 6], took_ms=9_000)
    assert {each.kind for each in market.find()} == {"slower_than_before"}


@pytest.mark.parametrize("price", [2, 90])
def test_a_price_that_moves_suddenly_is_named(price):
    market = Market()
    market.run_many(40)
    market.run_many(8, price=price)
    (found,) = market.find()
    assert name([found]) == [("price_jump", b"", WORDS)]
    assert found.observed == price
    assert not found.low <= price <= found.high


def test_who_seals_bids_and_opens_none_is_named():
    market = Market()
    market.run_many(20, withholding={AGENTS[5]})
    assert name(market.find()) == [("withholds_bids", AGENTS[5], None)]


def test_it_counts_in_general_auctions_too():
    market = Market()
    terms = facts.AuctionBegan.__annotations__  # the fold reads no terms of these facts
    assert terms
    ended = {"opener": REQUESTERS[0], "terms": None, "opened_ms": 0, "seed": GOOD, "bids": ()}
    rest = {"awards": (), "gap_ppm": 0, "deadline_ms": None}
    for number in range(10):
        auction = bytes([number]) * 32
        for bidder in AGENTS[:3]:
            market.tell(facts.AuctionBidCommitted(auction, bidder, 1, BAD))
        market.tell(facts.AuctionEnded(auction=auction, silent=(AGENTS[0],), **ended, **rest))
    assert name(market.find()) == [("withholds_bids", AGENTS[0], None)]


def test_a_verifier_that_copies_is_named_where_executors_lie():
    market = Market()
    for number in range(160):
        grade = "byzantine" if number % 2 else "excellent"
        market.run(AGENTS[number % 6], grade=grade, copying={AGENTS[4]})
    found = [each for each in market.find() if each.kind == "never_disagrees"]
    assert name(found) == [("never_disagrees", AGENTS[4], None)]
    assert found[0].observed == 0
    assert found[0].low > 300_000


def test_one_lying_verifier_puts_no_honest_one_into_doubt():
    market = Market()
    market.run_many(160, lying={AGENTS[3]})
    assert market.find() == []


def test_a_requester_that_pays_little_is_named():
    market = Market()
    for number in range(60):
        requester = REQUESTERS[number % 4]
        paid_ppm = 100_000 if requester == REQUESTERS[3] else 1_000_000
        answered = facts.WorkAnswered(GOOD, 0, requester, paid_ppm, silent=False)
        market.tell(answered)
    assert name(market.find()) == [("pays_little", REQUESTERS[3], None)]


def test_an_account_that_drains_is_named_from_its_peak():
    market = Market()
    poor, rich = AGENTS[0], AGENTS[1]

    def pay(source, target, amount):
        market.time_ms += 1
        moves = (Move(source, "free", target, "free", amount),)
        market.tell(facts.Paid(source, target, amount, moves=moves))

    pay(rich, poor, 5_000)
    for _ in range(99):
        pay(poor, rich, 100)
    owned = {poor: 50, rich: 100_000}
    (found,) = market.find(owned)
    assert name([found]) == [("drains", poor, None)]
    # It owned 10,050 before all of it went.
    assert (found.observed, found.low, found.unit) == (50, 995, "credits")
    assert market.find(owned | {poor: 2_000}) == []


def vote(watching, count, silent=(), views=None, epoch=0):
    rng = random.Random(count)
    members = AGENTS[:4]
    for number in range(count):
        voters = [each for each in members if each not in silent]
        voters = set(rng.sample(voters, 3)) if len(voters) > 3 else set(voters)
        view = views(number) if views else 0
        watching.note_votes(number, epoch, view, voters, members)


def test_a_member_that_does_not_vote_is_named():
    watching = Watch()
    vote(watching, 120)
    assert watching.list_anomalies({}) == []
    vote(watching, 120, silent={AGENTS[2]})
    found = watching.list_anomalies({})
    assert name(found) == [("seldom_votes", AGENTS[2], None)]
    assert found[0].observed < 100_000


def test_many_view_changes_are_named_and_few_are_not():
    watching = Watch()
    vote(watching, 128, views=lambda number: number // 40)
    assert watching.list_anomalies({}) == []
    vote(watching, 128, views=lambda number: 100 + number // 4)
    (found,) = watching.list_anomalies({})
    assert name([found]) == [("view_changes", b"", None)]
    assert found.observed > 200_000


def test_an_epoch_begins_views_and_votes_anew():
    watching = Watch()
    vote(watching, 63, silent={AGENTS[2]}, views=lambda _: 7)
    vote(watching, 63, epoch=1)
    assert watching.list_anomalies({}) == []


def test_what_accounts_own_is_summed_over_their_buckets():
    balances = [(AGENTS[0], "free", 5), (AGENTS[0], "bonded", 7), (AGENTS[1], "escrow", 1)]
    assert count_owned([*balances, (b"", "treasury", 99)]) == {AGENTS[0]: 12, AGENTS[1]: 1}


def test_tables_forget_the_oldest(monkeypatch):
    monkeypatch.setattr(watch, "OPEN_MAX", 4)
    monkeypatch.setattr(watch, "ACCOUNTS_MAX", 4)
    market = Market()
    for number in range(50):
        key = bytes([number]) * 32
        market.tell(facts.TaskOpened(key, key, WORDS, GOOD, 1, 1, 1))
        moves = (Move(key, "free", AGENTS[0], "free", 1),)
        market.tell(facts.Paid(key, AGENTS[0], 1, moves=moves))
    assert len(market.watch._tasks) == len(market.watch._net) == len(market.watch._most) == 4


def test_every_kind_has_its_rule_and_what_looks_alike():
    assert set(RULES) > set(watch.Kind.__args__)
    assert all(len(rule) > 20 and len(alike) > 10 for rule, alike in RULES.values())

"""An explanation gives the score that the view gives, wherever it begins, and shows its sums."""

import hashlib
import random

import pytest

from crdt import facts
from crdt.explain import Explanation, Period
from crdt.facts import Fact, Snapshot
from crdt.reputation import InvalidSnapshot, ReputationView

A, B, C, OPERATION = (hashlib.sha256(name).digest() for name in (b"a", b"b", b"c", b"op"))


RATERS = {A: 400_000, C: 3_000_000, OPERATION: 0}
"""With the most that each may hand out between two snapshots; A is an agent as well."""


def make_facts(seed: int, count: int = 60) -> tuple[list[Fact], ReputationView]:
    """A founder A, B who is none, C who only rates; graded ends, offences and snapshots."""
    rng, view = random.Random(seed), ReputationView()
    made: list[Fact] = [facts.Minted(account=A, founder=True), facts.Minted(account=B)]
    for fact in made:
        view.apply(fact)
    for number in range(count):
        task = hashlib.sha256(b"%d" % number).digest()
        grade = rng.choice(["excellent", "satisfactory", "poor", "byzantine"])
        who, rater = rng.choice([A, B]), rng.choice(list(RATERS))
        fact: Fact = facts.Settled(
            task=task,
            round=number % 3,
            executor=who,
            grade=grade,
            price=number,
            rater=rater,
            allowance=rng.randint(RATERS[rater] // 2, RATERS[rater]),
        )
        if rng.random() < 0.2:
            fact = view.compute_snapshot()
        elif grade == "byzantine":
            fact = facts.Slashed(offender=who, offence=task, task=task, amount=9)
        view.apply(fact)
        made.append(fact)
    return made, view


def explain(agent: bytes, made: list[Fact], first: int, start: Snapshot | None) -> list[Period]:
    fold = Explanation(agent, start)
    for number, fact in enumerate(made[first:], first):
        fold.apply(number, 0, fact)
    return list(fold.get_periods())


def recompute(period: Period, good: int, bad: int) -> tuple[int, int, int]:
    good, bad = good * 63 // 64, bad * 255 // 256
    for receipt in (reason.receipt for reason in period.reasons):
        share = 10**6
        if receipt.rater is not None:
            handed = period.raters[receipt.rater]
            share = min(10**6, handed.allowance * 10**6 // handed.mass)
        assert receipt.counted_ppm == share
        good += receipt.good * share // 10**6
        bad += receipt.bad * share // 10**6
    return good, bad, 10**6 * good // (good + bad + 10**6)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("agent", [A, B, C])
def test_the_score_follows_from_what_is_shown(seed: int, agent: bytes) -> None:
    made, view = make_facts(seed)
    *closed, now = explain(agent, made, 0, None)
    good, bad = (4_000_000, 0) if agent == A else (0, 0)
    score = 10**6 * good // (good + bad + 10**6)
    for period in closed:
        assert (period.before.good, period.before.bad) == (good, bad)
        good, bad, score = recompute(period, good, bad)
        assert (period.after.good, period.after.bad, period.score_ppm) == (good, bad, score)
    assert score == view.score_ppm(agent) == now.before.score_ppm()
    assert [period.number for period in closed] == list(range(1, view.number + 1))
    following = view.compute_snapshot()
    expected = {line.agent: line.score_ppm for line in following.scores}
    assert now.score_ppm == expected.get(agent, 0)


@pytest.mark.parametrize("agent", [A, B, C])
def test_it_may_begin_at_any_snapshot(agent: bytes) -> None:
    made, _ = make_facts(3)
    whole = explain(agent, made, 0, None)
    places = [(i, fact) for i, fact in enumerate(made) if isinstance(fact, Snapshot)]
    assert len(places) > 3
    for index, snapshot in places:
        part = explain(agent, made, index + 1, snapshot)
        assert part == whole[snapshot.number :]


def test_every_receipt_says_where_it_stands() -> None:
    made, _ = make_facts(5)
    shown = [reason for period in explain(B, made, 0, None) for reason in period.reasons]
    expected = [
        position
        for position, fact in enumerate(made)
        if (isinstance(fact, facts.Settled) and fact.executor == B and fact.rater != B)
        or (isinstance(fact, facts.Slashed) and fact.offender == B)
    ]
    assert [reason.position for reason in shown] == expected
    for reason in shown:
        fact = made[reason.position]
        assert isinstance(fact, facts.Settled | facts.Slashed)
        amount = fact.price if isinstance(fact, facts.Settled) else fact.amount
        assert (reason.receipt.task, reason.amount) == (fact.task, amount)


def test_what_a_rater_handed_out_is_what_all_facts_of_the_period_say() -> None:
    made, _ = make_facts(5)
    start = 0
    for period in explain(B, made, 0, None):
        end = len(made) if period.position is None else period.position
        for rater, handed in period.raters.items():
            said = [
                fact
                for fact in made[start:end]
                if isinstance(fact, facts.Settled) and fact.rater == rater != fact.executor
            ]
            weights = {"excellent": 1_000_000, "satisfactory": 500_000, "poor": 1_000_000}
            assert handed.mass == sum(weights[fact.grade] for fact in said)
            assert handed.allowance == min(fact.allowance for fact in said)
        start = end


def test_a_snapshot_that_says_otherwise_is_refused() -> None:
    made, _ = make_facts(7)
    index = next(i for i, fact in enumerate(made) if isinstance(fact, Snapshot))
    with pytest.raises(InvalidSnapshot):
        explain(A, [facts.Minted(account=A), *made[1 : index + 1]], 0, None)

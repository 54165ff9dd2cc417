"""How much the word of a rater counts: linear in its bond, whatever it is split over."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crdt.facts import Fact, Grade, Minted, Settled, Slashed
from crdt.reputation import BAD_OFFENCE, PPM, RECEIPTS_MAX, ReputationView, compute_allowance
from identity.errors import InvalidSchema
from identity.schema import U63_MAX

BOND_UNIT = 1_000


def key(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


def settle(
    rater: object, executor: object, bond: int = BOND_UNIT, grade: Grade = "excellent"
) -> Settled:
    return Settled(
        task=key("task"),
        round=1,
        executor=key(executor),
        grade=grade,
        price=1,
        rater=key(rater),
        allowance=compute_allowance(bond, BOND_UNIT),
    )


def fold(*facts: Fact) -> ReputationView:
    """A view after these facts and a snapshot."""
    view = ReputationView()
    for fact in facts:
        view.apply(fact)
    view.apply(view.compute_snapshot())
    return view


def masses(view: ReputationView) -> dict[bytes, tuple[int, int]]:
    return {score.agent: (score.good, score.bad) for score in view.scores()}


def test_a_rater_hands_out_what_its_bond_allows_in_equal_shares() -> None:
    view = fold(
        *(settle("rater", name, bond=2_000) for name in ("a", "b", "c")),
        settle("rater", "c", bond=2_000, grade="poor"),
    )
    assert masses(view) == {
        key("a"): (PPM // 2, 0),
        key("b"): (PPM // 2, 0),
        key("c"): (PPM // 2, PPM // 2),
    }
    assert [receipt.counted_ppm for receipt in view.explain(key("c"))] == [PPM // 2] * 2


def test_no_more_counts_than_was_agreed() -> None:
    assert masses(fold(settle("rater", "a", bond=50_000))) == {key("a"): (PPM, 0)}


def test_without_a_bond_a_rater_says_nothing() -> None:
    view = fold(settle("rater", "a", bond=0), settle("rater", "b", bond=0, grade="poor"))
    assert masses(view) == {key("a"): (0, 0), key("b"): (0, 0)}


def test_nobody_rates_itself() -> None:
    assert masses(fold(settle("a", "a"))) == {}


def test_the_least_bond_of_an_interval_counts() -> None:
    view = fold(settle("rater", "a", bond=0), settle("rater", "b", bond=9_000))
    assert masses(view) == {key("a"): (0, 0), key("b"): (0, 0)}


def test_each_snapshot_begins_anew() -> None:
    view = fold(settle("rater", "a"), settle("rater", "a"))
    view.apply(settle("rater", "a"))
    view.apply(view.compute_snapshot())
    assert masses(view) == {key("a"): (PPM * 63 // 64 + PPM, 0)}


def test_a_proven_offence_counts_in_full() -> None:
    lie = settle("rater", "a", bond=0, grade="byzantine")
    view = fold(lie, Slashed(offender=key("a"), offence=key("o"), task=lie.task, amount=5))
    assert masses(view) == {key("a"): (0, BAD_OFFENCE)}


def test_a_fact_after_a_computed_snapshot_is_not_forgotten() -> None:
    view = ReputationView()
    view.apply(Minted(account=key("a"), founder=True))
    early = view.compute_snapshot()
    view.apply(settle("rater", "a"))
    assert view.compute_snapshot() != early
    view.apply(view.compute_snapshot())
    view.apply(Minted(account=key("b"), founder=True))
    assert {score.agent for score in view.compute_snapshot().scores} == {key("a"), key("b")}


@pytest.mark.parametrize(("bond", "unit"), [(0, 1_000), (1, 0), (U63_MAX, 1)])
def test_an_allowance_is_an_amount(bond: int, unit: int) -> None:
    assert 0 <= compute_allowance(bond, unit) <= U63_MAX


ratings = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(["excellent", "satisfactory", "poor"])),
    min_size=1,
    max_size=30,
)


@given(
    bonds=st.lists(st.integers(0, 9_999), min_size=1, max_size=6),
    said=st.lists(ratings, min_size=6, max_size=6),
)
def test_a_split_bond_hands_out_no_more_than_a_whole_one(
    bonds: list[int], said: list[list[tuple[int, Grade]]]
) -> None:
    """One rater with all of a bond beside several that have parts of it and say the same."""
    whole, parts = [], []
    for rater, bond in enumerate(bonds):
        for subject, grade in said[rater]:
            whole.append(settle("whole", subject, sum(bonds), grade))
            parts.append(settle(rater, subject, bond, grade))

    def total(facts: list[Settled]) -> int:
        return sum(good + bad for good, bad in masses(fold(*facts)).values())

    rounding = 2 * len(whole)
    assert total(parts) <= total(whole) + rounding
    assert total(whole) <= compute_allowance(sum(bonds), BOND_UNIT)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 5_000))))
def test_explanations_add_up_and_a_dump_keeps_them(said: list[tuple[int, int, int]]) -> None:
    view = ReputationView()
    for number, (rater, subject, bond) in enumerate(said[:RECEIPTS_MAX]):
        view.apply(settle(("rater", rater), subject, bond))
        if number % 7 == 6:
            view.apply(view.compute_snapshot())
    loaded = ReputationView.load(view.dump())
    assert loaded.dump() == view.dump()
    for each in (view, loaded):
        each.apply(each.compute_snapshot())
    assert loaded.scores() == view.scores()
    for score in view.scores():
        good, numbers = 0, [receipt.counted_ppm for receipt in view.explain(score.agent)]
        assert None not in numbers
        good = sum(receipt.good_counted for receipt in view.explain(score.agent))
        assert score.good <= good


def test_a_damaged_dump_is_refused() -> None:
    view = fold(settle("rater", "a"))
    plain = view.dump()
    plain[2][0][2][0].append("surplus")
    with pytest.raises(InvalidSchema):
        ReputationView.load(plain)

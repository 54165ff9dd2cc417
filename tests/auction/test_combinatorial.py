"""Bundles by brute force: the best allocation, proofs that hold, no lie that pays, nobody loses."""

import random
from collections.abc import Sequence
from itertools import product

import pytest

from devnet.bench.cats.families import FAMILIES, generate
from protocols.auction.combinatorial import canonical, cliques, greedy
from protocols.auction.combinatorial.bids import Direction, Offer, Problem, make_problem
from protocols.auction.combinatorial.branch_and_bound import Search
from protocols.auction.combinatorial.certificate import Certificate, compute_bound
from protocols.auction.combinatorial.simplex import Work
from protocols.auction.combinatorial.vcg import Clearing, Payment

SEED, AUCTION = bytes(32), b"auction"
WEIGHTS = (950_000, 1_000_000, 975_000)
ENOUGH = 50_000_000
DIRECTIONS: tuple[Direction, ...] = ("forward", "reverse")


def best_of(problem: Problem, values: Sequence[int], allowed: int = -1) -> int:
    """Every allocation there is."""
    best = 0
    for j in range(len(values)):
        if allowed >> j & 1:
            rest = allowed & ~problem.conflicts[j] & -(2 << j)
            best = max(best, values[j] + best_of(problem, values, rest))
    return best


def make_random(number: int, goods_max: int = 7, bidders_max: int = 6) -> Problem:
    rng = random.Random(number)
    goods = rng.randint(1, goods_max)
    offers = [
        Offer(
            bytes([place]),
            rng.choice(WEIGHTS),
            tuple(
                (rng.randint(1, 2**goods - 1), rng.randint(0, 9)) for _ in range(rng.randint(1, 4))
            ),
        )
        for place in range(rng.randint(1, bidders_max))
    ]
    limits = [rng.randint(0, 4) for _ in range(goods)]
    return make_problem(rng.choice(DIRECTIONS), limits, offers)


def clear(problem: Problem, work: int = ENOUGH) -> tuple[Payment, ...]:
    clearing = Clearing(problem, SEED, AUCTION, Work(work))
    return clearing.price(clearing.solve().winners, "vcg", Work(work))


def test_the_best_of_every_allocation_ties_included() -> None:
    for number in range(300):
        problem = make_random(number)
        values = canonical.perturb(problem, canonical.compute_ties(problem, SEED, AUCTION))
        found = Search(problem, values, Work(ENOUGH)).solve((1 << len(values)) - 1, (), 0)
        assert problem.is_feasible(found.winners)
        assert found.proven
        assert found.value == best_of(problem, values)


def test_payments_are_what_the_others_lose() -> None:
    for number in range(150):
        problem = make_random(number)
        gains = [entry.gain for entry in problem.entries]
        clearing = Clearing(problem, SEED, AUCTION, Work(ENOUGH))
        solution = clearing.solve()
        assert solution.value == best_of(problem, gains)
        assert solution.gap_ppm == 0
        for each in clearing.price(solution.winners, "vcg", Work(ENOUGH)):
            entry = problem.entries[each.entry]
            without = best_of(problem, gains, ~problem.groups[entry.offer])
            loss = without - (solution.value - entry.gain)
            factor = problem.get_multiplier(entry.offer)
            limit = sum(each for lot, each in enumerate(problem.limits) if entry.lots >> lot & 1)
            exact = limit * (factor if problem.direction == "forward" else 1_000_000)
            exact += loss if problem.direction == "forward" else -loss
            down = exact // factor
            assert each.price == (-(-exact // factor) if problem.direction == "forward" else down)
            assert not each.approximate


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_no_lie_pays_and_nobody_loses(direction: Direction) -> None:
    """One bidder with three bundles of two lots at prices 0..3 against bidders of all kinds."""
    limits = (1, 0) if direction == "forward" else (3, 2)
    sign = 1 if direction == "forward" else -1
    masks = (1, 2, 3)
    grid = list(product(range(4), repeat=3))
    rng = random.Random(7)
    crowds = [
        [
            Offer(
                bytes([place + 1]),
                WEIGHTS[place % 3],
                tuple((mask, rng.randint(0, 4)) for mask in masks if rng.random() < 0.7),
            )
            for place in range(rng.randint(1, 3))
        ]
        for _ in range(8)
    ]
    for crowd in crowds:
        outcomes: dict[tuple[int, ...], tuple[int, int] | None] = {}
        for told in grid:
            mine = Offer(b"\0", WEIGHTS[0], tuple(zip(masks, told, strict=True)))
            problem = make_problem(direction, limits, [mine, *crowd])
            outcomes[told] = next(
                (
                    (problem.entries[each.entry].bundle, each.price)
                    for each in clear(problem)
                    if problem.entries[each.entry].offer == 0
                ),
                None,
            )

        def utility(truth: tuple[int, ...], outcome: tuple[int, int] | None) -> int:
            return 0 if outcome is None else sign * (truth[outcome[0]] - outcome[1])

        for truth in grid:
            honest = utility(truth, outcomes[truth])
            assert honest >= 0
            assert all(utility(truth, outcome) <= honest for outcome in outcomes.values())


def test_pay_as_bid_pays_the_bid() -> None:
    problem = make_random(3)
    clearing = Clearing(problem, SEED, AUCTION, Work(ENOUGH))
    for each in clearing.price(clearing.solve().winners, "pay_as_bid", Work(ENOUGH)):
        assert each.price == problem.entries[each.entry].price


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_solved_and_proven(family: str) -> None:
    problem = generate(family, 16, 50, 1).make_problem()
    clearing = Clearing(problem, SEED, AUCTION, Work(ENOUGH))
    solution = clearing.solve()
    assert problem.is_feasible(solution.winners)
    assert solution.gap_ppm == 0
    bound = compute_bound(problem, solution.certificate)
    assert bound is not None
    assert bound >= solution.value
    again = Clearing(problem, SEED, AUCTION, Work(ENOUGH)).solve()
    assert again == solution


def test_no_certificate_proves_less_than_the_best() -> None:
    """Any prices give a bound that holds; what is no clique gives none."""
    rng = random.Random(1)
    for number in range(200):
        problem = make_random(number)
        best = best_of(problem, [entry.gain for entry in problem.entries])
        lots = tuple((lot, rng.randint(0, 1 << 36)) for lot in range(len(problem.limits)))
        rows = cliques.list_rows(problem, range(len(problem.entries)))
        priced = tuple(
            (
                tuple(j for j in range(len(problem.entries)) if mask >> j & 1),
                rng.randint(0, 1 << 30),
            )
            for mask in rows
        )
        bound = compute_bound(problem, Certificate(lots, priced))
        assert bound is not None
        assert bound >= best


def test_bad_certificates_prove_nothing() -> None:
    problem = make_problem(
        "forward", (0, 0), [Offer(b"a", 1, ((1, 5),)), Offer(b"b", 1, ((2, 6),))]
    )
    assert compute_bound(problem, Certificate(cliques=(((0, 1), 1),))) is None  # both may win
    assert compute_bound(problem, Certificate(lots=((0, -1),))) is None
    assert compute_bound(problem, Certificate(lots=((2, 1),))) is None
    assert compute_bound(problem, Certificate(cliques=(((7,), 1),))) is None
    assert compute_bound(problem, Certificate(cliques=(((0, 0), 1),))) == 11
    assert compute_bound(problem, Certificate()) == 11


def test_work_that_is_not_enough_gives_the_greedy_allocation_and_a_gap() -> None:
    problem = generate("arbitrary", 25, 100, 2).make_problem()
    values = canonical.perturb(problem, canonical.compute_ties(problem, SEED, AUCTION))
    order = greedy.order_by_density(problem, values)
    clearing = Clearing(problem, SEED, AUCTION, Work(1_000))
    solution = clearing.solve()
    assert solution.winners == tuple(sorted(greedy.fill(problem, order, -1)))
    assert solution.gap_ppm > 0
    best = Clearing(problem, SEED, AUCTION, Work(ENOUGH)).solve()
    assert best.value > solution.value
    assert solution.bound >= best.value
    for each in clearing.price(solution.winners, "vcg", Work(1_000)):
        assert each.approximate
        assert 0 <= each.price <= problem.entries[each.entry].price


def test_less_work_never_gives_a_false_bound() -> None:
    for number, cells in enumerate((5_000, 20_000, 60_000, 150_000, 400_000)):
        problem = generate("l6", 25, 100, number).make_problem()
        best = Clearing(problem, SEED, AUCTION, Work(ENOUGH)).solve()
        part = Clearing(problem, SEED, AUCTION, Work(cells)).solve()
        assert problem.is_feasible(part.winners)
        assert part.value <= best.value <= part.bound


def test_work_may_end_anywhere() -> None:
    """In the search's every part: in ordered code nothing may be raised."""
    for number in range(40):
        problem = make_random(number)
        whole = Work(ENOUGH)
        best = Clearing(problem, SEED, AUCTION, whole).solve()
        used = ENOUGH - whole.left
        for cells in range(0, used + 1, max(1, used // 50)):
            clearing = Clearing(problem, SEED, AUCTION, Work(cells))
            part = clearing.solve()
            assert problem.is_feasible(part.winners)
            assert part.value <= best.value <= part.bound
            for each in clearing.price(part.winners, "vcg", Work(cells)):
                assert each.price >= 0


def test_a_better_start_is_kept() -> None:
    problem = generate("arbitrary", 25, 100, 2).make_problem()
    best = Clearing(problem, SEED, AUCTION, Work(ENOUGH)).solve()
    given = Clearing(problem, SEED, AUCTION, Work(1_000)).solve(best.winners)
    assert given.winners == best.winners

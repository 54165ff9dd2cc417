"""Winners are searched for in a process of their own, with CP-SAT where it is installed."""

from pathlib import Path

import pytest

from crdt.facts_auctions import AuctionBid, AuctionTerms, BundleBid, Lot
from devnet.bench.cats.families import generate
from node import cp_sat
from node.solver_job import Job, run
from node.solver_process import SolverFailed, solve_apart
from protocols.auction.clearing import Contest, Outcome, clear
from protocols.auction.combinatorial import canonical
from protocols.auction.combinatorial.bids import list_bits
from protocols.auction.several_lots import Candidate, find_winners, judge, pose

needs_cp_sat = pytest.mark.skipif(
    not cp_sat.is_installed(), reason="the extra `market` is not installed (make setup-market)"
)
SEED, AUCTION = bytes(32), bytes(range(32))
ENOUGH = 50_000_000


def make_job(family: str, goods: int, bids: int, work_max: int, use_cp_sat: bool = False) -> Job:
    problem = generate(family, goods, bids, 3).make_problem()
    opened = [
        AuctionBid(
            offer.bidder,
            offer.weight_ppm,
            tuple(BundleBid(bytes(list_bits(lots)), price) for lots, price in offer.bundles),
            0,
        )
        for offer in sorted(problem.offers, key=lambda offer: offer.bidder)
    ]
    terms = AuctionTerms(
        kind="combinatorial",
        direction="forward",
        lots=tuple(Lot(str(lot), 0) for lot in range(goods)),
        bid_ms=1_000,
        cap=1 << 40,
    )
    return Job(AUCTION, SEED, terms, tuple(opened), work_max, use_cp_sat)


async def test_what_the_process_finds_is_taken_as_a_solution(tmp_path: Path) -> None:
    job = make_job("arbitrary", 25, 100, ENOUGH)
    found = await solve_apart(job, tmp_path)
    assert found == run(job)
    assert found.gap_ppm == 0
    contest = Contest(AUCTION, job.terms, 0, job.bids, SEED)
    poor = clear(contest).found  # no work at all: the greedy winners
    best = clear(Contest(AUCTION, job.terms, 0, job.bids, SEED, ENOUGH))
    assert isinstance(best, Outcome)
    standing = Candidate(
        tuple(type(found.winners[0])(each.winner, each.lots) for each in poor.awards)
    )
    verdict = judge(
        job.terms, job.bids, (SEED, AUCTION), Candidate(found.winners, found.proof), standing
    )
    assert verdict is not None
    assert verdict.better
    assert verdict.nearer
    assert {(each.bidder, each.lots) for each in found.winners} == {
        (each.winner, each.lots) for each in best.awards
    }
    assert list(tmp_path.iterdir()) == []


async def test_a_job_that_is_nonsense_fails_and_leaves_nothing(tmp_path: Path) -> None:
    job = make_job("l3", 8, 10, ENOUGH)
    broken = Job(AUCTION, b"", job.terms, job.bids[:1] * 2, -1)
    twice = broken.bids[0]
    assert twice is broken.bids[1]
    found = await solve_apart(broken, tmp_path)  # no work: greedy, one of two equal bidders' bids
    assert len(found.winners) <= 2
    outside = AuctionBid(twice.bidder, 0, (BundleBid(b"\x3f", 1),), 0)
    with pytest.raises(SolverFailed):
        await solve_apart(Job(AUCTION, b"", job.terms, (outside,), 1), tmp_path)
    assert list(tmp_path.iterdir()) == []


@needs_cp_sat
@pytest.mark.parametrize("family", ["arbitrary", "l3", "regions"])
def test_cp_sat_proposes_what_may_win_and_the_best(family: str) -> None:
    job = make_job(family, 25, 100, ENOUGH, use_cp_sat=True)
    problem = pose(job.terms, job.bids)
    values = canonical.perturb(problem, canonical.compute_ties(problem, SEED, AUCTION))
    proposed = cp_sat.propose(problem, values, ())
    assert problem.is_feasible(proposed)
    found = run(job)
    assert found.asked_cp_sat
    winners = find_winners(problem, found.winners)
    assert winners is not None
    assert problem.sum_gains(proposed) == problem.sum_gains(winners)


@needs_cp_sat
async def test_cp_sat_runs_in_the_process_too(tmp_path: Path) -> None:
    found = await solve_apart(make_job("l4", 25, 100, ENOUGH, use_cp_sat=True), tmp_path)
    assert found.asked_cp_sat
    assert found.gap_ppm == 0


@needs_cp_sat
def test_cp_sat_repeats_itself() -> None:
    job = make_job("arbitrary", 25, 100, ENOUGH)
    problem = pose(job.terms, job.bids)
    values = canonical.perturb(problem, canonical.compute_ties(problem, SEED, AUCTION))
    assert cp_sat.propose(problem, values, ()) == cp_sat.propose(problem, values, ())

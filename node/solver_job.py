"""What the solver's worker process runs: an auction's bids in, the best winners it finds out.

Greedy first, CP-SAT where it is installed, then our own branch and bound from the better of both,
with far more work than ordered code may do; the certificate is ours in any case.
"""

import msgspec

from crdt.facts_auctions import AuctionBid, AuctionTerms
from crdt.facts_solutions import ChosenBundle, SolutionProof
from identity import schema
from node import cp_sat
from protocols.auction.combinatorial import greedy
from protocols.auction.combinatorial.bids import list_bits
from protocols.auction.combinatorial.simplex import Work
from protocols.auction.combinatorial.vcg import Clearing
from protocols.auction.several_lots import make_proof, pose

JOB_BYTES_MAX = 8 * 1024 * 1024
FOUND_BYTES_MAX = 512 * 1024


class Job(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`work_max` in tableau cells; `use_cp_sat` where it is installed."""

    auction: bytes
    seed: bytes
    terms: AuctionTerms
    bids: tuple[AuctionBid, ...]
    work_max: int
    use_cp_sat: bool = True


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The winners, how far from the best they may be, what shows it, and whether CP-SAT helped."""

    winners: tuple[ChosenBundle, ...]
    gap_ppm: int
    proof: SolutionProof | None
    asked_cp_sat: bool


def solve(data: bytes) -> bytes:
    """An encoded `Job` to an encoded `Found`."""
    return schema.encode(run(schema.decode(data, Job, size_max=JOB_BYTES_MAX)))


def run(job: Job) -> Found:
    """Search as long as the job allows."""
    problem = pose(job.terms, job.bids)
    clearing = Clearing(problem, job.seed, job.auction, Work(job.work_max))
    values = clearing.search.values
    everything = (1 << len(values)) - 1
    start = greedy.fill(problem, clearing.search.order, everything)
    asks = job.use_cp_sat and cp_sat.is_installed()
    if asks:
        start = list(cp_sat.propose(problem, values, start))
    solution = clearing.solve(start)
    winners = tuple(
        ChosenBundle(
            problem.offers[problem.entries[j].offer].bidder,
            bytes(list_bits(problem.entries[j].lots)),
        )
        for j in solution.winners
    )
    proof = solution.certificate
    if clearing.bound_by(proof) > solution.value:
        proof = min(proof, clearing.certify(Work(job.work_max)), key=clearing.bound_by)
    return Found(winners, solution.gap_ppm, make_proof(proof), asks)

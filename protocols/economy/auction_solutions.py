"""The solution window: who found a better set of bundles than ordered code in its limited work?

Anybody may submit one, once. It is closed as every phase is, by the deadline and a quorum's
inventories, so that no leader can push its favourite by leaving better ones out.
"""

from crdt.facts_solutions import ChosenBundle, SolutionAwaited, SolutionSubmitted
from protocols.auction.clearing import Outcome
from protocols.auction.several_lots import Candidate, judge
from protocols.economy.auction_model import Auction, list_opened
from protocols.economy.auctions import enter_phase
from protocols.economy.books import Books
from protocols.economy.model import Refused
from protocols.economy.operations_solutions import SubmitSolution

SOLUTIONS_MAX = 64
"""Submissions that one auction takes."""


def await_solution(books: Books, auction: Auction, found: Outcome) -> None:
    """Begin the window with what ordered code found."""
    auction.solution = tuple(ChosenBundle(each.winner, each.lots) for each in found.awards)
    enter_phase(books, auction, "auction_solution", (), books.parameters.auction_solution_ms)
    books.emit(
        SolutionAwaited(
            auction=auction.id,
            winners=auction.solution,
            gap_ppm=found.gap_ppm,
            deadline_ms=auction.stage_deadline_ms,
        )
    )


def submit(books: Books, auction: Auction, signer: bytes, item: SubmitSolution) -> None:
    """Take better winners or a nearer bound. Raises Refused."""
    if auction.stage != "auction_solution":
        raise Refused("no_solution_wanted")
    if signer in auction.solvers:
        raise Refused("already_submitted")
    if len(auction.solvers) >= SOLUTIONS_MAX:
        raise Refused("too_many_solutions")
    standing = Candidate(auction.solution, auction.proof)
    verdict = judge(
        auction.terms,
        list_opened(auction),
        (auction.seed, auction.id),
        Candidate(item.winners, item.proof),
        standing,
    )
    if verdict is None:
        raise Refused("infeasible")
    if not (verdict.better or verdict.nearer):
        raise Refused("not_better")
    auction.solvers[signer] = None
    if verdict.better:
        auction.solution = item.winners
    if verdict.nearer:
        auction.proof = item.proof
    books.emit(
        SolutionSubmitted(
            auction=auction.id, account=signer, winners=item.winners, improved=verdict.better
        )
    )

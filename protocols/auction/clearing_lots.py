"""The outcome of an auction of several lots, within a bounded amount of work.

The bound counts work, not seconds, so every member and every later reader comes to the same result.
Where it does not suffice the best found so far counts, with the proven gap to what no set of
bundles exceeds.
"""

from crdt.facts_auctions import AuctionAward
from protocols.auction.clearing_contest import Contest, NeedsSolution, Outcome
from protocols.auction.combinatorial.bids import Offer, Problem, list_bits, make_problem
from protocols.auction.combinatorial.simplex import Work
from protocols.auction.combinatorial.vcg import Clearing

CELLS_MAX = 1_000_000
"""Work within execution: about a quarter of a second."""


def make_contest_problem(contest: Contest) -> Problem:
    """The bids as offers, in the order in which the fact holds them."""
    offers = [
        Offer(
            bid.bidder,
            bid.weight_ppm,
            tuple((to_mask(bundle.lots), bundle.price) for bundle in bid.bundles),
        )
        for bid in contest.bids
    ]
    limits = [lot.limit for lot in contest.terms.lots]
    return make_problem(contest.terms.direction, limits, offers)


def clear_combinatorial(contest: Contest) -> Outcome | NeedsSolution:
    """Winners of bundles and what they pay, by the pricing of the terms."""
    problem = make_contest_problem(contest)
    clearing = Clearing(problem, contest.seed, contest.auction, Work(CELLS_MAX))
    solution = clearing.solve()
    awards, exact = [], True
    for payment in clearing.price(solution.winners, contest.terms.pricing):
        entry = problem.entries[payment.entry]
        winner = contest.bids[entry.offer].bidder
        lots = bytes(list_bits(entry.lots))
        exact &= not payment.approximate
        awards.append(AuctionAward(winner, lots, payment.price, payment.approximate))
    outcome = Outcome(tuple(awards), solution.gap_ppm)
    return outcome if exact and not outcome.gap_ppm else NeedsSolution(outcome)


def to_mask(lots: bytes) -> int:
    """Places of lots as a bit mask."""
    mask = 0
    for lot in lots:
        mask |= 1 << lot
    return mask

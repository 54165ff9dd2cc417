"""Outcomes of the kinds with several lots: bundles (`combinatorial`) and one lot each (`call`).

Both follow from the bids, the seed and, where the work that ordered code does was not enough to
prove an optimum, from the winners that somebody submitted: `resolve` takes the better of what it
finds itself and of what it is given, so that anybody computes the same again from the result.
"""

from collections.abc import Sequence

from crdt.facts_auctions import AuctionAward, AuctionBid, AuctionTerms
from protocols.auction.assignment import LotPrices, assign
from protocols.auction.combinatorial.bids import Offer, Problem, list_bits, make_problem
from protocols.auction.combinatorial.certificate import Certificate, compute_gap_ppm, order_key
from protocols.auction.combinatorial.simplex import Work
from protocols.auction.combinatorial.vcg import Clearing

WINNER_CELLS_MAX = 8_000_000
"""Work, in tableau cells, for the winners: about half a second where it is all spent."""
PRICE_CELLS_MAX = 8_000_000
"""Work for all their payments together."""

Chosen = Sequence[tuple[bytes, bytes]]
"""Winners and the lots (one byte each, ascending) of the bundle that each wins."""


def assign_lots(
    terms: AuctionTerms, bids: Sequence[AuctionBid], seed: bytes, auction: bytes
) -> tuple[AuctionAward, ...]:
    """The awards of a call, by lot."""
    offers = [
        LotPrices(
            bid.bidder,
            bid.weight_ppm,
            tuple((bundle.lots[0], bundle.price) for bundle in bid.bundles),
        )
        for bid in bids
    ]
    limits = [lot.limit for lot in terms.lots]
    return tuple(
        AuctionAward(bids[each.bidder].bidder, bytes([each.lot]), each.price)
        for each in assign(terms.direction, limits, offers, seed, auction)
    )


def pose(terms: AuctionTerms, bids: Sequence[AuctionBid]) -> Problem:
    """The bids of a combinatorial auction as a problem."""
    offers = [
        Offer(
            bid.bidder,
            bid.weight_ppm,
            tuple((sum(1 << lot for lot in b.lots), b.price) for b in bid.bundles),
        )
        for bid in bids
    ]
    return make_problem(terms.direction, [lot.limit for lot in terms.lots], offers)


def find_winners(problem: Problem, chosen: Chosen) -> tuple[int, ...] | None:
    """The entries of what was chosen; None unless they may all win together."""
    places = {
        (problem.offers[entry.offer].bidder, bytes(list_bits(entry.lots))): j
        for j, entry in enumerate(problem.entries)
    }
    winners = [places.get(pair) for pair in chosen]
    known = sorted(j for j in winners if j is not None)
    if len(known) < len(winners) or not problem.is_feasible(known):
        return None
    return tuple(known)


def is_better(
    terms: AuctionTerms,
    bids: Sequence[AuctionBid],
    place: tuple[bytes, bytes],
    chosen: Chosen,
    than: Chosen,
) -> bool:
    """True when `chosen` may win, and beats `than` by gain, ties or, last, places. `place` is the
    seed and the auction's id."""
    problem = pose(terms, bids)
    winners, former = find_winners(problem, chosen), find_winners(problem, than)
    if winners is None:
        return False
    ties = Clearing(problem, *place, Work(0)).ties
    return former is None or order_key(problem, ties, winners) > order_key(problem, ties, former)


def resolve(
    terms: AuctionTerms,
    bids: Sequence[AuctionBid],
    place: tuple[bytes, bytes],
    submitted: Chosen = (),
    proof: Certificate | None = None,
) -> tuple[tuple[AuctionAward, ...], int]:
    """The awards of a combinatorial auction by place, and gap_ppm: 0 where they are proven best.

    `submitted` winners count when they may win and are better than those found within
    WINNER_CELLS_MAX; `proof` may show a nearer bound. `place` is the seed and the auction's id.
    """
    problem = pose(terms, bids)
    clearing = Clearing(problem, *place, Work(WINNER_CELLS_MAX))
    solution = clearing.solve()
    winners, bound = solution.winners, solution.bound
    if solution.gap_ppm:
        given = find_winners(problem, submitted)
        ties = clearing.ties
        if given is not None and order_key(problem, ties, given) > order_key(
            problem, ties, winners
        ):
            winners = given
        if proof is not None:
            bound = min(bound, clearing.bound_by(proof))
    payments = clearing.price(winners, terms.pricing, Work(PRICE_CELLS_MAX))
    awards = tuple(
        AuctionAward(
            problem.offers[problem.entries[each.entry].offer].bidder,
            bytes(list_bits(problem.entries[each.entry].lots)),
            each.price,
            each.approximate,
        )
        for each in payments
    )
    return awards, compute_gap_ppm(problem.sum_gains(winners), bound)

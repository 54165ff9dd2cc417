"""Outcomes of the kinds with several lots: bundles (`combinatorial`) and one lot each (`call`).

Both follow from the bids, the seed and, where the work that ordered code does was not enough to
prove an optimum, from the winners that somebody submitted: `resolve` takes the better of what it
finds itself and of what it is given, so that anybody computes the same again from the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crdt.facts_auctions import AuctionAward, AuctionBid, AuctionTerms
from crdt.facts_solutions import (
    PROOF_CLIQUES_MAX,
    ChosenBundle,
    CliquePrice,
    LotPrice,
    SolutionProof,
)
from identity.schema import U63_MAX
from protocols.auction.assignment import LotPrices, assign
from protocols.auction.combinatorial.bids import Offer, Problem, list_bits, make_problem
from protocols.auction.combinatorial.canonical import compute_ties
from protocols.auction.combinatorial.certificate import (
    Certificate,
    compute_bound,
    compute_gap_ppm,
    order_key,
)
from protocols.auction.combinatorial.simplex import Work
from protocols.auction.combinatorial.vcg import Clearing

Chosen = Sequence[ChosenBundle]
"""The winners, each with the bundle that it wins."""


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
    winners = [places.get((each.bidder, each.lots)) for each in chosen]
    known = sorted(j for j in winners if j is not None)
    if len(known) < len(winners) or not problem.is_feasible(known):
        return None
    return tuple(known)


@dataclass(frozen=True, slots=True)
class Candidate:
    """Winners, and perhaps a proof of how good they are."""

    winners: Chosen
    proof: SolutionProof | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A candidate beside the standing one: better winners, a nearer bound."""

    better: bool
    nearer: bool


def judge(
    terms: AuctionTerms,
    bids: Sequence[AuctionBid],
    place: tuple[bytes, bytes],
    candidate: Candidate,
    standing: Candidate,
) -> Verdict | None:
    """Compare by gain, ties and, last, places; None for winners that may not win together. `place`
    is the seed and the auction's id."""
    problem = pose(terms, bids)
    winners, former = (find_winners(problem, each.winners) for each in (candidate, standing))
    if winners is None:
        return None
    ties = compute_ties(problem, *place)
    better = former is None or order_key(problem, ties, winners) > order_key(problem, ties, former)
    bound, known = (_bound(problem, each.proof) for each in (candidate, standing))
    return Verdict(better, bound is not None and (known is None or bound < known))


def resolve(
    terms: AuctionTerms,
    bids: Sequence[AuctionBid],
    place: tuple[bytes, bytes],
    work_max: int,
    submitted: Candidate | None = None,
) -> tuple[tuple[AuctionAward, ...], int]:
    """The awards of a combinatorial auction by place, and gap_ppm: 0 where they are proven best.

    `work_max` bounds, in tableau cells, the search for the winners, and again that for all their
    payments. `submitted` winners count where that did not suffice, if they are better than those
    found; its proof may show a nearer bound. `place` is the seed and the auction's id.
    """
    problem = pose(terms, bids)
    clearing = Clearing(problem, *place, Work(work_max))
    solution = clearing.solve()
    winners, bound = solution.winners, solution.bound
    if solution.gap_ppm and submitted is not None:
        given, ties = find_winners(problem, submitted.winners), clearing.ties
        if given and order_key(problem, ties, given) > order_key(problem, ties, winners):
            winners = given
        shown = _bound(problem, submitted.proof)
        bound = bound if shown is None else min(bound, shown)
    payments = clearing.price(winners, terms.pricing, Work(work_max))
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


def _bound(problem: Problem, proof: SolutionProof | None) -> int | None:
    if proof is None:
        return None
    lots = tuple((each.lot, each.price) for each in proof.lots)
    cliques = tuple((each.entries, each.price) for each in proof.cliques)
    return compute_bound(problem, Certificate(lots, cliques))


def make_proof(certificate: Certificate) -> SolutionProof | None:
    """A certificate as it travels; None for one that is beyond the bounds of the wire."""
    fits = len(certificate.cliques) <= PROOF_CLIQUES_MAX and all(
        price <= U63_MAX for _, price in (*certificate.lots, *certificate.cliques)
    )
    if not fits:
        return None
    return SolutionProof(
        tuple(LotPrice(*each) for each in certificate.lots),
        tuple(CliquePrice(*each) for each in certificate.cliques),
    )

"""Prices that prove how good an allocation is, without trust in whoever found it.

Put an integer price y >= 0 on lots and on cliques (sets of entries every two of which exclude each
other; a lot's holders and a bidder's own bundles are cliques too). At most one entry of each wins,
so no allocation is worth more than

    sum of all y + sum over entries of max(0, gain - prices of the rows it stands in)

by weak duality; prices have a binary fraction, and the bound is rounded down. Checking it takes
some sums; finding it is the solver's work.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from protocols.auction.combinatorial.bids import Problem
from protocols.auction.combinatorial.cliques import is_clique
from protocols.auction.combinatorial.simplex import Tableau

PPM = 1_000_000
FRACTION_BITS = 12
"""Of prices: what rounding adds stays below 1 for up to some thousand prices."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """`lots`: (lot, price). `cliques`: (entries ascending, price). Prices are in gains times
    2^FRACTION_BITS."""

    lots: tuple[tuple[int, int], ...] = ()
    cliques: tuple[tuple[tuple[int, ...], int], ...] = ()


def compute_bound(problem: Problem, certificate: Certificate) -> int | None:
    """What no allocation exceeds; None for a certificate that proves nothing.

    The work is linear in the certificate's size and the problem's.
    """
    rests = [entry.gain << FRACTION_BITS for entry in problem.entries]
    total = 0
    for lot, price in certificate.lots:
        if not 0 <= lot < len(problem.limits) or price < 0:
            return None
        total += price
        for j, entry in enumerate(problem.entries):
            if entry.lots >> lot & 1:
                rests[j] -= price
    for members, price in certificate.cliques:
        inside = all(0 <= j < len(rests) for j in members)
        if price < 0 or not inside or not is_clique(problem.conflicts, members):
            return None
        total += price
        for j in set(members):
            rests[j] -= price
    return total + sum(rest for rest in rests if rest > 0) >> FRACTION_BITS


def make_certificate(problem: Problem, tableau: Tableau | None, shift: int) -> Certificate:
    """The tableau's dual prices as a certificate; without one (no work left) the plain prices.

    The tableau's values have `shift` low bits of ties. Prices are rounded up, so that no entry's
    rest is left over.
    """
    if tableau is None:
        return Certificate(cliques=_price_bidders(problem))
    lots, cliques = [], []
    lot_of: Mapping[int, int] = {mask: lot for lot, mask in enumerate(problem.holders) if mask}
    for mask, cost in tableau.list_prices():
        price = -(-cost // (tableau.scale << shift - FRACTION_BITS))
        if not price:
            continue
        if mask in lot_of:
            lots.append((lot_of[mask], price))
        else:
            members = tuple(j for j in range(len(problem.entries)) if mask >> j & 1)
            cliques.append((members, price))
    return Certificate(tuple(sorted(lots)), tuple(sorted(cliques)))


def _price_bidders(problem: Problem) -> tuple[tuple[tuple[int, ...], int], ...]:
    rows = []
    for mask in problem.groups:
        members = tuple(j for j in range(len(problem.entries)) if mask >> j & 1)
        if members:
            rows.append((members, max(problem.entries[j].gain for j in members) << FRACTION_BITS))
    return tuple(rows)


def compute_gap_ppm(value: int, bound: int) -> int:
    """How far from the best an allocation may be: 0 when it is proven to be the best."""
    return (bound - value) * PPM // bound if bound > value else 0


def order_key(
    problem: Problem, ties: Sequence[int], winners: Sequence[int]
) -> tuple[int, int, tuple[int, ...]]:
    """The better of two allocations has the greater key: by value, ties, then entries."""
    return (
        problem.sum_gains(winners),
        sum(ties[j] for j in winners),
        tuple(-j for j in winners),
    )

"""Clearing: who wins, what each pays, and how well that is proven.

VCG (Vickrey 1961, Clarke 1971, Groves 1973) for the weighted gains of `bids.py`. With W the gain of
the chosen allocation, and W(-i) the best without bidder i, the others lose X = W(-i) - (W - g(i))
by i's presence, and i pays for it:

- forward: limit + ceil(X / weight)
- reverse: floor((PPM * limit - X) / multiplier) is what it is paid.

Whole credits lose nothing of the proof: each bundle has a price that i cannot influence, i gets a
bundle for which its exact gain beyond X is largest, and rounding keeps that order. So no lie pays
and nobody loses, as long as W and W(-i) are the best. Where the work did not suffice to prove
W(-i), the proven least loss is charged, and `approximate` names the winner.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from protocols.auction.combinatorial import canonical, certificate
from protocols.auction.combinatorial.bids import Direction, Problem, sum_limits
from protocols.auction.combinatorial.branch_and_bound import Search
from protocols.auction.combinatorial.certificate import Certificate
from protocols.auction.combinatorial.simplex import Work
from protocols.genesis import PPM

Pricing = Literal["vcg", "pay_as_bid"]


@dataclass(frozen=True, slots=True)
class Payment:
    """Entry `entry` wins; its bidder pays (forward) or is paid (reverse) `price`. `approximate`:
    the work did not suffice to prove it."""

    entry: int
    price: int
    approximate: bool = False


@dataclass(frozen=True, slots=True)
class Solution:
    """Winners ascending, their gains, what no allocation exceeds, and what shows it."""

    winners: tuple[int, ...]
    value: int
    bound: int
    certificate: Certificate

    @property
    def gap_ppm(self) -> int:
        return certificate.compute_gap_ppm(self.value, self.bound)


class Clearing:
    """One auction's offers with its seed, to be solved and priced within `work`."""

    def __init__(self, problem: Problem, seed: bytes, auction: bytes, work: Work) -> None:
        self.problem = problem
        self.ties = canonical.compute_ties(problem, seed, auction)
        self.shift = canonical.compute_shift(problem)
        self.search = Search(problem, canonical.perturb(problem, self.ties), work)
        self._everything = (1 << len(problem.entries)) - 1

    def solve(self, start: Sequence[int] = ()) -> Solution:
        """The best allocation; where there are several, that of the largest tie sum. `start` is one
        to begin with."""
        found = self.search.solve(self._everything, start, 0)
        proof = certificate.make_certificate(self.problem, self.search.root, self.shift)
        value = self.problem.sum_gains(found.winners)
        bound = min(found.bound >> self.shift, self.bound_by(proof))
        return Solution(found.winners, value, max(bound, value), proof)

    def bound_by(self, proof: Certificate) -> int:
        """What no allocation exceeds by this certificate alone; all gains for a bad one."""
        bound = certificate.compute_bound(self.problem, proof)
        return sum(e.gain for e in self.problem.entries) if bound is None else bound

    def price(self, winners: Sequence[int], pricing: Pricing, work: Work) -> tuple[Payment, ...]:
        """What the winners pay or are paid, within `work` for all of them."""
        self.search.set_work(work)
        if pricing == "pay_as_bid":
            return tuple(Payment(j, self.problem.entries[j].price) for j in winners)
        return tuple(self._price_one(winners, j) for j in winners)

    def _price_one(self, winners: Sequence[int], j: int) -> Payment:
        entry = self.problem.entries[j]
        others = [k for k in winners if k != j]
        allowed = self._everything & ~self.problem.groups[entry.offer]
        found = self.search.solve(allowed, others, self.shift)
        without = self.problem.sum_gains(found.winners)
        proven = found.bound >> self.shift <= without
        # Where the winners themselves are not the best, others alone may be worth more than all.
        loss = min(max(without - self.problem.sum_gains(others), 0), entry.gain)
        limit = sum_limits(self.problem.limits, entry.lots)
        factor = self.problem.get_multiplier(entry.offer)
        price = compute_price(self.problem.direction, limit, factor, loss)
        return Payment(j, price, not proven)


def compute_price(direction: Direction, limit: int, factor: int, loss: int) -> int:
    """The price of a bundle with this limit when its winner, whose credits count `factor` each,
    costs the others a gain of `loss`."""
    if direction == "forward":
        return limit - (-loss // factor)
    return (PPM * limit - loss) // factor

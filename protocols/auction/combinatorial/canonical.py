"""One optimum of many: every entry gets a small tie value from the auction's seed.

With `shift` bits below the gain, v' = gain << shift | tie sums up without the ties ever reaching
the gains, so whoever maximises v' finds, among the best allocations, the one with the largest sum
of ties, whatever solver it uses. Seeds are fixed after the bids were sealed.
"""

from collections.abc import Sequence

from protocols.auction.combinatorial.bids import Problem
from protocols.auction.commit_reveal import compute_draw

TIE_BITS = 20


def compute_tie(seed: bytes, auction: bytes, bidder: bytes, lots: int) -> int:
    """1 to 2^TIE_BITS; never from the price."""
    draw = compute_draw(
        seed, auction, bidder + lots.to_bytes(max(8, (lots.bit_length() + 7) // 8), "big")
    )
    return int.from_bytes(draw[-4:], "big") % (1 << TIE_BITS) + 1


def compute_shift(problem: Problem) -> int:
    """Bits that hold the ties of the most winners there can be."""
    most = min(len(problem.limits), len(problem.offers))
    return TIE_BITS + (most + 1).bit_length()


def compute_ties(problem: Problem, seed: bytes, auction: bytes) -> tuple[int, ...]:
    """The tie value of each entry."""
    return tuple(
        compute_tie(seed, auction, problem.offers[entry.offer].bidder, entry.lots)
        for entry in problem.entries
    )


def perturb(problem: Problem, ties: Sequence[int]) -> tuple[int, ...]:
    """v' of each entry, for ties of this problem."""
    shift = compute_shift(problem)
    return tuple(
        (entry.gain << shift) + tie for entry, tie in zip(problem.entries, ties, strict=True)
    )

"""The greedy allocation: by gain over the root of the number of lots (Lehmann, O'Callaghan, Shoham
2002), which is within the root of the number of lots of the best."""

from collections.abc import Iterable, Sequence

from protocols.auction.combinatorial.bids import Problem


def order_by_density(problem: Problem, values: Sequence[int]) -> list[int]:
    """Entries by value^2 * 2^32 // lots, the greatest first, then by place."""
    keys = [
        ((value * value << 32) // entry.lots.bit_count(), -j)
        for j, (value, entry) in enumerate(zip(values, problem.entries, strict=True))
    ]
    return sorted(range(len(keys)), key=lambda j: keys[j], reverse=True)


def fill(problem: Problem, order: Iterable[int], allowed: int) -> list[int]:
    """Entries of `order` within the bit mask `allowed`, each unless one before excludes it."""
    chosen = []
    for j in order:
        if allowed >> j & 1:
            chosen.append(j)
            allowed &= ~(problem.conflicts[j] | 1 << j)
    return chosen

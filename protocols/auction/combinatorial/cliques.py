"""Sets of entries that all exclude each other: at most one of each wins."""

from collections.abc import Iterable, Sequence

from protocols.auction.combinatorial.bids import Problem, list_bits

CUT_VIOLATION_PPM = 20_000
"""A clique is worth a row when its entries sum to this much more than 1."""
_PPM = 1_000_000


def lift(problem: Problem, clique: int, order: Iterable[int]) -> int:
    """A largest clique around `clique`, by trying entries in this order."""
    common = -1
    for j in list_bits(clique):
        common &= problem.conflicts[j]
    if common <= 0:
        return clique
    for j in order:
        if common >> j & 1:
            clique |= 1 << j
            common &= problem.conflicts[j]
            if not common:
                break
    return clique


def list_rows(problem: Problem, order: Sequence[int]) -> list[int]:
    """Cliques that together say what may win: one for each lot and each bidder, made as large as
    they go, without those inside of others."""
    several = [mask for mask in problem.groups if mask & (mask - 1)]
    rows = [lift(problem, mask, order) for mask in (*problem.holders, *several) if mask]
    rows = sorted(set(rows), key=lambda mask: (-mask.bit_count(), mask))
    kept: list[int] = []
    for mask in rows:
        if not any(mask & other == mask for other in kept):
            kept.append(mask)
    return kept


def find_violated(
    problem: Problem, solution: Sequence[tuple[int, int]], scale: int, order: Sequence[int]
) -> list[int]:
    """Cliques that a fractional `solution` breaks, greedily from each of its entries.

    `solution` lists (entry, scale * x). The largest violation first.
    """
    parts = sorted(solution, key=lambda part: (-part[1], part[0]))
    support = 0
    for j, _ in parts:
        support |= 1 << j
    found: dict[int, int] = {}
    for seed, x in parts:
        if x >= scale:
            continue
        clique, common, total = 1 << seed, problem.conflicts[seed] & support, x
        for j, share in parts:
            if common >> j & 1:
                clique |= 1 << j
                common &= problem.conflicts[j]
                total += share
        if (total - scale) * _PPM > CUT_VIOLATION_PPM * scale:
            found[clique] = total
    ranked = sorted(found, key=lambda clique: (-found[clique], clique))
    return list(dict.fromkeys(lift(problem, clique, order) for clique in ranked))


def is_clique(conflicts: Sequence[int], members: Sequence[int]) -> bool:
    """True when every two of `members` exclude each other."""
    mask = 0
    for j in members:
        mask |= 1 << j
    return all(mask & ~conflicts[j] == 1 << j for j in members)

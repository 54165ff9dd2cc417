"""Robust statistics in integers: medians that outliers do not move, and exact binomial tails.

Sources: median absolute deviation and its factor 1.4826, Hampel 1974, Leys et al. 2013; the
binomial tail as a test of a rate, Clopper, Pearson 1934.
"""

from collections.abc import Sequence
from math import comb
from typing import Final

PPM: Final = 1_000_000
SPREADS: Final = 8
"""How many robust standard deviations from the median are still usual: beyond what any symmetric
mixture with less than half of outliers is likely to show."""
UNLIKELY: Final = 1_000_000
"""One in so many is too unlikely to be chance: with thousands of subjects looked at every minute
for a day, it still comes up about once."""


def compute_median(values: Sequence[int]) -> int:
    """The lower of the middle two where there are two. At least one value."""
    return sorted(values)[(len(values) - 1) // 2]


def find_high(values: Sequence[int], *, slack: int, slack_ppm: int) -> int:
    """The highest usual value: the median and SPREADS robust standard deviations, at least `slack`
    and `slack_ppm` of the median above it, since equal values have no spread."""
    median = compute_median(values)
    deviation = compute_median([abs(value - median) for value in values])
    wide = SPREADS * deviation * 14_826 // 10_000
    return median + max(wide, slack, median * slack_ppm // PPM)


def find_low(values: Sequence[int], *, slack: int, slack_ppm: int) -> int:
    """The lowest usual value, in the same way."""
    median = compute_median(values)
    return 2 * median - find_high(values, slack=slack, slack_ppm=slack_ppm)


def is_too_many(hits: int, trials: int, ppm: int) -> bool:
    """`hits` or more of `trials` would come up less than once in UNLIKELY, where each is a hit with
    `ppm` millionths: the exact binomial tail."""
    if hits * PPM <= trials * ppm:
        return False
    return _is_unlikely(range(hits, trials + 1), trials, ppm)


def is_too_few(hits: int, trials: int, ppm: int) -> bool:
    """`hits` or fewer would, in the same way."""
    if hits * PPM >= trials * ppm:
        return False
    return _is_unlikely(range(hits + 1), trials, ppm)


def _is_unlikely(counts: range, trials: int, ppm: int) -> bool:
    tail = sum(comb(trials, k) * ppm**k * (PPM - ppm) ** (trials - k) for k in counts)
    return bool(tail * UNLIKELY < PPM**trials)

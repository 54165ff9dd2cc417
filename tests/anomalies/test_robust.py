"""Robust statistics, beside the textbook's."""

import statistics
from fractions import Fraction
from math import comb

from hypothesis import given
from hypothesis import strategies as st

from protocols.anomalies.rates import SUBJECTS_MAX, TRIALS_KEPT_MAX, Rates
from protocols.anomalies.robust import (
    PPM,
    UNLIKELY,
    compute_median,
    find_high,
    find_low,
    is_too_few,
    is_too_many,
)

values = st.lists(st.integers(0, 10**9), min_size=1, max_size=64)


@given(values)
def test_the_median_is_the_lower_one(numbers):
    assert compute_median(numbers) == statistics.median_low(numbers)


@given(values, st.integers(10**10, 10**12))
def test_less_than_half_of_outliers_move_no_band_beyond_all_others(numbers, far):
    outliers = [far] * ((len(numbers) - 1) // 2)
    high = find_high([*numbers, *outliers], slack=1, slack_ppm=0)
    spread = max(numbers) - min(numbers)
    assert high <= max(numbers) + max(1, 12 * spread)
    assert find_low(numbers, slack=1, slack_ppm=0) < compute_median(numbers)


@given(st.integers(1, 128), st.data())
def test_tails_are_the_binomial_s(trials, data):
    hits = data.draw(st.integers(0, trials))
    ppm = data.draw(st.integers(0, PPM))
    p = Fraction(ppm, PPM)
    chance = [comb(trials, k) * p**k * (1 - p) ** (trials - k) for k in range(trials + 1)]
    if hits > trials * p:
        assert is_too_many(hits, trials, ppm) == (sum(chance[hits:]) * UNLIKELY < 1)
    if hits < trials * p:
        assert is_too_few(hits, trials, ppm) == (sum(chance[: hits + 1]) * UNLIKELY < 1)
    assert not (is_too_many(hits, trials, ppm) and is_too_few(hits, trials, ppm))


@given(st.lists(st.integers(0, 10), min_size=1, max_size=9))
def test_each_is_compared_with_the_median_of_the_others(hits):
    rates = Rates()
    for number, count in enumerate(hits):
        for trial in range(10):
            rates.note(bytes([number]), trial, trial < count)
    usual = {subject[0]: usual for subject, _, usual in rates._compare(1)}
    for number in range(len(hits)):
        others = [count * PPM // 10 for i, count in enumerate(hits) if i != number]
        assert usual[number] == (statistics.median_low(others) if others else 0)


def test_old_trials_and_silent_subjects_are_forgotten():
    rates = Rates()
    for trial in range(3 * TRIALS_KEPT_MAX):
        rates.note(b"", trial, trial < TRIALS_KEPT_MAX)
    assert not list(rates.find_high(trials_min=1, floor_ppm=1_000))
    for number in range(SUBJECTS_MAX):
        rates.note(number.to_bytes(2), 0, False)
    assert len(rates._trials) == SUBJECTS_MAX
    assert b"" not in rates._trials

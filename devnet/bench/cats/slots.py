"""Families about times: airports' slots that must match, and jobs on one resource."""

import random
from collections.abc import Callable

from devnet.bench.cats.instance import Instance, to_mask

SUBSTITUTES_MAX = 5
AIRPORTS = ((0.32, 0.56), (0.48, 0.71), (0.53, 0.50), (0.66, 0.60))
"""Four congested airports in a plane, the longest flight some 0.4."""
AIRPORT_VALUE_MAX = 5.0
LONGEST_FLIGHT_SLOTS = 10.0
MATCHING_DEVIATION = 0.5
EARLY_SLOTS, LATE_SLOTS = 1, 2
DELAY_COEFFICIENT, LATE_COEFFICIENT = 0.9, 0.75
DEADLINE_PROBABILITY = 0.7
JOB_DEVIATION = 0.5
PREFERENCE_ADDITIVITY = 0.2
ATTEMPTS_A_BID = 50


def fill_matching(instance: Instance, rng: random.Random) -> None:
    """A flight needs a slot to leave and one to land; it is worth less late than on time."""
    slots = max(2, instance.goods // len(AIRPORTS))
    usable = slots * len(AIRPORTS)
    worth_of = [rng.uniform(0, AIRPORT_VALUE_MAX) for _ in AIRPORTS]
    longest = max(_distance(a, b) for a in AIRPORTS for b in AIRPORTS)
    for _ in range(ATTEMPTS_A_BID * instance.bids_wanted):
        if instance.complete or usable > instance.goods:
            return
        a, b = rng.sample(range(len(AIRPORTS)), 2)
        flight = max(
            1,
            round(
                _distance(AIRPORTS[a], AIRPORTS[b]) / longest * min(LONGEST_FLIGHT_SLOTS, slots - 1)
            ),
        )
        if flight >= slots:
            continue
        worth = max(
            0.1,
            (worth_of[a] + worth_of[b])
            * (1 + rng.uniform(-MATCHING_DEVIATION, MATCHING_DEVIATION)),
        )
        best = rng.randrange(slots - flight)
        bundles: dict[int, float] = {}
        for leave in range(max(0, best - EARLY_SLOTS), min(slots, best + LATE_SLOTS + 1)):
            for land in range(leave + flight, min(slots, leave + flight + LATE_SLOTS + 1)):
                late = max(0, land - (best + flight))
                value = (
                    worth * LATE_COEFFICIENT**late * DELAY_COEFFICIENT ** (land - leave - flight)
                )
                bundles[to_mask([a * slots + leave, b * slots + land])] = value
        ranked = sorted(bundles.items(), key=lambda part: (-part[1], part[0]))
        instance.add(dict(ranked[:SUBSTITUTES_MAX]))


def fill_scheduling(instance: Instance, rng: random.Random) -> None:
    """Goods are time slots of one machine; a job wants some in a row, worth less after each of its
    deadlines."""
    goods = instance.goods
    for _ in range(ATTEMPTS_A_BID * instance.bids_wanted):
        if instance.complete:
            return
        length = rng.randint(1, max(1, goods // 2))
        deadline = rng.randint(length, goods)
        value = length ** (1 + PREFERENCE_ADDITIVITY) * (
            1 + rng.uniform(-JOB_DEVIATION, JOB_DEVIATION)
        )
        bundles: dict[int, float] = {}
        while True:
            starts = list(range(deadline - length + 1))
            for start in rng.sample(starts, min(len(starts), SUBSTITUTES_MAX)):
                mask = (1 << length) - 1 << start
                bundles.setdefault(mask, value * deadline / goods)
            if deadline >= goods or rng.random() > DEADLINE_PROBABILITY:
                break
            later = rng.randint(deadline + 1, goods)
            value *= deadline / later
            deadline = later
        ranked = sorted(bundles.items(), key=lambda part: (-part[1], part[0]))
        instance.add(dict(ranked[:SUBSTITUTES_MAX]))


def _distance(a: tuple[float, float], b: tuple[float, float]) -> float:
    return ((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5


FAMILIES: dict[str, Callable[[Instance, random.Random], None]] = {
    "matching": fill_matching,
    "scheduling": fill_scheduling,
}

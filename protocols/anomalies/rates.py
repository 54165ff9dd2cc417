"""How often each subject does something, beside how often the others do."""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from protocols.anomalies.robust import PPM, is_too_few, is_too_many

TRIALS_KEPT_MAX: Final = 128
"""Newest trials of a subject that count."""
SUBJECTS_MAX: Final = 4_096
"""Subjects of one rate; whoever was silent for longest makes room."""


@dataclass(frozen=True, slots=True)
class Unusual:
    """`hits` of the newest `trials`, from `since_ms` on, where `usual_ppm` is the rate of the
    others that is held against it."""

    subject: bytes
    hits: int
    trials: int
    usual_ppm: int
    since_ms: int


class Rates:
    """The newest trials of each subject: when, and whether it was a hit."""

    def __init__(self) -> None:
        self._trials: dict[bytes, deque[tuple[int, bool]]] = {}

    def note(self, subject: bytes, time_ms: int, is_hit: bool) -> None:
        trials = self._trials.pop(subject, None)
        if trials is None:
            trials = deque(maxlen=TRIALS_KEPT_MAX)
            if len(self._trials) >= SUBJECTS_MAX:
                del self._trials[next(iter(self._trials))]
        trials.append((time_ms, is_hit))
        self._trials[subject] = trials

    def find_high(self, *, trials_min: int, floor_ppm: int) -> Iterator[Unusual]:
        """Who does it more often than the median of the others, or `floor_ppm` where that is more,
        lets chance explain."""
        for subject, trials, usual_ppm in self._compare(trials_min):
            usual_ppm = max(usual_ppm, floor_ppm)
            hits = [time_ms for time_ms, is_hit in trials if is_hit]
            if is_too_many(len(hits), len(trials), usual_ppm):
                yield Unusual(subject, len(hits), len(trials), usual_ppm, hits[0])

    def find_low(self, *, trials_min: int, share_ppm: int = PPM) -> Iterator[Unusual]:
        """Who does it less often than `share_ppm` of the median of the others lets chance
        explain."""
        for subject, trials, usual_ppm in self._compare(trials_min):
            usual_ppm = usual_ppm * share_ppm // PPM
            hits = sum(is_hit for _, is_hit in trials)
            if is_too_few(hits, len(trials), usual_ppm):
                yield Unusual(subject, hits, len(trials), usual_ppm, trials[0][0])

    def _compare(self, trials_min: int) -> Iterator[tuple[bytes, deque[tuple[int, bool]], int]]:
        """Each subject with enough trials, and the median rate of the others that have them, 0
        where there are none."""
        counted = {s: t for s, t in self._trials.items() if len(t) >= trials_min}
        rates = {s: sum(hit for _, hit in t) * PPM // len(t) for s, t in counted.items()}
        ranked = sorted(rates.values())
        for subject in sorted(counted):
            middle = (len(ranked) - 2) // 2
            usual_ppm = 0
            if middle >= 0:
                # Without its own rate, what stands behind that moves down by one.
                usual_ppm = ranked[middle + (bisect_left(ranked, rates[subject]) <= middle)]
            yield subject, counted[subject], usual_ppm

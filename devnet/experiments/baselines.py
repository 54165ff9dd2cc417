"""Two reputation systems from the literature, for comparison: the mean of ratings, and EigenTrust.

Both see what the product's fold sees, one rating for each graded agreement. Neither asks what a
rater has at stake.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

PRETRUST = 0.1
"""Weight of the pre-trusted peers in each step (a in the paper)."""
EPSILON = 1e-6
STEPS_MAX = 200
SATISFIED_MIN = 0.5


@dataclass(frozen=True, slots=True)
class Rating:
    """`rater` rated `subject` with `value`, from 0 (bad) to 1 (good)."""

    rater: bytes
    subject: bytes
    value: float


def average(ratings: Iterable[Rating]) -> dict[bytes, float]:
    """The mean of each subject's ratings, whoever gave them; whoever has none is missing."""
    sums: dict[bytes, float] = {}
    counts: dict[bytes, int] = {}
    for rating in ratings:
        sums[rating.subject] = sums.get(rating.subject, 0.0) + rating.value
        counts[rating.subject] = counts.get(rating.subject, 0) + 1
    return {subject: sums[subject] / counts[subject] for subject in sums}


def compute_local_trust(ratings: Iterable[Rating]) -> dict[bytes, dict[bytes, float]]:
    """c_ij: satisfied less unsatisfied ratings of j by i, not below 0, divided by i's sum."""
    balance: dict[bytes, dict[bytes, int]] = {}
    for rating in ratings:
        if rating.rater != rating.subject:
            row = balance.setdefault(rating.rater, {})
            change = 1 if rating.value >= SATISFIED_MIN else -1
            row[rating.subject] = row.get(rating.subject, 0) + change
    trust: dict[bytes, dict[bytes, float]] = {}
    for rater, row in balance.items():
        total = sum(max(0, count) for count in row.values())
        if total:
            trust[rater] = {peer: count / total for peer, count in row.items() if count > 0}
    return trust


def eigentrust(
    ratings: Iterable[Rating],
    peers: Collection[bytes],
    pretrusted: Collection[bytes],
    pretrust: float = PRETRUST,
) -> dict[bytes, float]:
    """Global trust of each peer; the values add up to 1.

    t <- (1 - a) C^T t + a p, from p on, until it moves by less than EPSILON in all; whoever trusts
    nobody trusts the pre-trusted. Source: Kamvar, Schlosser, Garcia-Molina, "The EigenTrust
    algorithm for reputation management in P2P networks", WWW 2003, algorithm 2.
    """
    trust = compute_local_trust(ratings)
    start = {peer: 1 / len(pretrusted) if peer in pretrusted else 0.0 for peer in peers}
    values = dict(start)
    for _ in range(STEPS_MAX):
        following = _step(values, trust, start, pretrust)
        moved = sum(abs(following[peer] - values[peer]) for peer in peers)
        values = following
        if moved < EPSILON:
            break
    return values


def _step(
    values: Mapping[bytes, float],
    trust: Mapping[bytes, Mapping[bytes, float]],
    start: Mapping[bytes, float],
    pretrust: float,
) -> dict[bytes, float]:
    following = dict.fromkeys(values, 0.0)
    idle = 0.0
    for peer, value in values.items():
        row = trust.get(peer)
        if row is None:
            idle += value
        else:
            for other, share in row.items():
                following[other] += value * share
    return {
        peer: (1 - pretrust) * (value + idle * start[peer]) + pretrust * start[peer]
        for peer, value in following.items()
    }

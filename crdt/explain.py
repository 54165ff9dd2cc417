"""Why an agent has its score: each receipt, snapshot by snapshot, with the arithmetic.

A snapshot's masses follow from those of the one before it, the receipts in between, and what their
raters handed out meanwhile to whomever (`crdt/reputation.py`). So an explanation may begin at any
snapshot, whose fact gives the masses, or at the genesis. Whoever reads it can compute the score
again from what it says.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace

from crdt.facts import Fact, Minted, Score, Settled, Slashed, Snapshot
from crdt.reputation import (
    FOUNDER_GOOD,
    Handed,
    InvalidSnapshot,
    Masses,
    Receipt,
    compute_handed,
    count_receipt,
    make_receipt,
)


@dataclass(frozen=True, slots=True)
class Reason:
    """A receipt and the fact it stands in: its place in the log, and the agreement's price or the
    bond that was slashed."""

    position: int
    item: int
    amount: int
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Period:
    """What one snapshot folded. `number` and `position` are the snapshot's, None for what counts
    at the next one; what is counted, `after` and `score_ppm` are then what that would give if it
    came now. `raters` are those of the reasons."""

    number: int | None
    position: int | None
    before: Masses
    reasons: tuple[Reason, ...]
    raters: Mapping[bytes, Handed]
    after: Masses
    score_ppm: int


class Explanation:
    """The fold for one agent. Feed it, in order, the facts of the committee's log that follow
    `start`, the newest snapshot before them; None begins at the genesis."""

    def __init__(self, agent: bytes, start: Snapshot | None) -> None:
        self._agent = agent
        score = None if start is None else find_score(start, agent)
        self._masses = Masses() if score is None else Masses(score.good, score.bad)
        self._reasons: list[Reason] = []
        self._receipts: list[Receipt] = []
        """All agents' since the newest snapshot."""
        self._periods: list[Period] = []

    def apply(self, position: int, item: int, fact: Fact) -> None:
        """Raises InvalidSnapshot when a snapshot's score is not what the facts before it give."""
        if isinstance(fact, Minted) and fact.founder and fact.account == self._agent:
            self._masses = Masses(good=FOUNDER_GOOD)
        elif isinstance(fact, Snapshot):
            self._close(position, fact)
        elif (made := make_receipt(fact)) is not None:
            agent, receipt = made
            self._receipts.append(receipt)
            if agent == self._agent:
                self._reasons.append(Reason(position, item, _get_amount(fact), receipt))

    def get_periods(self) -> tuple[Period, ...]:
        """Oldest first; the last one is open."""
        return (*self._periods, self._make_period(None, None))

    def _close(self, position: int, fact: Snapshot) -> None:
        period = self._make_period(fact.number, position)
        score = find_score(fact, self._agent)
        told = (0, 0, 0) if score is None else (score.good, score.bad, score.score_ppm)
        if told != (period.after.good, period.after.bad, period.score_ppm):
            raise InvalidSnapshot(f"snapshot {fact.number} says {told} of {self._agent.hex()[:8]}")
        self._periods.append(period)
        self._masses, self._reasons, self._receipts = period.after, [], []

    def _make_period(self, number: int | None, position: int | None) -> Period:
        handed = compute_handed(self._receipts)
        reasons = tuple(
            replace(reason, receipt=count_receipt(reason.receipt, handed))
            for reason in self._reasons
        )
        after = self._masses.fold([reason.receipt for reason in reasons])
        raters = {r: handed[r] for reason in reasons if (r := reason.receipt.rater) is not None}
        return Period(number, position, self._masses, reasons, raters, after, after.score_ppm())


def find_score(snapshot: Snapshot, agent: bytes) -> Score | None:
    """The agent's line in a snapshot; they ascend by agent."""
    index = bisect_left(snapshot.scores, agent, key=lambda score: score.agent)
    found = snapshot.scores[index : index + 1]
    return found[0] if found and found[0].agent == agent else None


def _get_amount(fact: Fact) -> int:
    match fact:
        case Settled(price=amount) | Slashed(amount=amount):
            return amount
    return 0

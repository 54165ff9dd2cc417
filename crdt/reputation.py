"""The reputation view: scores as a fold over the facts of a committee's log.

Settlements add good or bad mass to an agent; an ordered snapshot folds what came since the last
one into its masses and fixes the scores that ordered code reads until the next:

    G <- G*63//64 + g     B <- B*255//256 + b     score = 10^6 * G // (G + B + 10^6)

so bad is forgotten more slowly than good. Founders start with G = 4 * 10^6, everybody else with
nothing: leaving and coming back under another key gains nothing.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from crdt.facts import Fact, Grade, Minted, Score, Settled, Slashed, Snapshot
from crdt.log import compute_root
from identity import schema
from identity.errors import EconodeError, InvalidSchema

PPM = 1_000_000
FOUNDER_GOOD = 4 * PPM
PRIOR = PPM
GOOD: dict[Grade, int] = {"excellent": PPM, "satisfactory": PPM // 2}
BAD_POOR = PPM
BAD_OFFENCE = 10 * PPM
"""Bad mass of a proven lie: it outweighs everything a founder begins with."""
RECEIPTS_MAX = 32
"""Newest receipts of an agent that `explain` shows."""
WEIGHT_MIN_PPM = 950_000
WEIGHT_RANGE_PPM = 50_000


class InvalidSnapshot(EconodeError):
    """A snapshot whose scores do not follow from the facts before it."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One reason for a score: a settlement, or a proven offence (grade byzantine, round -1)."""

    task: bytes | None
    round: int
    grade: Grade
    good: int
    bad: int


@dataclass(frozen=True, slots=True)
class Masses:
    """An agent's good and bad mass at a snapshot."""

    good: int = 0
    bad: int = 0

    def fold(self, good_since: int, bad_since: int) -> "Masses":
        """The masses at the next snapshot, after what the receipts in between added."""
        return Masses(self.good * 63 // 64 + good_since, self.bad * 255 // 256 + bad_since)

    def score_ppm(self) -> int:
        return PPM * self.good // (self.good + self.bad + PRIOR)


@dataclass(slots=True)
class _Record:
    good: int = 0
    bad: int = 0
    good_since: int = 0
    bad_since: int = 0
    score_ppm: int = 0
    receipts: deque[Receipt] = field(default_factory=lambda: deque(maxlen=RECEIPTS_MAX))


def make_receipt(fact: Fact) -> tuple[bytes, Receipt] | None:
    """Whose score a fact changes at the next snapshot, and why; None for most facts."""
    match fact:
        case Settled(grade=grade):
            good, bad = GOOD.get(grade, 0), BAD_POOR if grade == "poor" else 0
            # A byzantine grade weighs nothing here: the Slashed fact that follows it does.
            if good or bad:
                return fact.executor, Receipt(fact.task, fact.round, grade, good, bad)
        case Slashed():
            return fact.offender, Receipt(fact.task, -1, "byzantine", 0, BAD_OFFENCE)
    return None


def compute_weight(score_ppm: int) -> int:
    """The factor of a bid, in ppm: at least 950000, so that reputation moves prices by 5 %."""
    return WEIGHT_MIN_PPM + score_ppm * WEIGHT_RANGE_PPM // PPM


class ReputationView:
    """Feed it every fact in order. `number` is the newest snapshot's (0 = none yet)."""

    def __init__(self) -> None:
        self.number = 0
        self.settled_since = 0
        """Settlements since the newest snapshot."""
        self._records: dict[bytes, _Record] = {}

    def apply(self, fact: Fact) -> None:
        """Raises InvalidSnapshot when a snapshot contradicts the facts before it."""
        if isinstance(fact, Settled):
            self.settled_since += 1
        if (made := make_receipt(fact)) is not None:
            self._add(*made)
        elif isinstance(fact, Snapshot):
            self._apply_snapshot(fact)
        elif isinstance(fact, Minted) and fact.founder:
            record = self._records.setdefault(fact.account, _Record())
            record.good = FOUNDER_GOOD
            record.score_ppm = Masses(FOUNDER_GOOD).score_ppm()

    def score_ppm(self, agent: bytes) -> int:
        """The score at the newest snapshot; 0 for whoever is not known."""
        record = self._records.get(agent)
        return record.score_ppm if record else 0

    def weight_ppm(self, agent: bytes) -> int:
        return compute_weight(self.score_ppm(agent))

    def explain(self, agent: bytes) -> tuple[Receipt, ...]:
        """The newest receipts behind an agent's score, oldest first."""
        record = self._records.get(agent)
        return tuple(record.receipts) if record else ()

    def scores(self) -> tuple[Score, ...]:
        """Masses and scores at the newest snapshot, ascending by agent."""
        return tuple(
            Score(agent, record.good, record.bad, record.score_ppm)
            for agent, record in sorted(self._records.items())
        )

    def compute_snapshot(self) -> Snapshot:
        """The snapshot that would follow now; changes nothing."""
        scores = []
        for agent, record in sorted(self._records.items()):
            masses = Masses(record.good, record.bad).fold(record.good_since, record.bad_since)
            scores.append(Score(agent, masses.good, masses.bad, masses.score_ppm()))
        root = compute_root([schema.encode(score) for score in scores])
        return Snapshot(number=self.number + 1, root=root, scores=tuple(scores))

    def dump(self) -> list[Any]:
        """The whole view as plain lists, for the state's encoding."""
        return [
            self.number,
            self.settled_since,
            [
                [
                    agent,
                    [r.good, r.bad, r.good_since, r.bad_since, r.score_ppm],
                    [[i.task, i.round, i.grade, i.good, i.bad] for i in r.receipts],
                ]
                for agent, r in sorted(self._records.items())
            ],
        ]

    @classmethod
    def load(cls, plain: Any) -> "ReputationView":
        """The inverse of `dump`. Raises InvalidSchema."""
        view = cls()
        try:
            view.number, view.settled_since, records = plain
            for agent, masses, receipts in records:
                record = _Record(*masses)
                record.receipts.extend(Receipt(*items) for items in receipts)
                view._records[agent] = record
        except (TypeError, ValueError) as error:
            raise InvalidSchema(f"reputation: {error}") from None
        return view

    def _add(self, agent: bytes, receipt: Receipt) -> None:
        record = self._records.setdefault(agent, _Record())
        record.good_since += receipt.good
        record.bad_since += receipt.bad
        record.receipts.append(receipt)

    def _apply_snapshot(self, fact: Snapshot) -> None:
        if fact != (expected := self.compute_snapshot()):
            raise InvalidSnapshot(f"snapshot {fact.number}: {expected.number} follows otherwise")
        self.number, self.settled_since = fact.number, 0
        for score in fact.scores:
            record = self._records[score.agent]
            record.good, record.bad, record.score_ppm = score.good, score.bad, score.score_ppm
            record.good_since = record.bad_since = 0

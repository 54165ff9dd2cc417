"""The reputation view: scores as a fold over the facts of a committee's log.

Settlements add good or bad mass to an agent; an ordered snapshot folds what came since the last
one into its masses and fixes the scores that ordered code reads until the next:

    G <- G*63//64 + g     B <- B*255//256 + b     score = 10^6 * G // (G + B + 10^6)

so bad is forgotten more slowly than good. Founders start with G = 4 * 10^6, everybody else with
nothing: leaving and coming back under another key gains nothing.

The rater of a settlement is who asked for the task. All that it hands out between two snapshots,
good and bad, is at most its allowance, which is linear in its bond: beyond that each of its
receipts counts for the same share, so that neither more tasks nor more identities for one bond
say more. A proven offence needs no rater and counts in full.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from typing import Any

from crdt.facts import Fact, Grade, Minted, Score, Settled, Slashed, Snapshot
from crdt.log import compute_root
from identity import schema
from identity.errors import EconodeError, InvalidSchema
from identity.schema import U63_MAX

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
    """One reason for a score: a settlement, or a proven offence (grade byzantine, round -1).

    Of `good` and `bad` a snapshot counted `counted_ppm` millionths, rounded down; None until then.
    """

    task: bytes | None
    round: int
    grade: Grade
    good: int
    bad: int
    rater: bytes | None = None
    """Who asked for the task; None for an offence."""
    allowance: int = 0
    """What the rater could hand out in all until the snapshot, by its bond at this settlement."""
    counted_ppm: int | None = None

    @property
    def good_counted(self) -> int:
        return self.good * (self.counted_ppm or 0) // PPM

    @property
    def bad_counted(self) -> int:
        return self.bad * (self.counted_ppm or 0) // PPM


@dataclass(frozen=True, slots=True)
class Masses:
    """An agent's good and bad mass at a snapshot."""

    good: int = 0
    bad: int = 0

    def fold(self, counted: Sequence[Receipt]) -> "Masses":
        """The masses at the next snapshot, with what that one counts of the receipts in between."""
        good = sum(receipt.good_counted for receipt in counted)
        bad = sum(receipt.bad_counted for receipt in counted)
        return Masses(self.good * 63 // 64 + good, self.bad * 255 // 256 + bad)

    def score_ppm(self) -> int:
        return PPM * self.good // (self.good + self.bad + PRIOR)


@dataclass(frozen=True, slots=True)
class Handed:
    """What a rater handed out since a snapshot, good and bad, and what it was allowed to.

    The allowance is the least it had at any of its receipts: credits that are bonded later, for
    somebody else's turn, add nothing to what was said before.
    """

    mass: int
    allowance: int

    @property
    def share_ppm(self) -> int:
        """The share of each of its receipts that counts."""
        return min(PPM, self.allowance * PPM // self.mass)


@dataclass(slots=True)
class _Record:
    good: int = 0
    bad: int = 0
    score_ppm: int = 0
    receipts: deque[Receipt] = field(default_factory=lambda: deque(maxlen=RECEIPTS_MAX))
    since: list[Receipt] = field(default_factory=list)
    """Receipts that no snapshot has counted yet: one for each settlement or offence since then."""


def make_receipt(fact: Fact) -> tuple[bytes, Receipt] | None:
    """Whose score a fact changes at the next snapshot, and why; None for most facts."""
    match fact:
        case Settled(grade=grade):
            good, bad = GOOD.get(grade, 0), BAD_POOR if grade == "poor" else 0
            # A byzantine grade weighs nothing here: the Slashed fact that follows it does.
            if (good or bad) and fact.rater != fact.executor:
                place = (fact.task, fact.round, grade)
                return fact.executor, Receipt(*place, good, bad, fact.rater, fact.allowance)
        case Slashed():
            return fact.offender, Receipt(fact.task, -1, "byzantine", 0, BAD_OFFENCE)
    return None


def compute_handed(receipts: Iterable[Receipt]) -> dict[bytes, Handed]:
    """By rater, what the receipts since a snapshot hand out: all of them, whoever they are of."""
    found: dict[bytes, Handed] = {}
    for receipt in receipts:
        if (rater := receipt.rater) is not None:
            former = found.get(rater) or Handed(0, receipt.allowance)
            mass = former.mass + receipt.good + receipt.bad
            found[rater] = Handed(mass, min(former.allowance, receipt.allowance))
    return found


def count_receipt(receipt: Receipt, handed: Mapping[bytes, Handed]) -> Receipt:
    """The receipt with what a snapshot counts of it."""
    share = PPM if receipt.rater is None else handed[receipt.rater].share_ppm
    return replace(receipt, counted_ppm=share)


def compute_weight(score_ppm: int) -> int:
    """The factor of a bid, in ppm: at least 950000, so that reputation moves prices by 5 %."""
    return WEIGHT_MIN_PPM + score_ppm * WEIGHT_RANGE_PPM // PPM


def compute_allowance(bond: int, bond_unit: int) -> int:
    """The mass that a rater may hand out between two snapshots: a plain agreement's for each
    `bond_unit` of credits bonded, in proportion."""
    return min(PPM * bond // max(1, bond_unit), U63_MAX)


class ReputationView:
    """Feed it every fact in order. `number` is the newest snapshot's (0 = none yet)."""

    def __init__(self) -> None:
        self.number = 0
        self.settled_since = 0
        """Settlements since the newest snapshot."""
        self._records: dict[bytes, _Record] = {}
        self._next: Snapshot | None = None

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
            self._next = None
            record.good = FOUNDER_GOOD
            record.score_ppm = Masses(FOUNDER_GOOD).score_ppm()

    def score_ppm(self, agent: bytes) -> int:
        """The score at the newest snapshot; 0 for whoever is not known."""
        record = self._records.get(agent)
        return record.score_ppm if record else 0

    def weight_ppm(self, agent: bytes) -> int:
        return compute_weight(self.score_ppm(agent))

    def explain(self, agent: bytes) -> tuple[Receipt, ...]:
        """The newest receipts behind an agent's score, oldest first; those that the next snapshot
        will count come last."""
        record = self._records.get(agent)
        return (*record.receipts, *record.since)[-RECEIPTS_MAX:] if record else ()

    def scores(self) -> tuple[Score, ...]:
        """Masses and scores at the newest snapshot, ascending by agent."""
        return tuple(
            Score(agent, record.good, record.bad, record.score_ppm)
            for agent, record in sorted(self._records.items())
        )

    def compute_snapshot(self) -> Snapshot:
        """The snapshot that would follow now; changes nothing. Who orders it computes it here and
        has it checked by `apply`: the same one, so it is kept until a fact changes what follows."""
        if self._next is None:
            self._next = self._compute_next()
        return self._next

    def _compute_next(self) -> Snapshot:
        scores = []
        handed = self._compute_handed()
        for agent, record in sorted(self._records.items()):
            counted = [count_receipt(receipt, handed) for receipt in record.since]
            masses = Masses(record.good, record.bad).fold(counted)
            scores.append(Score(agent, masses.good, masses.bad, masses.score_ppm()))
        root = compute_root([schema.encode(score) for score in scores])
        return Snapshot(number=self.number + 1, root=root, scores=tuple(scores))

    def _compute_handed(self) -> dict[bytes, Handed]:
        return compute_handed(each for record in self._records.values() for each in record.since)

    def dump(self) -> list[Any]:
        """The whole view as plain lists, for the state's encoding."""
        return [
            self.number,
            self.settled_since,
            [
                [
                    agent,
                    [r.good, r.bad, r.score_ppm],
                    [list(astuple(receipt)) for receipt in r.receipts],
                    [list(astuple(receipt)) for receipt in r.since],
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
            for agent, masses, receipts, since in records:
                record = _Record(*masses)
                record.receipts.extend(Receipt(*items) for items in receipts)
                record.since.extend(Receipt(*items) for items in since)
                view._records[agent] = record
        except (TypeError, ValueError) as error:
            raise InvalidSchema(f"reputation: {error}") from None
        return view

    def _add(self, agent: bytes, receipt: Receipt) -> None:
        self._records.setdefault(agent, _Record()).since.append(receipt)
        self._next = None

    def _apply_snapshot(self, fact: Snapshot) -> None:
        if fact != (expected := self.compute_snapshot()):
            raise InvalidSnapshot(f"snapshot {fact.number}: {expected.number} follows otherwise")
        handed = self._compute_handed()
        self.number, self.settled_since = fact.number, 0
        self._next = None
        for score in fact.scores:
            record = self._records[score.agent]
            record.good, record.bad, record.score_ppm = score.good, score.bad, score.score_ppm
            record.receipts.extend(count_receipt(receipt, handed) for receipt in record.since)
            record.since.clear()

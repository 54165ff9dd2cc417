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


@dataclass(slots=True)
class _Record:
    good: int = 0
    bad: int = 0
    score_ppm: int = 0
    receipts: deque[Receipt] = field(default_factory=lambda: deque(maxlen=RECEIPTS_MAX))
    since: list[Receipt] = field(default_factory=list)
    """Receipts that no snapshot has counted yet: one for each settlement or offence since then."""

    def score(self) -> int:
        return PPM * self.good // (self.good + self.bad + PRIOR)


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
            self._apply_settled(fact)
        elif isinstance(fact, Slashed):
            self._add(fact.offender, Receipt(fact.task, -1, "byzantine", 0, BAD_OFFENCE))
        elif isinstance(fact, Snapshot):
            self._apply_snapshot(fact)
        elif isinstance(fact, Minted) and fact.founder:
            record = self._records.setdefault(fact.account, _Record())
            self._next = None
            record.good = FOUNDER_GOOD
            record.score_ppm = record.score()

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
        shares = self._compute_shares()
        for agent, record in sorted(self._records.items()):
            counted = [_count(receipt, shares) for receipt in record.since]
            good = record.good * 63 // 64 + sum(each.good_counted for each in counted)
            bad = record.bad * 255 // 256 + sum(each.bad_counted for each in counted)
            scores.append(Score(agent, good, bad, _Record(good, bad).score()))
        root = compute_root([schema.encode(score) for score in scores])
        return Snapshot(number=self.number + 1, root=root, scores=tuple(scores))

    def _compute_shares(self) -> dict[bytes, int]:
        """For each rater since the newest snapshot: which share of its receipts counts, in ppm.

        Its allowance is the least it had at any of them: credits that are bonded later, for
        somebody else's turn, add nothing to what was said before.
        """
        handed: dict[bytes, int] = {}
        allowances: dict[bytes, int] = {}
        for record in self._records.values():
            for receipt in record.since:
                if (rater := receipt.rater) is not None:
                    handed[rater] = handed.get(rater, 0) + receipt.good + receipt.bad
                    least = allowances.get(rater, receipt.allowance)
                    allowances[rater] = min(least, receipt.allowance)
        return {rater: min(PPM, allowances[rater] * PPM // mass) for rater, mass in handed.items()}

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

    def _apply_settled(self, fact: Settled) -> None:
        self.settled_since += 1
        good = GOOD.get(fact.grade, 0)
        bad = BAD_POOR if fact.grade == "poor" else 0
        # A byzantine grade weighs nothing here: the Slashed fact that follows it does.
        if (good or bad) and fact.rater != fact.executor:
            receipt = Receipt(
                fact.task, fact.round, fact.grade, good, bad, fact.rater, fact.allowance
            )
            self._add(fact.executor, receipt)

    def _add(self, agent: bytes, receipt: Receipt) -> None:
        self._records.setdefault(agent, _Record()).since.append(receipt)
        self._next = None

    def _apply_snapshot(self, fact: Snapshot) -> None:
        if fact != (expected := self.compute_snapshot()):
            raise InvalidSnapshot(f"snapshot {fact.number}: {expected.number} follows otherwise")
        shares = self._compute_shares()
        self.number, self.settled_since = fact.number, 0
        self._next = None
        for score in fact.scores:
            record = self._records[score.agent]
            record.good, record.bad, record.score_ppm = score.good, score.bad, score.score_ppm
            record.receipts.extend(_count(receipt, shares) for receipt in record.since)
            record.since.clear()


def _count(receipt: Receipt, shares: dict[bytes, int]) -> Receipt:
    """The receipt with what a snapshot counts of it."""
    share = PPM if receipt.rater is None else shares[receipt.rater]
    return replace(receipt, counted_ppm=share)

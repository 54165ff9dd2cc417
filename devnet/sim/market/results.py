"""Judges results: who was drawn, what was sealed, opened and scored, what was paid for it."""

import hashlib
from typing import TYPE_CHECKING

from crdt.facts import (
    Accepted,
    Awarded,
    DeliveryBegan,
    Fact,
    Judged,
    OutputHeld,
    ScoreRevealed,
    Settled,
    Slashed,
    TaskEnded,
    Undecided,
    VerifiersDrawn,
    WorkAnswered,
    WorkCommitted,
    WorkRevealed,
)
from devnet.sim.market.fold import MILLION, Breach, LogFold, Round, digest_of
from devnet.sim.market.modes import make_terms
from devnet.sim.market.party import make_output
from identity import cbor
from protocols.economy.operations import RevealWork
from protocols.economy.operations_tasks import RevealScores

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld

Place = tuple[bytes, int]
"""Task and round."""


class Results:
    """The part of the referee that looks at work. Its methods raise Breach."""

    def __init__(self, world: "MarketWorld", fold: LogFold) -> None:
        self.world, self.fold = world, fold
        self.accepted: set[bytes] = set()
        """Inputs whose right result was found."""
        self._seals: dict[Place, dict[bytes, bytes]] = {}
        self._shown: dict[Place, dict[bytes, tuple[bytes, int]]] = {}
        self._scores: dict[Place, dict[bytes, int]] = {}
        self._paid: dict[Place, tuple[bytes, ...]] = {}
        self._held: dict[Place, tuple[bytes, ...]] = {}
        """Who held a delivered output, when that was shown; they may leave later."""
        self._answers: dict[Place, int] = {}
        self._spared: set[Place] = set()
        """Rounds of `exact` tasks whose results nobody ran again."""
        self._shows: dict[tuple[bytes, int, bytes], list[tuple[bytes, int, bytes]]] = {}
        self._failed: dict[bytes, set[bytes]] = {}
        """Agents that failed a task, by task."""
        self._times: dict[Place, int] = {}
        """When an agreement began, and then how long its executor took."""
        self._notes: dict[tuple[bytes, int, bytes], list[tuple[int, bytes]]] = {}

    def get_round(self, task: bytes, number: int) -> Round:
        round_ = self.fold.jobs[task].round
        if round_.number != number:
            raise Breach("A2 recomputed", f"a fact of round {number} in {round_.number}")
        return round_

    def take_openings(self, signer: bytes, body: object) -> None:
        """Remember what an ordered operation opens, with its salts: facts do not tell them."""
        if isinstance(body, RevealWork):
            for work in body.works:
                said = (work.output, work.output_bytes, work.salt)
                self._shows.setdefault((work.task, work.round, signer), []).append(said)
        elif isinstance(body, RevealScores):
            for item in body.scores:
                note = (item.score, item.salt)
                self._notes.setdefault((item.task, item.round, signer), []).append(note)

    def start_lease(self, fact: Awarded) -> None:
        now_ms = self.world.state.time_ms
        self._times[fact.task, fact.round] = now_ms
        self.get_round(fact.task, fact.round).awarded_ms = now_ms

    def check_work_fact(self, fact: Fact, digest: bytes) -> None:
        match fact:
            case VerifiersDrawn():
                self._check_audit(fact, digest, is_audited=True)
                self._check_draw(fact, digest)
            case DeliveryBegan():
                self._check_audit(fact, digest, is_audited=False)
            case WorkCommitted():
                seals = self._seals.setdefault((fact.task, fact.round), {})
                if fact.party in seals:
                    raise Breach("A4 sealed before opened", "sealed twice")
                seals[fact.party] = fact.commitment
                if fact.party == self.get_round(fact.task, fact.round).executor:
                    began_ms = self._times[fact.task, fact.round]
                    self._times[fact.task, fact.round] = self.world.state.time_ms - began_ms
            case WorkRevealed():
                self._check_work(fact)
            case ScoreRevealed():
                self._check_score(fact)
            case OutputHeld():
                is_enough = len(set(fact.holders)) > self.fold.faults
                if not is_enough or not set(fact.holders) <= set(self.fold.members):
                    raise Breach("A2 recomputed", "held by somebody else than members")
                self._held[fact.task, fact.round] = fact.holders
            case Judged():
                self._check_median(fact)
            case WorkAnswered():
                self._answers[fact.task, fact.round] = fact.paid_ppm
            case Accepted():
                self._check_result(fact)
            case Undecided():
                shown = set(self._shown.get((fact.task, fact.round), {}).values())
                if len(shown) > 1:
                    self._failed.setdefault(fact.task, set()).add(fact.executor)
            case Slashed():
                self._check_offence(fact)
            case Settled():
                self._check_grade(fact)
            case TaskEnded() if fact.outcome == "settled":
                self._check_fees(fact)

    def _check_audit(
        self, fact: VerifiersDrawn | DeliveryBegan, digest: bytes, *, is_audited: bool
    ) -> None:
        """A2 of the sample: what the batch that holds the executor's seal says."""
        job = self.fold.jobs[fact.task]
        if job.mode != "exact" or (isinstance(fact, VerifiersDrawn) and fact.escalated):
            return
        subject = b"audit" + fact.task + fact.round.to_bytes(2, "big")
        dice = int.from_bytes(digest_of(digest, subject)[:8], "big") * MILLION >> 64
        if (dice < job.audit_ppm) != is_audited:
            raise Breach("A2 recomputed", "another sample than was drawn")
        if not is_audited:
            self._spared.add((fact.task, fact.round))

    def _check_draw(self, fact: VerifiersDrawn, digest: bytes) -> None:
        """A2 of the draw: those members whose digest under the batch's is least."""
        job, rules = self.fold.jobs[fact.task], self.world.state.parameters
        members, is_exact = set(self.fold.members), job.mode == "exact"
        round_ = self.get_round(fact.task, fact.round)
        seals = self._seals.get((fact.task, fact.round), {})
        if fact.seed != digest or round_.executor not in seals:
            raise Breach("A2 recomputed", "verifiers drawn by another seed, or too early")
        failed = self._failed.get(fact.task, set())
        pool = [
            key
            for key in self.fold.list_eligible(rules.bond_min, job.requester)
            if (key in members or not is_exact)
            and key not in (round_.executor, *round_.verifiers)
            and (is_exact or key not in failed)
        ]
        subject = fact.task + fact.round.to_bytes(2, "big")
        pool.sort(
            key=lambda key: (
                not is_exact and key not in members,
                key in failed,
                key in self.fold.paused,
                digest_of(digest, subject, key),
            )
        )
        if not set(fact.verifiers) <= set(pool) or (
            sorted(pool[: len(fact.verifiers)]) != sorted(fact.verifiers)
        ):
            raise Breach("A2 recomputed", "other verifiers are drawn")
        needed = max(2, self.fold.faults + 1) - (round_.executor in members)
        if not is_exact:
            needed = make_terms("judged", self.world.plan.n).panel
        if not fact.escalated and len(fact.verifiers) < min(needed, len(pool)):
            raise Breach("A2 recomputed", "too few verifiers are drawn")
        round_.verifiers += fact.verifiers

    def _check_work(self, fact: WorkRevealed) -> None:
        """What is opened is what was sealed, with the party's own key inside."""
        place, seals = self.world.committee, self._seals.get((fact.task, fact.round), {})
        shown = self._shown.setdefault((fact.task, fact.round), {})
        for output, size, salt in self._shows.get((fact.task, fact.round, fact.party), ()):
            who = [fact.task, fact.round, fact.party]
            content = ["econode/work", place.network, place.id, *who, output, size, salt]
            seal = hashlib.sha256(cbor.encode(content)).digest()
            if output == fact.output and seal == seals.get(fact.party):
                shown[fact.party] = (fact.output, fact.output_bytes)
                return
        raise Breach("A4 sealed before opened", f"{fact.party.hex()[:8]} opens another result")

    def _check_score(self, fact: ScoreRevealed) -> None:
        place = self.world.committee
        seal = self._seals.get((fact.task, fact.round), {}).get(fact.party)
        for score, salt in self._notes.get((fact.task, fact.round, fact.party), ()):
            who = [fact.task, fact.round, fact.party]
            content = ["econode/score", place.network, place.id, *who, score, salt]
            if score == fact.score and hashlib.sha256(cbor.encode(content)).digest() == seal:
                self._scores.setdefault((fact.task, fact.round), {})[fact.party] = score
                return
        raise Breach("A4 sealed before opened", f"{fact.party.hex()[:8]} opens another score")

    def _check_median(self, fact: Judged) -> None:
        scores = {
            judge: score
            for judge, score in self._scores.get((fact.task, fact.round), {}).items()
            if judge not in self.fold.banned
        }
        below = sorted(scores.values())
        median = below[(len(below) - 1) // 2]
        tolerance = self.world.state.parameters.score_tolerance
        near = {judge for judge, score in scores.items() if abs(score - median) <= tolerance}
        if median != fact.score or near != set(fact.agreeing):
            raise Breach("A2 recomputed", f"a median of {fact.score}, {median} is right")
        self._paid[fact.task, fact.round] = tuple(sorted(near))

    def _check_result(self, fact: Accepted) -> None:
        job = self.fold.jobs[fact.task]
        shown = self._shown.get((fact.task, fact.round), {})
        result, right = (fact.output, fact.output_bytes), make_output(job.input)
        members = set(self._held.get((fact.task, fact.round), self.fold.members))
        is_verified = job.mode == "exact" and (fact.task, fact.round) not in self._spared
        if is_verified:
            members &= {key for key, each in shown.items() if each == result}
        elif job.round.executor is None or shown.get(job.round.executor) != result:
            raise Breach("A2 recomputed", "a result that the executor did not open")
        least = max(2, self.fold.faults + 1) if is_verified else 1
        if not set(fact.holders) <= members or len(set(fact.holders)) < least:
            raise Breach("A2 recomputed", "a result that too few hold")
        is_right = result == (right.digest, right.size_bytes)
        if is_verified and not is_right:
            raise Breach("V1 the result is right", "a lie was accepted")
        if is_right:
            self.accepted.add(job.input)

    def _check_grade(self, fact: Settled) -> None:
        round_, job = self.get_round(fact.task, fact.round), self.fold.jobs[fact.task]
        party = self.world.by_key[fact.executor]
        if party.is_honest and (
            fact.grade == "byzantine" or (fact.grade == "poor" and job.mode == "exact")
        ):
            raise Breach("A1 timely words count", f"honest {party.name} is graded {fact.grade}")
        if fact.executor != round_.executor:
            raise Breach("A2 recomputed", "another executor is graded")
        if fact.grade == "poor":
            self._failed.setdefault(fact.task, set()).add(fact.executor)
        rules = self.world.state.parameters
        share = {"excellent": MILLION, "satisfactory": MILLION}.get(fact.grade, 0)
        if job.mode == "accepted":
            share = self._answers.get((fact.task, fact.round), share)
        due = round_.price * share // MILLION
        if fact.grade == "excellent":
            taken_ms = self._times[fact.task, fact.round]
            if 2 * taken_ms > round_.lease_deadline_ms - round_.awarded_ms:
                raise Breach("A2 recomputed", "late, and excellent")
            due += round_.price * rules.bonus_ppm // MILLION
        paid = sum(
            m.amount
            for m in fact.moves
            if m.source_bucket == "escrow" and m.target == fact.executor
        )
        if any(m.source_bucket == "escrow" and m.target == job.requester for m in fact.moves):
            raise Breach("A2 recomputed", "what the requester withholds comes back to it")
        is_partly = job.mode == "judged" and fact.grade == "poor"
        if paid != due and not (is_partly and paid <= round_.price):
            raise Breach("A2 recomputed", f"{fact.grade} is paid {paid} instead of {due}")

    def _check_offence(self, fact: Slashed) -> None:
        """A bond burns for what its owner opened, and was wrong."""
        if fact.task is None:
            return
        right = make_output(self.fold.inputs[fact.task]).digest
        said = [
            shown[fact.offender][0]
            for (task, _), shown in self._shown.items()
            if task == fact.task and fact.offender in shown
        ]
        if all(output == right for output in said):
            raise Breach("C5 nobody honest is slashed", "for nothing that was opened")

    def _check_fees(self, fact: TaskEnded) -> None:
        """Who verified rightly, or judged near the median, is paid the fee; nobody else is."""
        job = self.fold.jobs[fact.task]
        place, fee = (
            (fact.task, job.round.number),
            job.budget * self.world.state.parameters.verifier_fee_ppm // MILLION,
        )
        right = make_output(job.input).digest
        due = set(self._paid.get(place, ()))
        if job.mode == "exact":
            due = {
                key for key, (output, _) in self._shown.get(place, {}).items() if output == right
            }
            due &= set(job.round.verifiers) & set(self.fold.members)
        paid = {m.target: m.amount for m in fact.moves if m.target != job.requester}
        if any(amount != fee or key not in due for key, amount in paid.items()):
            raise Breach("A2 recomputed", "a verifier is paid otherwise")
        if not {key for key in due if self.world.by_key[key].is_honest} <= set(paid):
            raise Breach("A2 recomputed", "an honest verifier is not paid")

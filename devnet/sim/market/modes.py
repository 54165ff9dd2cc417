"""What parties say of tasks that nobody runs again: heartbeats, deliveries, scores, answers."""

import hmac
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crdt.facts import OfferedCapability, TaskTerms, Verification
from protocols.agents.plan import Output
from protocols.auction.commit_reveal import compute_score_commitment
from protocols.economy.model import Duty
from protocols.economy.operations import (
    AcceptWork,
    AnyBody,
    CommitWork,
    Heartbeat,
    Operation,
    RevealScores,
    RevealWork,
    WorkCommitment,
    WorkOpening,
)
from protocols.economy.operations_tasks import Beat, ScoreOpening
from protocols.genesis import PPM

if TYPE_CHECKING:
    from devnet.sim.market.party import Party
    from devnet.sim.market.world import MarketWorld

ACCEPT_MS = 20_000
HEARTBEAT_MS = 3_000
GOOD_SCORE, BAD_SCORE = 90, 5


def make_terms(mode: Verification, n: int) -> TaskTerms:
    """How a requester of these worlds wants a task done."""
    faults = (n - 1) // 3
    match mode:
        case "judged":
            return TaskTerms(verification="judged", panel=max(3, 2 * faults + 1))
        case "accepted":
            return TaskTerms(
                verification="accepted", accept_ms=ACCEPT_MS, heartbeat_ms=HEARTBEAT_MS
            )
    return TaskTerms()


def get_mode(capability: bytes, offered: Sequence[OfferedCapability]) -> Verification:
    return next(each.verification for each in offered if each.id == capability)


def plan_modes(
    party: "Party", world: "MarketWorld", duties: Sequence[Duty], pending: Sequence[Operation]
) -> list[AnyBody]:
    """Answers to duties that the planner leaves to its caller."""
    busy = {type(operation.body) for operation in pending}
    bodies: list[AnyBody] = []
    for duty in duties:
        body = _answer(party, world, duty)
        if body is not None and type(body) not in busy:
            bodies.append(body)
            busy.add(type(body))
    return bodies


def _answer(party: "Party", world: "MarketWorld", duty: Duty) -> AnyBody | None:
    match duty.kind:
        case "beat":
            due_ms = duty.beat_ms + HEARTBEAT_MS // 2
            world.wake(due_ms)
            if not party.beats(world, duty) or world.now_ms < due_ms:
                return None
            return Heartbeat((Beat(duty.task, duty.round, 0),))
        case "deliver":
            return _deliver(party, world, duty)
        case "judge":
            score = party.judge(world, duty)
            seal = _seal_score(party, duty, score)
            return CommitWork((WorkCommitment(duty.task, duty.round, seal, None),))
        case "reveal_score":
            opening = ScoreOpening(
                duty.task, duty.round, party.judge(world, duty), _salt(party, duty)
            )
            return RevealScores((opening,))
        case "accept":
            paid_ppm = party.answer(world, duty)
            if paid_ppm is None:
                return None
            return AcceptWork(duty.task, duty.round, paid_ppm)
    return None


def _deliver(party: "Party", world: "MarketWorld", duty: Duty) -> AnyBody | None:
    outcome = party.find_outcome(world, duty)
    if not isinstance(outcome, Output):
        return None
    holders = party.list_holders(world, outcome)
    salt = party.planner.derive_salt(duty.task, duty.round, "work")
    opening = WorkOpening(duty.task, duty.round, outcome.digest, outcome.size_bytes, salt)
    return RevealWork((opening,), world.make_receipts(holders, outcome.digest))


def is_right(world: "MarketWorld", duty: Duty) -> bool:
    """Whether the output that a judge or requester looks at is what an honest run gives."""
    from devnet.sim.market.party import make_output

    return duty.output == make_output(duty.input).digest


def judge_honestly(world: "MarketWorld", duty: Duty) -> int:
    return GOOD_SCORE if is_right(world, duty) else BAD_SCORE


def answer_honestly(world: "MarketWorld", duty: Duty) -> int:
    return PPM if is_right(world, duty) else 0


def _salt(party: "Party", duty: Duty) -> bytes:
    place = duty.task + duty.round.to_bytes(2) + b"score"
    return hmac.digest(party.secret, place, "sha256")


def _seal_score(party: "Party", duty: Duty, score: int) -> bytes:
    place = party.world.committee
    return compute_score_commitment(
        place.network,
        place.id,
        duty.task,
        duty.round,
        party.key,
        score,
        _salt(party, duty),
    )

"""What parties know of tasks that nobody runs again: heartbeats, deliveries, scores, answers."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crdt.facts import TaskTerms, Verification
from protocols.agents.plan import Failure, Findings, Outcomes, Output
from protocols.economy.model import Duty
from protocols.economy.operations import AnyBody, Operation
from protocols.economy.operations_tasks import AcceptWork
from protocols.genesis import PPM

if TYPE_CHECKING:
    from devnet.sim.market.party import Party
    from devnet.sim.market.world import MarketWorld

ACCEPT_MS = 20_000
HEARTBEAT_MS = 3_000
GOOD_SCORE, BAD_SCORE = 90, 5


def make_terms(mode: Verification, n: int, audit_ppm: int = PPM) -> TaskTerms:
    """How a requester of these worlds wants a task done."""
    faults = (n - 1) // 3
    match mode:
        case "judged":
            return TaskTerms(verification="judged", panel=max(3, 2 * faults + 1))
        case "accepted":
            return TaskTerms(
                verification="accepted", accept_ms=ACCEPT_MS, heartbeat_ms=HEARTBEAT_MS
            )
    return TaskTerms(audit_ppm=audit_ppm)


def make_findings(
    party: "Party", world: "MarketWorld", duties: Sequence[Duty], outcomes: Outcomes
) -> Findings:
    """What the planner is told beside the outcomes of runs."""
    scores: dict[tuple[bytes, int], int | Failure] = {}
    receipts: dict[bytes, tuple[bytes, ...]] = {}
    beats: dict[bytes, int] = {}
    for duty in duties:
        if duty.kind in ("judge", "reveal_score"):
            scores[duty.task, duty.round] = party.judge(world, duty)
        elif duty.kind == "deliver":
            outcome = outcomes.get(duty.task)
            if isinstance(outcome, Output):
                holders = party.list_holders(world, outcome)
                receipts[duty.task] = world.make_receipts(holders, outcome.digest)
        elif duty.kind == "beat":
            due_ms = duty.beat_ms + HEARTBEAT_MS // 2
            world.wake(due_ms)
            if world.now_ms >= due_ms and party.beats(world, duty):
                beats[duty.task] = 0
    return Findings(scores, receipts, beats)


def plan_answers(
    party: "Party", world: "MarketWorld", duties: Sequence[Duty], pending: Sequence[Operation]
) -> list[AnyBody]:
    """The requester's word on what was delivered to it."""
    said = {op.body.task for op in pending if isinstance(op.body, AcceptWork)}
    bodies: list[AnyBody] = []
    for duty in duties:
        if duty.kind == "accept" and duty.task not in said:
            paid_ppm = party.answer(world, duty)
            if paid_ppm is not None:
                bodies.append(AcceptWork(duty.task, duty.round, paid_ppm))
    return bodies


def is_right(world: "MarketWorld", duty: Duty) -> bool:
    """Whether the output that a judge or requester looks at is what an honest run gives."""
    return duty.output == world.make_output(duty.input).digest


def judge_honestly(world: "MarketWorld", duty: Duty) -> int:
    return GOOD_SCORE if is_right(world, duty) else BAD_SCORE


def answer_honestly(world: "MarketWorld", duty: Duty) -> int:
    return PPM if is_right(world, duty) else 0

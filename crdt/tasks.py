"""Tasks as a fold over facts: one row per task, changed by nothing but what its committee ordered.

The ledger's projection and the document use this same fold.
"""

from typing import Any

import msgspec

from crdt import facts
from crdt.facts import Fact


class TaskRow(msgspec.Struct, frozen=True):
    """What is known of a task. `price` is what the winner is paid; times are agreed time.

    `verifiers` and `holders` are keys, one after the other: who was drawn in the present round,
    and who holds the output. `reason` is what went wrong last, in words; empty once settled.
    `progress_ppm` is what the executor says. `scores` are those of the present round's judges, a
    key and one byte each, and `score` is the median of a panel that came to one.
    """

    task: bytes
    requester: bytes
    capability: bytes
    state: str
    round: int
    budget: int
    winner: bytes | None
    price: int | None
    grade: str | None
    output: bytes | None
    opened_ms: int
    ended_ms: int | None
    input: bytes
    input_bytes: int
    deadline_ms: int
    verifiers: bytes
    holders: bytes
    output_bytes: int
    reason: str
    verification: str
    progress_ppm: int
    scores: bytes
    score: int | None


STATES = (
    *("opened", "bidding", "working", "verifying", "delivered", "accepted"),
    *("settled", "failed", "cancelled"),
)
"""delivered: the requester may say what the output is worth."""
ENDED_STATES = ("settled", "failed", "cancelled")


def get_task(fact: Fact) -> bytes | None:
    """The task that a fact is about, or None."""
    task: bytes | None = getattr(fact, "task", None)
    return task


_NO_AGREEMENT: dict[str, Any] = {
    "winner": None,
    "price": None,
    "verifiers": b"",
    "output": None,
    "output_bytes": 0,
    "holders": b"",
    "progress_ppm": 0,
    "scores": b"",
    "score": None,
}


def fold_task(row: TaskRow | None, fact: Fact, time_ms: int) -> TaskRow | None:
    """The row after `fact`, which happened at agreed time `time_ms`.

    `row` is the task's row so far. A fact about a task that was never opened, or has ended,
    changes nothing.
    """
    if row is not None and row.state in ENDED_STATES:
        return row
    if isinstance(fact, facts.TaskOpened):
        return TaskRow(
            task=fact.task,
            requester=fact.requester,
            capability=fact.capability,
            state="opened",
            round=0,
            budget=fact.budget,
            winner=None,
            price=None,
            grade=None,
            output=None,
            opened_ms=time_ms,
            ended_ms=None,
            input=fact.input,
            input_bytes=fact.input_bytes,
            deadline_ms=fact.deadline_ms,
            verifiers=b"",
            holders=b"",
            output_bytes=0,
            reason="",
            verification=fact.verification,
            progress_ppm=0,
            scores=b"",
            score=None,
        )
    if row is None:
        return None
    replace = msgspec.structs.replace
    match fact:
        case facts.AuctionOpened(round=number):
            return replace(row, state="bidding", round=number, **_NO_AGREEMENT)
        case facts.Awarded(winner=winner, price=price):
            return replace(row, state="working", winner=winner, price=price, reason="")
        case facts.Unsold():
            return replace(row, state="opened", reason="no bid that counts")
        case facts.Undecided():
            few = "too few scores" if row.verification == "judged" else "too few identical results"
            return replace(row, state="opened", reason=few)
        case facts.Progressed(progress_ppm=progress_ppm):
            return replace(row, progress_ppm=progress_ppm)
        case facts.OutputHeld(output=output, output_bytes=size, holders=holders):
            state = "verifying" if fact.deadline_ms is None else "delivered"
            held = b"".join(holders)
            return replace(row, state=state, output=output, output_bytes=size, holders=held)
        case facts.ScoreRevealed(party=judge, score=score):
            return replace(row, scores=row.scores + judge + bytes([score]))
        case facts.Judged(score=score):
            return replace(row, score=score)
        case facts.WorkFailed(party=party, reason=reason) if party == row.winner:
            return replace(row, reason=f"the executor's capability failed: {reason}")
        case facts.VerifiersDrawn(verifiers=drawn):
            return replace(row, state="verifying", verifiers=row.verifiers + b"".join(drawn))
        case facts.Accepted(output=output, output_bytes=size, holders=holders):
            held = b"".join(holders)
            return replace(row, state="accepted", output=output, output_bytes=size, holders=held)
        case facts.Settled(grade=grade):
            return replace(row, grade=grade, reason=row.reason or _explain(row, fact))
        case facts.TaskEnded(outcome=outcome, output=output):
            failed = row.reason or "no agent was free before the deadline"
            reason = failed if outcome == "failed" else ""
            if outcome == "cancelled":
                reason = "cancelled by its requester"
            return replace(row, state=outcome, output=output, ended_ms=time_ms, reason=reason)
    return row


def _explain(row: TaskRow, fact: facts.Settled) -> str:
    """Why a grade is poor, where nothing said so before."""
    if fact.grade != "poor":
        return ""
    if row.output is None:
        return "the executor gave no result in time"
    if row.score is not None:
        return f"the judges' median is {row.score}"
    return ""

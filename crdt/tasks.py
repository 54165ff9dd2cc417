"""Tasks as a fold over facts: one row per task, changed by nothing but what its committee ordered.

The ledger's projection and the document use this same fold.
"""

import msgspec

from crdt import facts
from crdt.facts import Fact


class TaskRow(msgspec.Struct, frozen=True):
    """What is known of a task. `price` is what the winner is paid; times are agreed time."""

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


STATES = ("open", "bidding", "revealing", "working", "verifying", "accepted", "settled", "failed")
ENDED_STATES = ("settled", "failed")


def get_task(fact: Fact) -> bytes | None:
    """The task that a fact is about, or None."""
    task: bytes | None = getattr(fact, "task", None)
    return task


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
            state="open",
            round=0,
            budget=fact.budget,
            winner=None,
            price=None,
            grade=None,
            output=None,
            opened_ms=time_ms,
            ended_ms=None,
        )
    if row is None:
        return None
    replace = msgspec.structs.replace
    match fact:
        case facts.AuctionOpened(round=number):
            return replace(row, state="bidding", round=number, winner=None, price=None)
        case facts.BidsClosed():
            return replace(row, state="revealing")
        case facts.Awarded(winner=winner, price=price):
            return replace(row, state="working", winner=winner, price=price)
        case facts.Unsold() | facts.Undecided():
            return replace(row, state="open")
        case facts.VerifiersDrawn():
            return replace(row, state="verifying")
        case facts.Accepted(output=output):
            return replace(row, state="accepted", output=output)
        case facts.Settled(grade=grade):
            return replace(row, grade=grade)
        case facts.TaskEnded(outcome=outcome, output=output):
            return replace(row, state=outcome, output=output, ended_ms=time_ms)
    return row

"""Why a task failed, as its committee's facts tell it."""

import pytest

from crdt import facts
from crdt.tasks import TaskRow, fold_task

TASK, REQUESTER, WINNER, OTHER = (bytes([n]) * 32 for n in range(4))
OPENED = facts.TaskOpened(
    task=TASK,
    requester=REQUESTER,
    capability=TASK,
    input=TASK,
    input_bytes=1,
    budget=9,
    deadline_ms=99,
)
INPUTS = {"budget": 9, "seed": bytes(32), "bids": ()}
AWARDED = facts.Awarded(task=TASK, round=1, winner=WINNER, bid=3, price=4, deadline_ms=50, **INPUTS)
RATED = {"task": TASK, "round": 1, "executor": WINNER, "rater": REQUESTER, "allowance": 9}
POOR = facts.Settled(grade="poor", price=0, **RATED)
PAID = facts.Settled(grade="excellent", price=4, **RATED)
UNSOLD = facts.Unsold(task=TASK, round=1)
UNDECIDED = facts.Undecided(task=TASK, round=1, executor=WINNER)


def work_failed(party: bytes) -> facts.WorkFailed:
    return facts.WorkFailed(task=TASK, round=1, party=party, reason="timeout")


def end(outcome: str) -> facts.TaskEnded:
    return facts.TaskEnded(task=TASK, outcome=outcome, output=None)  # type: ignore[arg-type]


def fold(*history: facts.Fact) -> TaskRow:
    row = None
    for fact in (OPENED, *history):
        row = fold_task(row, fact, 5)
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("history", "reason"),
    [
        ((), "no agent was free before the deadline"),
        ((UNSOLD,), "no bid that counts"),
        ((AWARDED, UNDECIDED), "too few identical results"),
        ((AWARDED, work_failed(WINNER), POOR), "the executor's capability failed: timeout"),
        ((AWARDED, work_failed(OTHER), POOR), "the executor gave no result in time"),
        ((AWARDED, UNDECIDED, AWARDED, POOR), "the executor gave no result in time"),
    ],
)
def test_a_failed_task_says_what_went_wrong_last(history, reason):
    assert fold(*history, end("failed")).reason == reason


def test_a_settled_task_has_no_reason():
    assert fold(AWARDED, UNDECIDED, AWARDED, PAID, end("settled")).reason == ""

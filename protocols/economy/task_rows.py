"""The ledger's rows of the tasks under way, made from the state instead of from the facts.

Whoever starts from a state has not seen the facts before it. What only they tell stays empty: the
reason of an earlier failure, and the former agreement of a task that waits for another auction.
"""

from crdt.tasks import TaskRow
from protocols.economy.model import Stage, Task, get_result

_STATES: dict[Stage, str] = {
    "queued": "opened",
    "bid_commit": "bidding",
    "bid_reveal": "bidding",
    "lease": "working",
    "acceptance": "delivered",
}
"""Every later stage is verification."""


def make_task_row(task: Task) -> TaskRow:
    """The row of a task between two batches."""
    has_agreement = task.executor is not None
    result = get_result(task) if task.holders else None
    return TaskRow(
        task=task.id,
        requester=task.requester,
        capability=task.capability,
        state=_STATES.get(task.stage, "verifying"),
        round=task.round,
        budget=task.budget,
        winner=task.executor,
        price=task.price if has_agreement else None,
        grade=None,
        output=result[0] if result else None,
        opened_ms=task.opened_ms,
        ended_ms=None,
        input=task.input,
        input_bytes=task.input_bytes,
        deadline_ms=task.deadline_ms,
        verifiers=b"".join(task.verifiers),
        holders=b"".join(task.holders),
        output_bytes=result[1] if result else 0,
        reason="",
        verification=task.verification,
        progress_ppm=task.progress_ppm,
        scores=b"".join(
            key + bytes([work.score])
            for key, work in sorted(task.works.items())
            if work.score is not None
        ),
        score=None,
    )

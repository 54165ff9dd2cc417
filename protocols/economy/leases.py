"""Agreements under way: heartbeats while the executor works, and the requester's way out."""

from crdt.facts import AgreementCancelled, Progressed
from protocols.economy.books import Books, Part, compute_moves
from protocols.economy.contracts import find_round, return_deposits
from protocols.economy.endings import end_task
from protocols.economy.model import OrderedOperation, Refused, Task, compute_share
from protocols.economy.operations_tasks import Beat, CancelTask
from protocols.economy.terms import compute_lease_ms
from protocols.genesis import PPM

BEATS_PER_INTERVAL_MAX = 4
"""Heartbeats that are heard in one interval: each is a fact in the log."""


def hear_beat(books: Books, signer: bytes, item: Beat) -> None:
    """The executor is alive: its next heartbeat is due one interval from now. Raises Refused."""
    task = find_round(books, item.task, item.round)
    interval_ms, end_ms = task.terms.heartbeat_ms, task.lease_ms + task.terms.grace_ms
    if signer != task.executor:
        raise Refused("not_executor")
    if task.stage != "lease" or books.time_ms >= end_ms:
        raise Refused("too_late")
    if not interval_ms:
        raise Refused("no_heartbeat_wanted")
    if books.time_ms < task.beat_ms + interval_ms // BEATS_PER_INTERVAL_MAX:
        raise Refused("too_early")
    if item.progress_ppm < task.progress_ppm:
        raise Refused("progress_goes_back")
    task.beat_ms, task.progress_ppm = books.time_ms, item.progress_ppm
    books.enter_stage(task, "lease", (signer,), min(interval_ms, end_ms - books.time_ms))
    books.emit(
        Progressed(
            task=task.id,
            round=task.round,
            progress_ppm=task.progress_ppm,
            deadline_ms=task.stage_deadline_ms,
        )
    )


def cancel(books: Books, ordered: OrderedOperation, body: CancelTask) -> None:
    """Take a task back. Raises Refused."""
    task = books.tasks.get(body.task)
    if task is None:
        raise Refused("unknown_task")
    if ordered.signer != task.requester:
        raise Refused("not_requester")
    if task.stage == "lease":
        if task.overdue:
            raise Refused("too_late")
        _cancel_agreement(books, task)
    elif task.stage not in ("queued", "bid_commit", "bid_reveal"):
        raise Refused("work_sealed")
    rest: Part = (task.requester, "escrow", task.requester, "free", task.escrow)
    moves = compute_moves(rest) + return_deposits(task, task.bids)
    end_task(books, task, "cancelled", moves)


def _cancel_agreement(books: Books, task: Task) -> None:
    """Pay the executor for the time it had. What it says of its progress is no proof of it."""
    executor = task.executor
    assert executor is not None
    lease_ms = compute_lease_ms(books.parameters, task.terms)
    spent_ppm = (books.time_ms - task.awarded_ms) * PPM // lease_ms
    paid_ppm = min(PPM, max(books.parameters.cancel_pay_ppm_min, spent_ppm))
    paid = compute_share(task.price, paid_ppm)
    books.agents[executor].active -= 1
    task.escrow -= paid
    books.emit(
        AgreementCancelled(
            task=task.id,
            round=task.round,
            executor=executor,
            paid=paid,
            moves=compute_moves(
                (task.requester, "escrow", executor, "free", paid),
                (executor, "locked", executor, "free", task.deposit),
            ),
        )
    )

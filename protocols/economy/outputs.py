"""Results that nobody runs again: the executor shows that members hold the bytes, then a panel or
the requester says what they are worth.

f+1 members that signed for the output include an honest one, so it cannot be withheld once it
counts; an executor that cannot show them has given no result.
"""

from crdt.facts import DeliveryBegan, OutputHeld, WorkAnswered
from protocols.economy import panel
from protocols.economy.books import Books
from protocols.economy.contracts import find_round, retry_task
from protocols.economy.model import Refused, Task
from protocols.economy.operations_tasks import AcceptWork
from protocols.economy.settlement import (
    compute_verdict,
    fail_round,
    settle_undisputed,
)
from protocols.economy.slashing import pause, revoke_lease
from protocols.economy.terms import compute_accept_ms
from protocols.genesis import PPM


def begin_delivery(books: Books, task: Task) -> None:
    """The executor sealed its result: now it opens it with receipts."""
    assert task.executor is not None
    time_ms = books.parameters.delivery_phase_ms
    books.enter_stage(task, "delivery", (task.executor,), time_ms)
    books.emit(
        DeliveryBegan(
            task=task.id,
            round=task.round,
            seed=books.seed,
            deadline_ms=task.stage_deadline_ms,
        )
    )


def close_delivery(books: Books, task: Task) -> None:
    """The output is held, or the executor did not show it in time."""
    executor = task.executor
    assert executor is not None
    work = task.works[executor]
    if work.output is None:
        if books.is_banned(executor):
            revoke_lease(books, task, executor)
            retry_task(books, task, executor)
        else:
            pause(books, executor)
            fail_round(books, task, books.parameters.timeout_slash_ppm)
        return
    is_asked = task.verification == "accepted"
    if is_asked:
        time_ms = compute_accept_ms(books.parameters, task.terms)
        books.enter_stage(task, "acceptance", (task.requester,), time_ms)
    books.emit(
        OutputHeld(
            task=task.id,
            round=task.round,
            output=work.output,
            output_bytes=work.output_bytes,
            holders=task.holders,
            deadline_ms=task.stage_deadline_ms if is_asked else None,
        )
    )
    if task.verification == "judged":
        panel.draw(books, task, escalated=False)
    elif task.verification == "exact":  # the draw spared it the audit
        settle_undisputed(books, task, compute_verdict(books, task))


def accept_work(books: Books, signer: bytes, item: AcceptWork) -> None:
    """Take the requester's word. Raises Refused."""
    task = find_round(books, item.task, item.round)
    if signer != task.requester:
        raise Refused("not_requester")
    if task.stage != "acceptance":
        raise Refused("too_early" if task.verification == "accepted" else "not_asked")
    task.answer_ppm = item.paid_ppm
    _emit_answer(books, task, item.paid_ppm, silent=False)
    books.hear(task, signer)


def close_acceptance(books: Books, task: Task) -> None:
    """The requester answered, or its silence pays in full; nobody called that excellent."""
    answer = task.answer_ppm
    if answer is None:
        _emit_answer(books, task, PPM, silent=True)
    verdict = compute_verdict(books, task, is_excellent=answer is not None)
    settle_undisputed(books, task, verdict.dispute(PPM if answer is None else answer))


def _emit_answer(books: Books, task: Task, paid_ppm: int, *, silent: bool) -> None:
    books.emit(
        WorkAnswered(
            task=task.id,
            round=task.round,
            requester=task.requester,
            paid_ppm=paid_ppm,
            silent=silent,
        )
    )

"""Grades and payments: how an agreement ends, each time in facts that balance.

Excellent: right and within half of the lease, paid with a bonus. Satisfactory: right, paid. Poor:
failed or missed its lease or its reveal, not paid, and a share of the task deposit burns.
Byzantine: opened a result that is proven wrong, not paid; deposit and bond burn.
"""

from crdt.facts import COMMON, Accepted, Grade, Move, Settled, TaskEnded, Undecided
from crdt.reputation import compute_allowance
from protocols.economy.books import Books, compute_moves
from protocols.economy.contracts import retry_task
from protocols.economy.model import Task, compute_share
from protocols.economy.slashing import slash

Result = tuple[bytes, int]
"""Digest and size of an output."""


def settle_poor(books: Books, task: Task, slash_ppm: int) -> None:
    """Grade the executor poor: `slash_ppm` of its task deposit burns."""
    executor = _end_agreement(books, task)
    burned = compute_share(task.deposit, slash_ppm)
    moves = compute_moves(
        (executor, "locked", COMMON, "burned", burned),
        (executor, "locked", executor, "free", task.deposit - burned),
    )
    _grade(books, task, executor, "poor", 0, moves)


def fail_round(books: Books, task: Task, slash_ppm: int) -> None:
    """The executor gave no result: poor, and the task goes on without it."""
    executor = task.executor
    settle_poor(books, task, slash_ppm)
    retry_task(books, task, executor)


def end_undecided(books: Books, task: Task) -> None:
    """No result found enough agreement and no lie is proven: nobody is graded. Where results
    differ the executor is not asked again for this task: it may be the one that was wrong."""
    executor = _end_agreement(books, task)
    moves = compute_moves((executor, "locked", executor, "free", task.deposit))
    books.emit(Undecided(task=task.id, round=task.round, executor=executor, moves=moves))
    results = {(w.output, w.output_bytes) for w in task.works.values() if w.output is not None}
    retry_task(books, task, executor if len(results) > 1 else None)


def settle(books: Books, task: Task, result: Result, holders: tuple[bytes, ...]) -> None:
    """`holders` agree on `result`: pay whoever was right, slash whoever opened another, end."""
    output, output_bytes = result
    books.emit(
        Accepted(
            task=task.id,
            round=task.round,
            output=output,
            output_bytes=output_bytes,
            holders=holders,
        )
    )
    liars = [
        party
        for party, work in sorted(task.works.items())
        if work.output is not None and (work.output, work.output_bytes) != result
    ]
    executor = task.executor
    assert executor is not None
    if executor in liars:
        _settle_byzantine(books, task)
    elif task.works[executor].output is None:
        settle_poor(books, task, books.parameters.timeout_slash_ppm)
    else:
        _settle_paid(books, task)
    _end_settled(books, task, output, [key for key in holders if key in task.verifiers])
    for liar in liars:
        slash(books, liar, task, task.round)


def _settle_paid(books: Books, task: Task) -> None:
    executor = _end_agreement(books, task)
    assert task.committed_ms is not None
    taken_ms, lease_ms = task.committed_ms - task.awarded_ms, task.lease_ms - task.awarded_ms
    grade: Grade = "excellent" if 2 * taken_ms <= lease_ms else "satisfactory"
    bonus = compute_share(task.price, books.parameters.bonus_ppm) if grade == "excellent" else 0
    moves = compute_moves(
        (task.requester, "escrow", executor, "free", task.price + bonus),
        (executor, "locked", executor, "free", task.deposit),
    )
    task.escrow -= task.price + bonus
    _grade(books, task, executor, grade, task.price, moves)


def _settle_byzantine(books: Books, task: Task) -> None:
    executor = _end_agreement(books, task)
    moves = compute_moves((executor, "locked", COMMON, "burned", task.deposit))
    _grade(books, task, executor, "byzantine", 0, moves)


def _grade(
    books: Books, task: Task, executor: bytes, grade: Grade, price: int, moves: tuple[Move, ...]
) -> None:
    """The requester is the rater, and its standing bond says how much its agreements count."""
    bond = books.get_standing_bond(task.requester)
    books.emit(
        Settled(
            task=task.id,
            round=task.round,
            executor=executor,
            grade=grade,
            price=price,
            rater=task.requester,
            allowance=compute_allowance(bond, books.parameters.bond_min),
            moves=moves,
        )
    )


def _end_settled(books: Books, task: Task, output: bytes, right: list[bytes]) -> None:
    """Pay the verifiers that were right and give the rest of the escrow back."""
    fee = compute_share(task.budget, books.parameters.verifier_fee_ppm)
    rest = task.escrow - fee * len(right)
    moves = compute_moves(
        *((task.requester, "escrow", verifier, "free", fee) for verifier in right),
        (task.requester, "escrow", task.requester, "free", rest),
    )
    books.emit(TaskEnded(task=task.id, outcome="settled", output=output, moves=moves))
    books.remove_task(task)


def _end_agreement(books: Books, task: Task) -> bytes:
    """The executor, which has room for one more agreement from now on."""
    assert task.executor is not None
    books.agents[task.executor].active -= 1
    return task.executor

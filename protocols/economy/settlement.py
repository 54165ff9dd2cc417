"""Grades and payments: how an agreement ends, each time in facts that balance.

Excellent: right and within half of the lease, paid with a bonus. Satisfactory: right, paid. Poor:
late, or worth a part only, paid in part; failed, or missed its lease or its reveal, not paid. A
share of the task deposit burns. Byzantine: opened a result that is proven wrong, not paid; deposit
and bond burn.
"""

from dataclasses import dataclass, replace

from crdt.facts import COMMON, Accepted, Grade, Move, Settled, Undecided
from crdt.reputation import compute_allowance
from protocols.economy.books import Books, compute_moves
from protocols.economy.contracts import retry_task
from protocols.economy.endings import end_task
from protocols.economy.model import Task, compute_share, get_result
from protocols.economy.slashing import slash
from protocols.economy.terms import compute_bonus
from protocols.genesis import PPM, Parameters

Result = tuple[bytes, int]
"""Digest and size of an output."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an executor gets for a result that counts: shares of the price that it is paid and that
    burn, and the share of its deposit that burns."""

    grade: Grade
    paid_ppm: int = PPM
    burned_ppm: int = 0
    slash_ppm: int = 0
    burns_bonus: bool = False

    def degrade(self, rules: Parameters) -> "Verdict":
        """Poor, and of some use."""
        return Verdict("poor", rules.poor_pay_ppm, 0, rules.failure_slash_ppm)

    def dispute(self, paid_ppm: int) -> "Verdict":
        """The requester pays this share only, and proves nothing: the rest burns, and no deposit
        does. The bonus of an excellent result burns too, or rejecting it would save that."""
        if paid_ppm == PPM:
            return self
        paid = compute_share(self.paid_ppm, paid_ppm)
        return replace(
            self,
            grade="poor",
            paid_ppm=paid,
            burned_ppm=self.paid_ppm - paid,
            slash_ppm=0,
            burns_bonus=self.grade == "excellent",
        )


def compute_verdict(books: Books, task: Task, *, is_excellent: bool = True) -> Verdict:
    """What a right result is worth by the time it took: less within the grace after the lease, and
    more, if it is excellent otherwise, within half of the lease."""
    assert task.committed_ms is not None
    if task.terms.grace_ms and task.committed_ms > task.lease_ms:
        return Verdict("poor").degrade(books.parameters)
    taken_ms, lease_ms = task.committed_ms - task.awarded_ms, task.lease_ms - task.awarded_ms
    return Verdict("excellent" if is_excellent and 2 * taken_ms <= lease_ms else "satisfactory")


def settle_poor(books: Books, task: Task, slash_ppm: int) -> None:
    """Grade the executor poor: `slash_ppm` of its task deposit burns, and it is not paid."""
    _pay(books, task, Verdict("poor", paid_ppm=0, slash_ppm=slash_ppm))


def fail_round(books: Books, task: Task, slash_ppm: int) -> None:
    """The executor gave no result: poor, and the task goes on without it."""
    executor = task.executor
    settle_poor(books, task, slash_ppm)
    retry_task(books, task, executor)


def fail_judged(books: Books, task: Task, judges: tuple[bytes, ...]) -> None:
    """The panel found no use in the result. The judges are paid; later rounds have as much less.
    It costs as much as silence, and more than saying that one failed: the seat of a failed member
    may go to a stranger, and what a judge is paid must not make up for delivering junk."""
    executor = task.executor
    fee = compute_share(task.budget, books.parameters.verifier_fee_ppm)
    fees = compute_moves(*((task.requester, "escrow", judge, "free", fee) for judge in judges))
    task.escrow -= fee * len(judges)
    task.draws_max -= len(judges)
    _pay(
        books,
        task,
        Verdict("poor", paid_ppm=0, slash_ppm=books.parameters.timeout_slash_ppm),
        fees,
    )
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
    _accept(books, task, result, holders)
    liars = [
        party
        for party, work in sorted(task.works.items())
        if work.output is not None and (work.output, work.output_bytes) != result
    ]
    executor = task.executor
    assert executor is not None
    if executor in liars:
        grade = _pay(books, task, Verdict("byzantine", paid_ppm=0, slash_ppm=PPM))
    elif task.works[executor].output is None:
        slash_ppm = books.parameters.timeout_slash_ppm
        grade = _pay(books, task, Verdict("poor", paid_ppm=0, slash_ppm=slash_ppm))
    else:
        grade = _pay(books, task, compute_verdict(books, task))
    right = [key for key in holders if key in task.verifiers]
    _end_settled(books, task, result[0], right, executor if grade == "excellent" else None)
    for liar in liars:
        slash(books, liar, task, task.round)


def settle_undisputed(
    books: Books, task: Task, verdict: Verdict, judges: tuple[bytes, ...] = ()
) -> None:
    """The executor's output counts as `verdict` says; `judges` are paid. End."""
    result, executor = get_result(task), task.executor
    assert result is not None
    _accept(books, task, result, task.holders)
    _pay(books, task, verdict)
    winner = executor if verdict.grade == "excellent" else None
    _end_settled(books, task, result[0], list(judges), winner)


def _accept(books: Books, task: Task, result: Result, holders: tuple[bytes, ...]) -> None:
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


def _pay(books: Books, task: Task, verdict: Verdict, moves: tuple[Move, ...] = ()) -> Grade:
    """End the agreement and grade it. The requester is the rater, and its standing bond says how
    much its agreements count. `moves` are what else is paid with it."""
    executor = _end_agreement(books, task)
    paid = compute_share(task.price, verdict.paid_ppm)
    burned = compute_share(task.price, verdict.paid_ppm + verdict.burned_ppm) - paid
    bonus = 0
    if verdict.grade == "excellent":
        bonus = compute_bonus(books.parameters, task.terms, task.price)
    if verdict.burns_bonus:
        burned += compute_bonus(books.parameters, task.terms, task.price)
    slashed = compute_share(task.deposit, verdict.slash_ppm)
    task.escrow -= paid + bonus + burned
    bond = books.get_standing_bond(task.requester)
    books.emit(
        Settled(
            task=task.id,
            round=task.round,
            executor=executor,
            grade=verdict.grade,
            price=paid,
            rater=task.requester,
            allowance=compute_allowance(bond, books.parameters.bond_min),
            moves=moves
            + compute_moves(
                (task.requester, "escrow", executor, "free", paid + bonus),
                (task.requester, "escrow", COMMON, "burned", burned),
                (executor, "locked", COMMON, "burned", slashed),
                (executor, "locked", executor, "free", task.deposit - slashed),
            ),
        )
    )
    return verdict.grade


def _end_settled(
    books: Books, task: Task, output: bytes, right: list[bytes], winner: bytes | None
) -> None:
    """Pay the verifiers that were right and give the rest of the escrow back."""
    fee = compute_share(task.budget, books.parameters.verifier_fee_ppm)
    rest = task.escrow - fee * len(right)
    moves = compute_moves(
        *((task.requester, "escrow", verifier, "free", fee) for verifier in right),
        (task.requester, "escrow", task.requester, "free", rest),
    )
    end_task(books, task, "settled", moves, output=output, winner=winner)


def _end_agreement(books: Books, task: Task) -> bytes:
    """The executor, which has room for one more agreement from now on."""
    assert task.executor is not None
    books.agents[task.executor].active -= 1
    return task.executor

"""From an agreement to a result: sealed results, the draw of verifiers, the vote.

The executor seals its result before its verifiers are drawn, and everybody seals before anybody
opens, so nobody can choose its judges or copy them. t = max(2, f+1) identical results of distinct
members are the result: one of them is honest.
"""

from crdt.facts import Phase, VerifiersDrawn, WorkClosed, WorkCommitted, WorkFailed, WorkRevealed
from protocols.auction.commit_reveal import compute_draw, compute_work_commitment
from protocols.economy.books import Books
from protocols.economy.contracts import count_holders, find_round
from protocols.economy.model import (
    COMMIT_STAGES,
    REVEAL_STAGES,
    OrderedOperation,
    Refused,
    Task,
    Work,
)
from protocols.economy.operations import RevealWork, WorkCommitment, WorkOpening
from protocols.economy.outputs import begin_delivery
from protocols.economy.settlement import Result, end_undecided, fail_round, settle
from protocols.economy.slashing import pause
from protocols.economy.terms import compute_lease_ms
from protocols.genesis import PPM


def commit_work(books: Books, signer: bytes, item: WorkCommitment) -> None:
    """Take a sealed result or a failure. Raises Refused."""
    task = find_round(books, item.task, item.round)
    if (item.commitment is None) == (item.failure is None):
        raise Refused("commitment_or_failure")
    if signer not in task.waiting or task.stage not in COMMIT_STAGES:
        raise Refused("too_late" if signer in (task.executor, *task.verifiers) else "not_drawn")
    task.works[signer] = Work(item.commitment)
    if item.commitment is not None:
        books.emit(
            WorkCommitted(task=task.id, round=task.round, party=signer, commitment=item.commitment)
        )
    else:
        assert item.failure is not None
        books.emit(WorkFailed(task=task.id, round=task.round, party=signer, reason=item.failure))
    if task.stage == "lease":
        task.committed_ms = books.time_ms
    books.hear(task, signer)


def reveal_works(
    books: Books, ordered: OrderedOperation, body: RevealWork
) -> list[tuple[int, str]]:
    """Open sealed results, each on its own. Raises Refused for receipts that are none."""
    holders = count_holders(books, body.receipts)
    rejected = []
    for index, item in enumerate(body.works):
        try:
            _reveal_work(books, ordered.signer, item, holders.get(item.output, set()))
        except Refused as refused:
            rejected.append((index, refused.reason))
    return rejected


def _reveal_work(books: Books, signer: bytes, item: WorkOpening, holders: set[bytes]) -> None:
    """Open a sealed result; signing it also says that the signer holds the bytes. Where nobody
    runs it again, f+1 members must have said so. Raises Refused."""
    task = find_round(books, item.task, item.round)
    is_delivery = task.stage == "delivery"
    if not is_delivery and (task.stage not in REVEAL_STAGES or task.verification == "judged"):
        raise Refused("too_early")
    if signer not in task.waiting:
        raise Refused("nothing_to_reveal")
    if is_delivery:
        holders = holders | ({signer} if books.committee.is_member(signer) else set())
        if len(holders) <= books.committee.f:
            raise Refused("output_not_held")
    place = books.committee
    seal = compute_work_commitment(
        place.network,
        place.id,
        task.id,
        task.round,
        signer,
        item.output,
        item.output_bytes,
        item.salt,
    )
    work = task.works[signer]
    if seal != work.commitment:
        raise Refused("commitment_mismatch")
    work.output, work.output_bytes = item.output, item.output_bytes
    if is_delivery:
        task.holders = tuple(sorted(holders))
    books.emit(
        WorkRevealed(
            task=task.id,
            round=task.round,
            party=signer,
            output=item.output,
            output_bytes=item.output_bytes,
        )
    )
    books.hear(task, signer)


def close_lease(books: Books, task: Task) -> None:
    """The executor sealed its result, failed, or let its lease pass."""
    executor = task.executor
    assert executor is not None
    work = task.works.get(executor)
    if work is None:
        pause(books, executor)
        fail_round(books, task, books.parameters.timeout_slash_ppm)
    elif work.commitment is None:
        fail_round(books, task, books.parameters.failure_slash_ppm)
    elif task.verification != "exact" or not _is_audited(books, task):
        begin_delivery(books, task)
    else:
        needed = books.agreeing_min - books.committee.is_member(executor)
        _draw(books, task, needed, escalated=False)


def close_work(books: Books, task: Task) -> None:
    """The verifiers sealed their results, or the silent ones are proven late: open them."""
    for verifier in tuple(task.waiting):
        pause(books, verifier)
    escalated = task.stage == "extra_commit"
    parties = [
        party
        for party, work in task.works.items()
        if work.commitment is not None and work.output is None and not books.is_banned(party)
    ]
    books.enter_stage(
        task,
        "extra_reveal" if escalated else "work_reveal",
        parties,
        books.parameters.reveal_phase_ms,
    )
    books.emit(WorkClosed(task=task.id, round=task.round, deadline_ms=task.stage_deadline_ms))


def evaluate(books: Books, task: Task) -> None:
    """All results that will ever be opened are: accept one, ask more members, or give up."""
    for party in tuple(task.waiting):
        pause(books, party)
        task.works[party].commitment = None  # nobody opens late, after having seen the others
    found = _find_agreement(books, task)
    if found is not None:
        settle(books, task, *found)
        return
    room = task.draws_max - len(task.verifiers)
    if task.stage == "work_reveal" and room > 0 and _list_pool(books, task):
        _draw(books, task, books.committee.n, escalated=True)
        return
    executor = task.executor
    assert executor is not None
    if task.works[executor].output is None:
        fail_round(books, task, books.parameters.timeout_slash_ppm)
    else:
        end_undecided(books, task)


def _draw(books: Books, task: Task, count: int, *, escalated: bool) -> None:
    count = min(count, task.draws_max - len(task.verifiers))
    drawn = tuple(sorted(_list_pool(books, task)[: max(0, count)]))
    task.verifiers += drawn
    stage: Phase = "extra_commit" if escalated else "work_commit"
    # A verifier does the executor's work again.
    books.enter_stage(task, stage, drawn, compute_lease_ms(books.parameters, task.terms))
    books.emit(
        VerifiersDrawn(
            task=task.id,
            round=task.round,
            seed=books.seed,
            verifiers=drawn,
            escalated=escalated,
            deadline_ms=task.stage_deadline_ms,
        )
    )


def _is_audited(books: Books, task: Task) -> bool:
    """Drawn by the batch that holds the executor's seal: with the probability that it agreed to,
    others run it again."""
    subject = b"audit" + task.id + task.round.to_bytes(2)
    drawn = int.from_bytes(compute_draw(books.seed, subject, b"")[:8])
    return drawn * PPM >> 64 < task.terms.audit_ppm


def _list_pool(books: Books, task: Task) -> list[bytes]:
    """Members that may still be drawn, in the order of the draw. Who failed this task, or is
    paused, comes last: a fee for verifying others must not make up for failing."""
    pool = [
        key
        for key in books.list_eligible(task.capability, task.requester)
        if books.committee.is_member(key) and key != task.executor and key not in task.verifiers
    ]
    subject = task.id + task.round.to_bytes(2)
    pool.sort(
        key=lambda key: (
            key in task.excluded,
            books.agents[key].paused,
            compute_draw(books.seed, subject, key),
        )
    )
    return pool


def _find_agreement(books: Books, task: Task) -> tuple[Result, tuple[bytes, ...]] | None:
    """The one result that t members opened, and who did. With two such results more than f
    members lie, and no answer would be safe."""
    votes: dict[Result, list[bytes]] = {}
    for party, work in sorted(task.works.items()):
        counts = books.committee.is_member(party) and not books.is_banned(party)
        if work.output is not None and counts:
            votes.setdefault((work.output, work.output_bytes), []).append(party)
    agreed = [
        (result, tuple(parties))
        for result, parties in votes.items()
        if len(parties) >= books.agreeing_min
    ]
    return agreed[0] if len(agreed) == 1 else None

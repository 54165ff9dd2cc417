"""Judged results: a paid panel seals integer scores, opens them, and the median decides.

Judges are drawn after the executor's output is fixed and held, by the same rule as verifiers. One
that is far off the median is not paid: an opinion is no lie, so no bond burns for it.
"""

from crdt.facts import Judged, Phase, ScoreRevealed, VerifiersDrawn
from protocols.auction.commit_reveal import compute_draw, compute_score_commitment
from protocols.economy.books import Books
from protocols.economy.contracts import find_round
from protocols.economy.model import REVEAL_STAGES, Refused, Task
from protocols.economy.operations_tasks import ScoreOpening
from protocols.economy.settlement import (
    compute_verdict,
    end_undecided,
    fail_judged,
    settle_undisputed,
)
from protocols.economy.slashing import pause
from protocols.economy.terms import DRAWS_PER_ROUND


def draw(books: Books, task: Task, *, escalated: bool) -> None:
    """Ask a panel; escalated, as many again."""
    room = min(DRAWS_PER_ROUND * task.terms.panel, task.draws_max) - len(task.verifiers)
    count = max(0, min(task.terms.panel, room))
    drawn = tuple(sorted(_list_candidates(books, task)[:count]))
    task.verifiers += drawn
    stage: Phase = "extra_commit" if escalated else "work_commit"
    books.enter_stage(task, stage, drawn, books.parameters.work_phase_ms)
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


def reveal_score(books: Books, signer: bytes, item: ScoreOpening) -> None:
    """Open a sealed score. Raises Refused."""
    task = find_round(books, item.task, item.round)
    if task.verification != "judged":
        raise Refused("not_judged")
    if task.stage not in REVEAL_STAGES:
        raise Refused("too_early")
    if signer not in task.waiting:
        raise Refused("nothing_to_reveal")
    place, work = books.committee, task.works[signer]
    seal = compute_score_commitment(
        place.network, place.id, task.id, task.round, signer, item.score, item.salt
    )
    if seal != work.commitment:
        raise Refused("commitment_mismatch")
    work.score = item.score
    books.emit(ScoreRevealed(task=task.id, round=task.round, party=signer, score=item.score))
    books.hear(task, signer)


def evaluate(books: Books, task: Task) -> None:
    """All scores that will ever be opened are: grade, ask more judges, or give up."""
    for party in tuple(task.waiting):
        pause(books, party)
        task.works[party].commitment = None  # nobody opens late, after having seen the others
    scores = {
        judge: work.score
        for judge, work in sorted(task.works.items())
        if work.score is not None and not books.is_banned(judge)
    }
    if len(scores) <= task.terms.panel // 2:
        room = min(DRAWS_PER_ROUND * task.terms.panel, task.draws_max) - len(task.verifiers)
        if task.stage == "work_reveal" and room > 0 and _list_candidates(books, task):
            draw(books, task, escalated=True)
        else:
            end_undecided(books, task)
        return
    rules = books.parameters
    median = sorted(scores.values())[(len(scores) - 1) // 2]
    agreeing = tuple(
        judge for judge, score in scores.items() if abs(score - median) <= rules.score_tolerance
    )
    books.emit(Judged(task=task.id, round=task.round, score=median, agreeing=agreeing))
    if median < rules.score_poor:
        fail_judged(books, task, agreeing)
        return
    verdict = compute_verdict(books, task, is_excellent=median >= rules.score_excellent)
    if median < rules.score_satisfactory:
        verdict = verdict.degrade(rules)
    settle_undisputed(books, task, verdict, agreeing)


def _list_candidates(books: Books, task: Task) -> list[bytes]:
    """Agents that may still be drawn, in the order of the draw. Members come first: a stranger may
    be as many agents as it has bonds for, and an opinion costs none of them. Who failed this task
    does not judge it: that would be paid better than doing it."""
    candidates = [
        key
        for key in books.list_eligible(task.capability, task.requester, task.terms.verification)
        if key not in (task.executor, *task.verifiers, *task.excluded)
    ]
    subject = task.id + task.round.to_bytes(2)
    candidates.sort(
        key=lambda key: (
            not books.committee.is_member(key),
            books.agents[key].paused,
            compute_draw(books.seed, subject, key),
        )
    )
    return candidates

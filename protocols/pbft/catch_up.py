"""Retransmission and catching up: how a member that missed something gets it.

Members tell each other where they stand (`Status`), at leisure when all is well and soon when
they are stuck. Whoever is ahead repeats its own statements for the slots that are still open.
What is already committed is fetched from a peer's ledger, each batch with q COMMITs over its
digest: nothing that a peer merely claims, its height included, is believed. A peer that does not
answer a fetch is left alone for a while and another one is asked.
"""

from identity.errors import InvalidBytes
from protocols.messages import (
    VOTES_MAX,
    Batches,
    FetchBatches,
    Status,
    Votes,
    compute_batch_digest,
)
from protocols.pbft.core import Core, Load
from protocols.pbft.proof import check_commit_proof
from protocols.step import Fault, Send, ServeBatches, Step

STATUS_STUCK_MS = 300
STATUS_IDLE_MS = 1_000
"""Less than HEARD_MS_MAX: members with nothing to do count as connected all the time."""
RESEND_MS = 200
FETCH_TIMEOUT_MS = 2_000
SHUN_MS = 10_000
RESEND_SLOTS_MAX = 32


class CatchUp:
    """One member's exchange of positions with the others of its committee."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._progress: tuple[int, ...] = ()
        self._next_status_ms = 0
        self._resend_after_ms: dict[bytes, int] = {}
        self._shunned_until_ms: dict[bytes, int] = {}
        self._fetch: tuple[bytes, int] | None = None
        self._claims: dict[bytes, int] = {}
        self._ahead: tuple[bytes, int] | None = None
        """The last peer that said that it executed more than this one, and how far it is."""

    def is_behind(self) -> bool:
        """True while f+1 members say that they executed more than this one: one of them is
        honest."""
        claims = sorted(self._claims.values(), reverse=True)
        f = self._core.committee.f
        return len(claims) > f and claims[f] > self._core.executed

    def on_timer(self, now_ms: int) -> Step:
        """Tell where we stand when it is time to; says when to be called again."""
        step = Step()
        core = self._core
        if self._fetch is not None and now_ms >= self._fetch[1]:
            self._shunned_until_ms[self._fetch[0]] = now_ms + SHUN_MS
            self._fetch = None
        progress = (core.executed, core.heads.certified, core.checkpoints.low)
        is_stuck = self._is_waiting() and progress == self._progress
        if is_stuck or now_ms >= self._next_status_ms:
            step.sends.append(Send(None, self._get_status(is_stuck)))
            self._next_status_ms = now_ms + STATUS_IDLE_MS
        self._progress = progress
        core.memory.on_timer(now_ms, step)
        if not self.is_behind():
            core.on_timer(now_ms, step)
        step.wake(now_ms + (STATUS_STUCK_MS if self._is_waiting() else STATUS_IDLE_MS))
        deadline = core.application.get_next_deadline_ms()
        if deadline is not None and core.is_primary:
            delay = deadline - core.clock.estimate_ms(now_ms)
            step.wake(now_ms + max(delay, STATUS_STUCK_MS // 6))
        return step

    def on_status(self, peer: bytes, status: Status, now_ms: int) -> Step:
        step = Step()
        core = self._core
        if core.committee.is_member(peer):
            self._claims[peer] = status.executed
        epoch = core.committee.epoch
        if status.executed > core.executed:
            self._ahead = peer, status.executed
        if status.executed > core.executed or status.epoch > epoch:
            self._start_fetch(peer, now_ms, step)
        if now_ms < self._resend_after_ms.get(peer, 0):
            return step
        self._resend_after_ms[peer] = now_ms + RESEND_MS
        if not core.committee.is_member(peer) or status.epoch != epoch:
            # Members of this epoch send it nothing unasked, so it learns here that it is behind.
            if (status.epoch, status.executed) < (epoch, core.executed):
                step.sends.append(Send(peer, self._get_status(False)))
        elif status.waiting:
            core.views.resend(peer, status.view, status.active, step)
            self._resend(peer, status, step)
        return step

    def on_other_epoch(self, peer: bytes, epoch: int, now_ms: int) -> Step:
        """A message of another epoch: nothing of it is believed, but one of the two is behind."""
        step = Step()
        if epoch > self._core.committee.epoch:
            self._start_fetch(peer, now_ms, step)
        elif now_ms >= self._resend_after_ms.get(peer, 0):
            self._resend_after_ms[peer] = now_ms + RESEND_MS
            step.sends.append(Send(peer, self._get_status(False)))
        return step

    def follow(self, former: "CatchUp", now_ms: int, step: Step) -> None:
        """In a new epoch, go on with the peer that was ahead in the former one."""
        if former._ahead is not None and former._ahead[1] > self._core.executed:
            self._ahead = former._ahead
            self._start_fetch(self._ahead[0], now_ms, step)

    def on_fetch(self, peer: bytes, fetch: FetchBatches) -> Step:
        step = Step()
        if fetch.start <= self._core.executed:
            step.serve.append(ServeBatches(self._core.committee.id, peer, max(fetch.start, 1)))
        return step

    def on_batches(self, peer: bytes, answer: Batches, load: Load, now_ms: int) -> Step:
        """Execute the batches that are proven and next in order, up to the first that is not or
        to the end of the epoch, whose certificate is taken, too."""
        step = Step()
        core = self._core
        if self._fetch is None or self._fetch[0] != peer:
            return step
        self._fetch = None
        before = core.executed, core.heads.certified
        try:
            for batch in answer.batches:
                if core.end is None and batch.seq == core.executed + 1:
                    requests = load(batch.operations)
                    digest = compute_batch_digest(batch.time_ms, [r.digest for r in requests])
                    check_commit_proof(core.committee, batch.seq, digest, batch.proof, core.check)
                    core.execute(batch.seq, batch.time_ms, requests, batch.proof, now_ms, step)
                if batch.seq == core.end and batch.certificate:
                    core.heads.accept(batch.certificate, step)
        except InvalidBytes as error:
            # What was executed before stands, and its step must reach the ledger.
            step.faults.append(Fault(peer, str(error)))
            self._shunned_until_ms[peer] = now_ms + SHUN_MS
        if (core.executed, core.heads.certified) != before:
            core.execute_ready(now_ms, step)
            if core.end is None and core.executed < self._claims.get(peer, 0):
                self._start_fetch(peer, now_ms, step)
        else:
            self._shunned_until_ms[peer] = now_ms + SHUN_MS
        return step

    def _start_fetch(self, peer: bytes, now_ms: int, step: Step) -> None:
        core = self._core
        if self._fetch is not None or now_ms < self._shunned_until_ms.get(peer, 0):
            return
        self._fetch = (peer, now_ms + FETCH_TIMEOUT_MS)
        start = core.executed + 1 if core.end is None else core.end  # once more, certified by now
        fetch = FetchBatches(committee=core.committee.id, start=start)
        step.sends.append(Send(peer, fetch))
        step.wake(now_ms + FETCH_TIMEOUT_MS)

    def _is_waiting(self) -> bool:
        core = self._core
        if core.end is not None:
            return True
        if not core.is_member:
            return len(core.pool) > 0 or self.is_behind()
        return (
            len(core.pool) > 0
            or not core.views.is_active
            or not core.memory.is_settled
            or core.executed + 1 in core.slots
            or core.heads.certified < core.executed
            or core.checkpoints.is_pending()
            or self.is_behind()
        )

    def _get_status(self, is_stuck: bool) -> Status:
        core = self._core
        return Status(
            committee=core.committee.id,
            epoch=core.committee.epoch,
            view=core.view,
            active=core.views.is_active,
            stable=core.checkpoints.low,
            executed=core.executed,
            certified=core.heads.certified,
            waiting=is_stuck,
        )

    def _resend(self, peer: bytes, status: Status, step: Step) -> None:
        core = self._core
        votes: list[bytes] = []
        for seq in range(status.executed + 1, status.executed + 1 + RESEND_SLOTS_MAX):
            slot = core.slots.get(seq)
            if slot is None or slot.proposal is None:
                continue
            step.sends.append(Send(peer, slot.proposal.hop))
            votes += [s.data for s in (slot.own_prepare, slot.own_commit) if s is not None]
        newest = core.heads.get_newest()
        if newest is not None and status.certified < core.executed:
            votes.append(newest)
        if status.stable < core.checkpoints.low or core.checkpoints.low < core.executed:
            votes += core.checkpoints.get_statements()
        if votes:
            statements = tuple(votes[:VOTES_MAX])
            step.sends.append(Send(peer, Votes(committee=core.committee.id, statements=statements)))

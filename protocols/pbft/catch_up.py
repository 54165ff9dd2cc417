"""Retransmission and catching up: how a member that missed something gets it.

Members tell each other where they stand (`Status`), at leisure when all is well and soon when
they are stuck. Whoever is ahead repeats its own statements for the slots that are still open.
What is already committed is fetched from a peer's ledger, each batch with q COMMITs over its
digest: nothing that a peer merely claims, its height included, is believed. A peer that does not
answer a fetch is left alone for a while and another one is asked. Who is very far behind, or finds
nobody who still holds the batches, fetches a state instead (`state_transfer.py`).
"""

from collections.abc import Collection

from identity.errors import InvalidBytes
from protocols.messages import (
    VOTES_MAX,
    Batches,
    FetchBatches,
    GiveState,
    OfferState,
    Status,
    Votes,
    compute_batch_digest,
)
from protocols.pbft.core import Core, Load
from protocols.pbft.proof import check_commit_proof
from protocols.pbft.state_server import StateServer
from protocols.pbft.state_transfer import StateTransfer
from protocols.step import Fault, Send, ServeBatches, Step

STATUS_STUCK_MS = 300
STATUS_IDLE_MS = 1_000
"""Less than HEARD_MS_MAX: members with nothing to do count as connected all the time."""
RESEND_MS = 200
FETCH_TIMEOUT_MS = 2_000
SHUN_MS = 10_000
RESEND_SLOTS_MAX = 32
CLAIMS_WAIT_MS = 1_000
TRANSFER_WINDOWS_MIN = 4
"""So many windows behind, the state is fetched instead of the batches: 800 batches at K = 100."""


class CatchUp:
    """One member's exchange of positions with the others of its committee."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._progress: tuple[int, ...] = ()
        self._next_status_ms = 0
        self._stuck_after_ms = 0
        self._complained: int | None = None
        self._resend_after_ms: dict[bytes, int] = {}
        self._shunned_until_ms: dict[bytes, int] = {}
        self._fetch: tuple[bytes, int] | None = None
        self._claims: dict[bytes, int] = {}
        self._ahead: tuple[bytes, int] | None = None
        """The last peer that said that it executed more than this one, and how far it is."""
        self._same_epoch: set[bytes] = set()
        """Members whose last claim was of this epoch: their states can be proven here."""
        self._claims_until_ms: int | None = None
        self._lacking: set[bytes] = set()
        """Members that did not give the batch that comes next."""
        self.transfer_batches_min = TRANSFER_WINDOWS_MIN * core.checkpoints.window
        """Who is further behind than this fetches a state."""
        self.transfer = StateTransfer(core)
        self.server = StateServer(core)

    def is_behind(self) -> bool:
        """True while f+1 members say that they executed more than this one: one of them is
        honest."""
        return self._get_lead(self._claims) > 0

    def _get_lead(self, members: Collection[bytes]) -> int:
        """How far ahead f+1 of these members say they are."""
        claims = sorted((self._claims[member] for member in members), reverse=True)
        f = self._core.committee.f
        return claims[f] - self._core.executed if len(claims) > f else 0

    def on_timer(self, now_ms: int) -> Step:
        """Tell where we stand when it is time to; says when to be called again."""
        step = Step()
        core = self._core
        if self._fetch is not None and now_ms >= self._fetch[1]:
            self._give_up(self._fetch[0], now_ms)
            self._fetch = None
        self._seek_state(now_ms, step)
        before = core.executed
        self.transfer.on_timer(now_ms, step)
        self._go_on_after(before, now_ms, step)
        progress = (core.executed, core.heads.certified, core.checkpoints.low)
        is_stuck = (
            self._is_waiting() and progress == self._progress and now_ms >= self._stuck_after_ms
        )
        if is_stuck or progress != self._progress:
            self._stuck_after_ms = now_ms + STATUS_STUCK_MS
        complained = core.view if core.suspicion.has_reason(now_ms) else None
        if is_stuck or now_ms >= self._next_status_ms or complained != self._complained:
            step.sends.append(Send(None, self._get_status(is_stuck, now_ms)))
            self._next_status_ms = now_ms + STATUS_IDLE_MS
        self._progress, self._complained = progress, complained
        core.memory.on_timer(now_ms, step)
        if not self.is_behind():
            core.on_timer(now_ms, step)
        step.wake(now_ms + (STATUS_STUCK_MS if self._is_waiting() else STATUS_IDLE_MS))
        step.wake(core.suspicion.get_due_ms(now_ms))
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
        complains = status.complains and status.epoch == epoch
        core.suspicion.on_complaint(peer, status.view if complains else None, now_ms, step)
        if peer in self._claims and status.epoch == epoch:
            self._same_epoch.add(peer)
        else:
            self._same_epoch.discard(peer)
        if status.executed > core.executed:
            self._ahead = peer, status.executed
        if status.executed > core.executed or status.epoch > epoch:
            self._seek_state(now_ms, step)
            self._start_fetch(peer, now_ms, step)
        elif self._lacks_certificate(status):
            self._start_fetch(peer, now_ms, step, start=core.executed)
        if now_ms < self._resend_after_ms.get(peer, 0):
            return step
        self._resend_after_ms[peer] = now_ms + RESEND_MS
        if (status.epoch, status.executed) < (epoch, core.executed) or (
            # Votes go to members only: who follows learns that there is a certificate to fetch.
            not core.committee.is_member(peer)
            and status.certified < status.executed <= core.heads.certified
        ):
            # It learns at once that it is behind; no member's is sent nothing else unasked.
            step.sends.append(Send(peer, self._get_status(False, now_ms)))
        if core.committee.is_member(peer) and status.epoch == epoch and status.waiting:
            core.views.resend(peer, status.view, status.active, step)
            self._resend(peer, status, step)
        return step

    def _lacks_certificate(self, status: Status) -> bool:
        """True when this node only follows, and a peer holds the certificate of its last batch."""
        core = self._core
        is_same = (status.epoch, status.executed) == (core.committee.epoch, core.executed)
        return (
            is_same
            and not core.is_member
            and core.heads.certified < core.executed
            and status.certified == core.executed
        )

    def on_other_epoch(self, peer: bytes, epoch: int, now_ms: int) -> Step:
        """A message of another epoch: nothing of it is believed, but one of the two is behind."""
        step = Step()
        if epoch > self._core.committee.epoch:
            self._start_fetch(peer, now_ms, step)
        elif now_ms >= self._resend_after_ms.get(peer, 0):
            self._resend_after_ms[peer] = now_ms + RESEND_MS
            step.sends.append(Send(peer, self._get_status(False, now_ms)))
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
        to the end of the epoch. Certificates that come with them are taken, too."""
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
                    core.suspicion.pace.skip(now_ms)
                if batch.seq == core.executed and batch.certificate:
                    core.heads.accept(batch.certificate, step)
        except InvalidBytes as error:
            # What was executed before stands, and its step must reach the ledger.
            step.faults.append(Fault(peer, str(error)))
            self._give_up(peer, now_ms)
        if (core.executed, core.heads.certified) != before:
            self._lacking.clear()
            core.execute_ready(now_ms, step)
            if core.suspicion.has_reason(now_ms):
                step.wake(now_ms)
            if core.end is None and core.executed < self._claims.get(peer, 0):
                self._start_fetch(peer, now_ms, step)
        else:
            self._give_up(peer, now_ms)
            self._seek_state(now_ms, step)
        return step

    def on_chunk(self, peer: bytes, given: GiveState, now_ms: int) -> Step:
        """A chunk of the state that is fetched. After the last one batches follow."""
        before = self._core.executed
        step = self.transfer.on_chunk(peer, given, now_ms)
        self._go_on_after(before, now_ms, step)
        return step

    def on_offer(self, peer: bytes, offer: OfferState, now_ms: int) -> Step:
        """A state that a member holds. Raises InvalidBytes for an offer that is not proven."""
        before = self._core.executed
        step = self.transfer.on_offer(peer, offer, now_ms)
        self._go_on_after(before, now_ms, step)
        return step

    def _go_on_after(self, before: int, now_ms: int, step: Step) -> None:
        """Fetch batches at once if a state was loaded: `before` was executed until then."""
        if self._core.executed > before:
            self._lacking.clear()
            self._shunned_until_ms.clear()
            for member, claim in self._claims.items():
                if claim > self._core.executed:
                    self._start_fetch(member, now_ms, step)

    def _give_up(self, peer: bytes, now_ms: int) -> None:
        """It did not give the batch that comes next."""
        self._shunned_until_ms[peer] = now_ms + SHUN_MS
        if self._core.committee.is_member(peer):
            self._lacking.add(peer)

    def _seek_state(self, now_ms: int, step: Step) -> None:
        """Fetch a state when the batches are too many, or when none of the members that say they
        are ahead, f+1 at least, has given the next one."""
        core, lead = self._core, self._get_lead(self._same_epoch)
        if core.end is not None or lead <= 0:
            return
        if lead > self.transfer_batches_min:
            gain_min = min(core.checkpoints.window, self.transfer_batches_min)
            self.transfer.seek(gain_min, now_ms, step)
        elif {p for p, claim in self._claims.items() if claim > core.executed} <= self._lacking:
            self.transfer.seek(1, now_ms, step)

    def _waits_for_claims(self, now_ms: int) -> bool:
        """True for a moment when one member says that this one is far behind: f+1 must say so
        before a state is fetched, and batches would be in vain."""
        claims, core = self._claims.values(), self._core
        if len(claims) > core.committee.f or not claims:
            return False
        if max(claims) - core.executed <= self.transfer_batches_min:
            return False
        if self._claims_until_ms is None:
            self._claims_until_ms = now_ms + CLAIMS_WAIT_MS
        return now_ms < self._claims_until_ms

    def _start_fetch(
        self, peer: bytes, now_ms: int, step: Step, *, start: int | None = None
    ) -> None:
        """Ask for the batches from `start` on; without it, for those that come next."""
        core = self._core
        if self.transfer.is_active or self._waits_for_claims(now_ms):
            return
        if self._fetch is not None or now_ms < self._shunned_until_ms.get(peer, 0):
            return
        self._fetch = (peer, now_ms + FETCH_TIMEOUT_MS)
        if start is None:  # the end of an epoch once more, certified by now
            start = core.executed + 1 if core.end is None else core.end
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

    def _get_status(self, is_stuck: bool, now_ms: int) -> Status:
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
            complains=core.suspicion.has_reason(now_ms),
        )

    def _resend(self, peer: bytes, status: Status, step: Step) -> None:
        core = self._core
        votes: list[bytes] = []
        wanted = range(status.executed + 1, status.executed + 1 + RESEND_SLOTS_MAX)
        for slot in [core.slots[seq] for seq in sorted(core.slots) if seq in wanted]:
            if slot.proposal is None:
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

"""The consensus core of one committee: the normal case of PBFT (sections 4.2 to 4.4).

    client ──operation──► every member (pool)
    primary: PRE-PREPARE(view, seq, digest) + batch
    backup:  PREPARE      when it accepts the proposal              [accepted is durable]
    member:  COMMIT       at a proposal and q-1 backups' PREPAREs   [prepared is durable]
    member:  executes     at q COMMITs, in order of seq, and signs the log's new head

A slot's votes are counted by distinct signer and equal digest (`quorum.py`). A proposal counts as
its primary's prepare. The agreed time of a batch is the median of readings in COMMITs
(`clock.py`). Checkpoints, catching up and view changes stand in files of their own.

`Core` owns no clock: `now_ms` is for timers and never jumps; with `clock.offset_ms`, what the wall
clock says beyond it, it is the member's reading of the time. Inputs that are late, early or
repeated change nothing; what no honest member sends raises InvalidBytes, and the caller blames the
peer it came from.
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

from crdt.log import Head
from identity import envelope, schema
from identity.envelope import Context, Statement
from identity.errors import InvalidBytes, InvalidSchema
from identity.keys import PrivateKey
from protocols.committee import Committee
from protocols.messages import (
    BATCH_BYTES_MAX,
    BATCH_OPERATIONS_MAX,
    COMMIT_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    VOTE_BYTES_MAX,
    Checkpoint,
    Commit,
    Prepare,
    PreparedProof,
    PrePrepare,
    Propose,
    compute_batch_digest,
)
from protocols.pbft.application import Application
from protocols.pbft.checkpoint import SNAPSHOT_CHECKPOINTS, Checkpoints
from protocols.pbft.clock import ClockReadings
from protocols.pbft.epoch import find_end, note_end
from protocols.pbft.heads import Heads
from protocols.pbft.memory import Memory
from protocols.pbft.pool import Pool, Request
from protocols.pbft.quorum import Check
from protocols.pbft.reproposals import Reproposals
from protocols.pbft.slot import Prepared, PreparedRow, Proposal, Slot
from protocols.pbft.suspicion import Suspicion
from protocols.pbft.view_change import ViewChanger
from protocols.step import Equivocation, Executed, Persist, Send, Step

PIPELINE_MAX = 4
"""Proposals of a primary that may be unexecuted at once. Batches grow while it is full."""
UNCERTIFIED_MAX = 64
"""Positions beyond the last certified head that a primary proposes, so that what a view change
has to carry stays small."""
PIPELINE_EARLY_OPERATIONS = 128
"""With something in flight, a primary waits for this many requests before it proposes more."""

Load = Callable[[Sequence[bytes]], tuple[Request, ...]]
"""Verifies operations; raises InvalidBytes for the first that is not valid."""


class Core:
    """One member's part in one committee at one epoch."""

    def __init__(
        self,
        committee: Committee,
        key: PrivateKey,
        application: Application,
        check: Check,
        *,
        checkpoint_batches: int,
        snapshot_checkpoints: int = SNAPSHOT_CHECKPOINTS,
    ) -> None:
        self.committee = committee
        self.key = key
        self.application = application
        self.view = 0
        self.end = find_end(committee, application)
        """The position that decided the next epoch's members, once it is executed."""
        self.pool = Pool(application.get_next_nonce)
        self.clock = ClockReadings(committee)
        self.views = ViewChanger(self)
        self.suspicion = Suspicion(self)
        self.again = Reproposals(self)
        self.memory = Memory(self)
        self.checkpoints = Checkpoints(self, checkpoint_batches, snapshot_checkpoints)
        self.heads = Heads(self)
        self.check = check
        self.slots: dict[int, Slot] = {}
        self.durable = application.get_position()
        self.next_seq = self.durable + 1

    # --- what it is ---------------------------------------------------------------------------

    @property
    def me(self) -> bytes:
        return self.key.public

    @property
    def is_member(self) -> bool:
        return self.committee.is_member(self.me)

    @property
    def is_primary(self) -> bool:
        return self.committee.get_primary(self.view) == self.me

    @property
    def executed(self) -> int:
        return self.application.get_position()

    def sign(self, kind: str, payload: msgspec.Struct) -> Statement:
        place = Context(self.committee.network, self.committee.id, self.committee.epoch, kind)
        return envelope.sign(self.key, place, schema.encode(payload))

    # --- inputs -------------------------------------------------------------------------------

    def on_requests(self, requests: Iterable[Request], now_ms: int) -> Step:
        """Verified operations to be ordered."""
        step = Step()
        for request in requests:
            if self.application.admit(request.signer, request.operation) is None:
                self.pool.add(request, now_ms)
        self.propose(now_ms, step)
        self.suspicion.on_waiting(now_ms, step)
        return step

    def on_propose(self, statement: Statement, hop: Propose, load: Load, now_ms: int) -> Step:
        """A proposal. `load` verifies its operations, after the cheap checks. Raises
        InvalidBytes."""
        step = Step()
        message = schema.decode(statement.payload, PrePrepare, size_max=VOTE_BYTES_MAX)
        if not self._is_acceptable(statement, message):
            return step
        slot = self.get_slot(message.seq)
        if slot.proposal is not None:
            if slot.proposal.message.digest != message.digest:
                self.check(statement)
                step.evidence.append(Equivocation(slot.proposal.statement, statement))
            return step
        self.check(statement)
        expected = self.views.expected.get(message.seq)
        if expected not in (None, message.digest):
            return step  # no blame: a lying primary shows another NEW-VIEW to whoever passed it on
        requests = load(hop.operations)
        if message.digest != compute_batch_digest(hop.time_ms, [r.digest for r in requests]):
            raise InvalidSchema("the proposal's digest is not its batch's")
        if expected is None:
            try:
                self.clock.check(hop, message.seq, self.checkpoints.window, self.check)
            except InvalidBytes:
                if self.view == 0:
                    raise
                return step  # no blame, either: under another NEW-VIEW it needs no readings
        slot.proposal = Proposal(message, statement, hop, requests)
        self.pool.note_proposed(requests)
        self._accept(slot, message, step)
        self._advance(slot, now_ms, step)
        return step

    def on_vote(
        self, statement: Statement, vote: object, step: Step, *, direct: bool, now_ms: int
    ) -> None:
        """A PREPARE, COMMIT, CHECKPOINT or head; `direct` when its signer delivered it itself.
        Raises InvalidBytes."""
        if not self.committee.is_member(statement.signer) or statement.signer == self.me:
            return
        match vote:
            case Prepare() | Commit():
                self._on_slot_vote(statement, vote, direct, now_ms, step)
            case Checkpoint():
                self.checkpoints.on_vote(statement, vote, direct, step)
            case Head():
                self.heads.on_vote(statement, vote, direct, step)
            case _:
                raise InvalidSchema("a proposal comes with its batch, not among votes")
        self.propose(now_ms, step)

    # --- proposing ----------------------------------------------------------------------------

    def propose(self, now_ms: int, step: Step) -> None:
        """Let the primary order what waits, as far as the pipeline and the window allow."""
        while self._may_propose():
            in_flight = self.next_seq - 1 - self.executed
            if in_flight >= PIPELINE_MAX:
                return
            if in_flight and len(self.pool) < PIPELINE_EARLY_OPERATIONS:
                return
            is_due = self._is_deadline_due(now_ms)
            if not (in_flight or is_due):
                if not len(self.pool):
                    return
                until_ms = self.pool.find_gathered_ms(now_ms, self.application.awaits_company)
                if until_ms is not None:
                    step.wake(until_ms)
                    return
            oldest = self.next_seq - self.checkpoints.window
            reading = self.clock.propose(oldest)
            if reading is None or self.clock.is_stale(oldest, now_ms):
                if in_flight:
                    return
                requests: list[Request] = []
            else:
                requests = self.pool.take(BATCH_OPERATIONS_MAX, BATCH_BYTES_MAX)
                if not requests and (in_flight or not is_due):
                    return
            time_ms, clock = reading or (0, ())
            seq, self.next_seq = self.next_seq, self.next_seq + 1
            self.propose_at(seq, requests, time_ms, clock, now_ms, step)

    def propose_at(
        self,
        seq: int,
        requests: Sequence[Request],
        time_ms: int,
        clock: tuple[bytes, ...],
        now_ms: int,
        step: Step,
    ) -> None:
        digest = compute_batch_digest(time_ms, [request.digest for request in requests])
        message = PrePrepare(self.view, seq, digest)
        statement = self.sign(PRE_PREPARE_KIND, message)
        hop = Propose(
            committee=self.committee.id,
            pre_prepare=statement.data,
            time_ms=time_ms,
            operations=tuple(request.data for request in requests),
            clock=clock,
        )
        slot = self.get_slot(seq)
        slot.proposal = Proposal(message, statement, hop, tuple(requests))
        self._accept(slot, message, step)
        step.sends.append(Send(None, hop))
        self._advance(slot, now_ms, step)

    def _may_propose(self) -> bool:
        return (
            self.is_primary
            and self.views.is_active
            and self.memory.may_sign()
            and self.again.is_done()
            and self.next_seq <= self.checkpoints.high
            and self.next_seq <= self.heads.certified + UNCERTIFIED_MAX
        )

    def _is_deadline_due(self, now_ms: int) -> bool:
        deadline = self.application.get_next_deadline_ms()
        return deadline is not None and deadline <= self.clock.estimate_ms(now_ms)

    # --- the normal case ----------------------------------------------------------------------

    def _is_acceptable(self, statement: Statement, message: PrePrepare) -> bool:
        return (
            message.view == self.view
            and self.views.is_active
            and statement.signer == self.committee.get_primary(self.view)
            and statement.signer != self.me
            and self._is_in_window(message.seq)
            and (message.seq > self.executed or message.seq in self.views.expected)
            and message.seq <= self.executed + 2 * UNCERTIFIED_MAX
        )

    def _is_in_window(self, seq: int) -> bool:
        return self.checkpoints.low < seq <= self.checkpoints.high

    def get_slot(self, seq: int) -> Slot:
        if seq not in self.slots:
            self.slots[seq] = Slot(seq)
        return self.slots[seq]

    def _accept(self, slot: Slot, message: PrePrepare, step: Step) -> None:
        """Make the proposal durable and, as a backup, vote for it."""
        if not self.is_member or not self.memory.may_sign():
            return
        assert slot.proposal is not None
        step.persist.append(self._row("accepted", message, schema.encode(slot.proposal.hop)))
        if not self.is_primary:
            self._vote(self.vote_prepare(slot, message), step)

    def vote_prepare(self, slot: Slot, message: PrePrepare) -> Statement:
        """The own PREPARE for an accepted proposal, counted in its slot."""
        vote = Prepare(message.view, message.seq, message.digest)
        slot.own_prepare = self.sign(PREPARE_KIND, vote)
        slot.prepares.add(slot.own_prepare, message.digest, is_verified=True, check=self.check)
        return slot.own_prepare

    def _on_slot_vote(
        self, statement: Statement, vote: Prepare | Commit, direct: bool, now_ms: int, step: Step
    ) -> None:
        if not self._is_in_window(vote.seq):
            return
        if vote.view > self.view or (vote.view == self.view and not self.views.is_active):
            self.views.keep_early(statement, vote, direct)
            return
        if vote.view < self.view:
            return
        slot = self.get_slot(vote.seq)
        if isinstance(vote, Prepare):
            if statement.signer == self.committee.get_primary(self.view):
                return
            tally, needed = slot.prepares, slot.own_commit is None
        else:
            tally, needed = slot.commits, slot.proof is None
        known = tally.has(statement.signer)
        if not direct and not known and needed:
            self.check(statement)
        elif not direct and not known:
            return
        is_verified = not (direct or known)  # add() checks what contradicts a known vote
        earlier = tally.add(statement, vote.digest, is_verified=is_verified, check=self.check)
        if earlier is not None:
            step.evidence.append(Equivocation(earlier, statement))
        if needed:
            self._advance(slot, now_ms, step)

    def _advance(self, slot: Slot, now_ms: int, step: Step) -> None:
        """Commit and execute what has become possible."""
        if slot.proposal is None:
            return
        if slot.own_commit is None:
            self._try_prepare(slot, slot.proposal.message, now_ms, step)
        if slot.proof is None:
            self._try_commit(slot, slot.proposal.message, now_ms)
        if slot.proof is not None:
            self.execute_ready(now_ms, step)

    def _try_prepare(self, slot: Slot, message: PrePrepare, now_ms: int, step: Step) -> None:
        if not self.is_member or not self.memory.may_sign():
            return
        backups = self.committee.q - 1
        prepares = slot.prepares.collect(message.digest, backups, self.check) if backups else {}
        if prepares is None:
            return
        vote = Commit(
            message.view, message.seq, message.digest, max(0, now_ms + self.clock.offset_ms)
        )
        slot.own_commit = self.sign(COMMIT_KIND, vote)
        assert slot.proposal is not None
        chosen = [statement.data for _, statement in sorted(prepares.items())][:backups]
        proof = PreparedProof(
            view=message.view,
            seq=message.seq,
            digest=message.digest,
            pre_prepare=slot.proposal.statement.data,
            prepares=tuple(chosen),
        )
        slot.prepared = Prepared(proof, slot.proposal.hop, slot.proposal.requests)
        row = PreparedRow(proof, schema.encode(slot.proposal.hop), slot.own_commit.data)
        step.persist.append(self._row("prepared", message, schema.encode(row)))
        slot.commits.add(slot.own_commit, message.digest, is_verified=True, check=self.check)
        self._vote(slot.own_commit, step)

    def _try_commit(self, slot: Slot, message: PrePrepare, now_ms: int) -> None:
        commits = slot.commits.collect(message.digest, self.committee.q, self.check)
        if commits is None:
            return
        for statement in commits.values():
            commit = schema.decode(statement.payload, Commit, size_max=VOTE_BYTES_MAX)
            self.clock.note(statement, commit, now_ms)
        chosen = sorted(commits.items())[: self.committee.q]
        slot.proof = tuple(statement.data for _, statement in chosen)

    def execute_ready(self, now_ms: int, step: Step) -> None:
        """Execute committed slots strictly in order of their sequence numbers."""
        while True:
            slot = self.slots.get(self.executed + 1)
            if slot is None or slot.proposal is None or slot.proof is None:
                break
            hop, requests = slot.proposal.hop, slot.proposal.requests
            since_ms = self.pool.get_oldest_ms()
            self.execute(slot.seq, hop.time_ms, requests, slot.proof, now_ms, step)
            self.suspicion.on_batch(len(requests), since_ms, now_ms)
        self.propose(now_ms, step)

    def execute(
        self,
        seq: int,
        time_ms: int,
        requests: Sequence[Request],
        proof: tuple[bytes, ...],
        now_ms: int,
        step: Step,
    ) -> None:
        """Execute one committed batch, which `proof` certifies."""
        digests = tuple(request.digest for request in requests)
        digest = compute_batch_digest(time_ms, digests)
        outcome = self.application.execute(seq, time_ms, digest, requests)
        self.pool.on_executed(requests, now_ms)
        self.pool.drop_refused(requests, self.application.admit)
        self.next_seq = max(self.next_seq, seq + 1)
        step.executed.append(
            Executed(
                committee=self.committee.id,
                seq=seq,
                digest=digest,
                time_ms=time_ms,
                operations=tuple(request.data for request in requests),
                operation_digests=digests,
                proof=proof,
                entry=outcome.entry,
                facts=outcome.facts,
            )
        )
        note_end(self, seq, now_ms)
        self.heads.note_executed(step)
        self.checkpoints.on_executed(seq, step)

    def on_durable(self, position: int, now_ms: int) -> Step:
        """The ledger holds everything up to `position` for good: only now the heads and
        checkpoints up to it are signed, for others to build on."""
        step = Step()
        if position > self.durable:
            self.durable = position
            self.checkpoints.on_durable(position, step)
            self.checkpoints.sign(position, step)
            self.heads.sign(position, step)
            self.propose(now_ms, step)
        return step

    # --- between views ------------------------------------------------------------------------

    @property
    def base(self) -> int:
        """The highest position of the log that a quorum signed."""
        return max(self.heads.certified, self.checkpoints.low)

    def get_base(self) -> tuple[int, bytes]:
        """`base` with its certificate; an epoch's start has none."""
        holder = self.heads if self.heads.certified > self.checkpoints.low else self.checkpoints
        return self.base, b"" if holder.certificate is None else holder.certificate.encode()

    def is_waiting(self, now_ms: int) -> bool:
        """True while the primary owes something."""
        return self.end is None and (
            self.pool.get_oldest_ms() is not None
            or any(seq > self.executed and slot.proposal for seq, slot in self.slots.items())
            or self._is_deadline_due(now_ms)
        )

    def is_starving(self, now_ms: int, since_ms: int, patience_ms: int) -> bool:
        """True when one account's next request waits for longer, whatever else is executed. This
        view began at `since_ms`: a primary does not answer for those before it."""
        oldest = self.pool.get_oldest_ms()
        return (
            self.end is None and oldest is not None and now_ms - max(oldest, since_ms) > patience_ms
        )

    def on_view_entered(self, base: int, last: int) -> None:
        """Begin the present view: `last` is the highest sequence number that it proposes again."""
        for slot in self.slots.values():
            slot.begin_view()
        self.pool.begin_view()
        self.next_seq = max(last, base, self.executed) + 1
        self.again.begin()

    def on_timer(self, now_ms: int, step: Step) -> None:
        """What is due by time alone: a view change, bodies to ask for again, empty batches."""
        self.views.on_timer(now_ms, step)
        self.again.go_on(now_ms, step)
        self.propose(now_ms, step)

    def speak(self, now_ms: int, step: Step) -> None:
        """Vote on what was accepted in silence, now that this member may sign."""
        for seq, slot in sorted(self.slots.items()):
            if seq > self.executed and slot.proposal is not None:
                if slot.own_prepare is None:
                    self._accept(slot, slot.proposal.message, step)
                self._advance(slot, now_ms, step)
        self.again.go_on(now_ms, step)
        self.propose(now_ms, step)

    def resume(self, now_ms: int, step: Step) -> None:
        """After a restart: go on with every slot that is still open."""
        self.memory.on_timer(now_ms, step)
        if self.executed > self.committee.start:
            self.heads.note_executed(step)
            self.heads.sign(self.executed, step)
        if self.end is not None:
            self.checkpoints.on_executed(self.end, step)
        self.checkpoints.sign(self.executed, step)
        self.again.begin()
        self.again.go_on(now_ms, step)
        for seq in sorted(self.slots):
            if seq > self.executed:
                self._advance(self.slots[seq], now_ms, step)

    def _vote(self, statement: Statement, step: Step) -> None:
        step.votes.append((self.committee.id, statement.data))

    def _row(self, kind: str, vote: PrePrepare, data: bytes) -> Persist:
        return Persist(self.committee.id, kind, vote.view, vote.seq, data, self.committee.epoch)

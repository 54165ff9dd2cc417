"""Checkpoints and watermarks (section 4.3).

Every K batches, and at the end of the epoch, a member signs the state it has reached. q equal
signatures make the checkpoint stable: the slots up to it are forgotten and the window moves. A
member that finds q others agreeing on something else than its own state has diverged and must stop.
Of every few stable checkpoints the state itself is kept, so that others can begin from it
(`state_transfer.py`).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from identity import schema
from identity.certificate import Certificate
from identity.envelope import Context, Statement
from identity.errors import EconodeError
from protocols.messages import CHECKPOINT_KIND, Checkpoint
from protocols.pbft.quorum import Tally
from protocols.pbft.trail import WINDOW_CHECKPOINTS, Passed
from protocols.step import Equivocation, Persist, Snapshot, Step

if TYPE_CHECKING:
    from protocols.pbft.core import Core


SNAPSHOT_CHECKPOINTS = 5
"""Every so many checkpoints the state is kept: 500 batches at K = 100."""
STATES_PENDING_MAX = 2
"""States that wait for their checkpoint to become stable; the newest count."""


class Diverged(EconodeError):
    """A quorum signed another state than this member computed: it stops, nothing is sent."""


class Checkpoints:
    """The stable checkpoint, the window above it, and the votes towards the next ones."""

    def __init__(self, core: "Core", interval: int, snapshot_checkpoints: int) -> None:
        self._core = core
        self.interval = interval
        self.snapshot_checkpoints = snapshot_checkpoints
        self._tallies: dict[int, Tally] = {}
        self._own: dict[int, Checkpoint] = {}
        self.window = WINDOW_CHECKPOINTS * interval
        self._signed = 0
        self._states: dict[int, bytes] = {}
        self._adopted: int | None = None
        self.low = core.committee.start
        self.certificate: Certificate | None = None

    @property
    def high(self) -> int:
        """The last sequence number that may be voted on: no epoch goes beyond its end."""
        high, end = self.low + self.window, self._core.end
        return high if end is None else min(high, end)

    def is_pending(self) -> bool:
        """True while a checkpoint that this member has reached is not stable yet."""
        return bool(self._own)

    def on_executed(self, seq: int, step: Step) -> None:
        """At a multiple of K and at the end of the epoch, remember the state there."""
        core = self._core
        if (seq % self.interval and seq != core.end) or seq <= self.low:
            return
        self._note(Passed.make(core.application))
        self._try_stabilise(seq, step)

    def recall(self, passed: Iterable[Passed]) -> None:
        """Before `restore`: what a replay passed since the epoch began is voted on again."""
        for each in passed:
            if each.checkpoint.seq > self.low:
                self._note(each)

    def _note(self, passed: Passed) -> None:
        seq = passed.checkpoint.seq
        self._own[seq] = passed.checkpoint
        if seq % (self.snapshot_checkpoints * self.interval) == 0:
            self._states[seq] = passed.state
            for old in sorted(self._states)[:-STATES_PENDING_MAX]:
                del self._states[old]

    def sign(self, position: int, step: Step) -> None:
        """Sign the checkpoints up to `position`, which the ledger holds for good."""
        core = self._core
        for seq in [s for s in sorted(self._own) if self._signed < s <= position]:
            self._signed = seq
            if core.is_member:
                statement = core.sign(CHECKPOINT_KIND, self._own[seq])
                self._get_tally(seq).add(
                    statement, statement.payload, is_verified=True, check=core.check
                )
                step.votes.append((core.committee.id, statement.data))
            self._try_stabilise(seq, step)

    def on_vote(self, statement: Statement, vote: Checkpoint, direct: bool, step: Step) -> None:
        horizon = max(self.low, self._core.executed) + self.window
        if not self.low < vote.seq <= horizon:
            return  # at any place in between the epoch may turn out to end
        tally = self._get_tally(vote.seq)
        if not direct:
            self._core.check(statement)
        earlier = tally.add(
            statement, statement.payload, is_verified=not direct, check=self._core.check
        )
        if earlier is not None:
            step.evidence.append(Equivocation(earlier, statement))
        self._try_stabilise(vote.seq, step)

    def restore(self, certificate: Certificate, seq: int) -> None:
        """Continue from a stable checkpoint that this member had recorded; the newest counts."""
        if seq > self.low:
            self.certificate, self.low = certificate, seq
            self._forget(seq)

    def adopt(self, certificate: Certificate, seq: int) -> None:
        """Begin from the state of a checkpoint that others made. What was voted on up to it may
        be forgotten once the ledger holds the state: see `on_durable`."""
        self.certificate, self.low, self._adopted = certificate, seq, seq
        self._forget(seq)

    def on_durable(self, position: int, step: Step) -> None:
        """The ledger holds everything up to `position`, an adopted state too."""
        if self._adopted is None or position < self._adopted:
            return
        if self._adopted == self.low:
            assert self.certificate is not None
            self._persist(self.certificate, self.low, step)
        self._adopted = None

    def get_statements(self) -> list[bytes]:
        """Own votes that are not stable yet, and the proof of the stable one."""
        core = self._core
        own = [
            statement.data
            for tally in self._tallies.values()
            for statement in tally.get_statements()
            if statement.signer == core.me
        ]
        if self.certificate is None:
            return own
        return own + [statement.data for statement in self.certificate.rebuild_statements()]

    def _get_tally(self, seq: int) -> Tally:
        return self._tallies.setdefault(seq, Tally())

    def _try_stabilise(self, seq: int, step: Step) -> None:
        own = self._own.get(seq)
        if own is None:
            return
        core, payload = self._core, schema.encode(own)
        tally = self._get_tally(seq)
        found = tally.collect(payload, core.committee.q, core.check)
        if found is None:
            self._check_no_other_quorum(tally, payload, seq)
            return
        place = Context(
            core.committee.network, core.committee.id, core.committee.epoch, CHECKPOINT_KIND
        )
        signatures = {signer: statement.signature for signer, statement in found.items()}
        self.certificate, self.low = Certificate.collect(place, payload, signatures), seq
        self._persist(self.certificate, seq, step)
        state = self._states.get(seq)
        if state is not None:
            step.states.append(Snapshot(core.committee.id, seq, self.certificate.encode(), state))
        self._forget(seq)

    def _persist(self, certificate: Certificate, seq: int, step: Step) -> None:
        core, data = self._core, certificate.encode()
        committee = core.committee
        row = Persist(committee.id, "stable", core.view, seq, data, committee.epoch)
        step.persist.append(row)

    def _forget(self, seq: int) -> None:
        """Let go of everything up to `seq`."""
        kept: tuple[dict[int, Any], ...] = (
            *(self._core.slots, self._tallies, self._own, self._states),
        )
        for known in kept:
            for old in [s for s in known if s <= seq]:
                del known[old]

    def _check_no_other_quorum(self, tally: Tally, own: bytes, seq: int) -> None:
        core = self._core
        for other in {statement.payload for statement in tally.get_statements()} - {own}:
            if tally.collect(other, core.committee.q, core.check) is not None:
                raise Diverged(f"at {seq} a quorum signed another state than this member's")

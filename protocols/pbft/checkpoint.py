"""Checkpoints and watermarks (section 4.3).

Every K batches, and at the end of the epoch, a member signs the state it has reached. q equal
signatures make the checkpoint stable: the slots up to it are forgotten and the window moves. A
member that finds q others agreeing on something else than its own state has diverged and must stop.
"""

from typing import TYPE_CHECKING

from identity import schema
from identity.certificate import Certificate
from identity.envelope import Context, Statement
from identity.errors import EconodeError
from protocols.messages import CHECKPOINT_KIND, Checkpoint
from protocols.pbft.quorum import Tally
from protocols.step import Equivocation, Persist, Step

if TYPE_CHECKING:
    from protocols.pbft.core import Core


class Diverged(EconodeError):
    """A quorum signed another state than this member computed: it stops, nothing is sent."""


class Checkpoints:
    """The stable checkpoint, the window above it, and the votes towards the next ones."""

    def __init__(self, core: "Core", interval: int) -> None:
        self._core = core
        self.interval = interval
        self._tallies: dict[int, Tally] = {}
        self._own: dict[int, Checkpoint] = {}
        self.window = 2 * interval
        self._signed = 0
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
        digest = core.application.compute_state_digest()
        self._own[seq] = Checkpoint(seq, core.application.get_head(), digest)
        self._try_stabilise(seq, step)

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
        """Continue from a stable checkpoint that this member had recorded."""
        self.certificate, self.low = certificate, seq

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
        step.persist.append(
            Persist(
                core.committee.id,
                "stable",
                core.view,
                seq,
                self.certificate.encode(),
                core.committee.epoch,
            )
        )
        for known in [s for s in core.slots if s <= seq]:
            del core.slots[known]
        for old in [s for s in self._tallies if s <= seq]:
            del self._tallies[old]
        for old in [s for s in self._own if s <= seq]:
            del self._own[old]

    def _check_no_other_quorum(self, tally: Tally, own: bytes, seq: int) -> None:
        core = self._core
        for other in {statement.payload for statement in tally.get_statements()} - {own}:
            if tally.collect(other, core.committee.q, core.check) is not None:
                raise Diverged(f"at {seq} a quorum signed another state than this member's")

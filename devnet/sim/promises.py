"""What honest members promise across views: the invariants that make a view change safe.

None of these needs a disagreement to be seen: a VIEW-CHANGE that hides a certificate, or a vote
against what was executed, is a breach at once, whether or not somebody is misled by it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from crdt.log import HEAD_KIND
from identity import schema
from protocols.messages import (
    COMMIT_KIND,
    NEW_VIEW_KIND,
    PRE_PREPARE_KIND,
    VIEW_CHANGE_BYTES_MAX,
    VIEW_CHANGE_KIND,
    NewView,
    ViewChange,
)

if TYPE_CHECKING:
    from devnet.sim.member import Member
    from devnet.sim.statements import Slot

Report = Callable[[str, "Member", str], None]
FindEnd = Callable[[int], int | None]
"""The position that ended an epoch."""


class Promises:
    """Sees each statement of honest members once, and what they execute."""

    def __init__(self, report: Report, find_end: FindEnd) -> None:
        self._report, self._find_end = report, find_end
        self._prepared: dict[tuple[bytes, int], dict[int, int]] = {}
        """By signer and epoch, for each sequence number the highest view of its COMMITs."""
        self._votes: dict[tuple[int, int], set[tuple[int, bytes]]] = {}
        """By epoch and sequence number, the (view, digest) of honest COMMITs."""
        self._executed: dict[tuple[int, int], tuple[int, bytes]] = {}
        """By epoch and sequence number, the lowest view of a proof, and the digest."""
        self._announced: dict[tuple[bytes, int, int], dict[int, bytes]] = {}

    def on_statement(self, member: "Member", slot: "Slot", digest: bytes) -> None:
        """`digest` is the whole payload where a statement has none."""
        epoch, view, seq = slot.place
        match slot.kind:
            case kind if kind == COMMIT_KIND:
                prepared = self._prepared.setdefault((slot.signer, epoch), {})
                prepared[seq] = max(view, prepared.get(seq, 0))
                self._votes.setdefault((epoch, seq), set()).add((view, digest))
                self._compare(member, epoch, seq)
            case kind if kind == HEAD_KIND:
                if seq > member.disk.durable:
                    detail = f"signs {seq} while its ledger holds {member.disk.durable}"
                    self._report("S7 a head covers what is durable", member, detail)
            case kind if kind == VIEW_CHANGE_KIND:
                self._check_view_change(member, epoch, digest)
            case kind if kind == NEW_VIEW_KIND:
                said = schema.decode(digest, NewView, size_max=VIEW_CHANGE_BYTES_MAX)
                proposals = {assigned.seq: assigned.digest for assigned in said.proposals}
                self._announced[slot.signer, epoch, view] = proposals
            case kind if kind == PRE_PREPARE_KIND:
                announced = self._announced.get((slot.signer, epoch, view), {})
                if announced.get(seq, digest) != digest:
                    detail = f"(epoch, view, seq) {slot.place}: {digest.hex()[:12]}"
                    self._report("S2 a primary proposes what its NEW-VIEW says", member, detail)

    def on_executed(self, member: "Member", seq: int, epoch: int, view: int, digest: bytes) -> None:
        """`epoch` and `view` are those that the proof's COMMITs are of."""
        known = self._executed.get((epoch, seq))
        if known is None or view < known[0]:
            self._executed[epoch, seq] = (view, digest)
            self._compare(member, epoch, seq)

    def _compare(self, member: "Member", epoch: int, seq: int) -> None:
        """Once q members have committed a digest, no later view prepares another."""
        executed = self._executed.get((epoch, seq))
        if executed is None:
            return
        for view, digest in self._votes.get((epoch, seq), ()):
            if view > executed[0] and digest != executed[1]:
                detail = f"view {view} prepares another batch at {seq} than view {executed[0]} did"
                self._report("S1 one digest per position", member, detail)
                return

    def _check_view_change(self, member: "Member", epoch: int, payload: bytes) -> None:
        """Every certificate above the base is there, of the highest view; what lies beyond the
        end of the epoch is void."""
        end = self._find_end(epoch)
        said = schema.decode(payload, ViewChange, size_max=VIEW_CHANGE_BYTES_MAX)
        shown = {proof.seq: proof.view for proof in said.prepared}
        for seq, view in self._prepared.get((member.public, epoch), {}).items():
            if end is not None and seq > end:
                continue
            if seq > said.base and shown.get(seq, -1) < view:
                detail = f"for view {said.view} hides what was prepared at {seq} in view {view}"
                self._report("S7 a VIEW-CHANGE hides nothing", member, detail)
                return

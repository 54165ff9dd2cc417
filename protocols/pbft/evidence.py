"""Evidence of equivocation: two statements of one member that no honest member ever signs both.

Checkable by anyone from the bytes alone: same signer, kind and slot, two different digests, both
signatures good in this network, committee and epoch. Of VIEW-CHANGEs and NEW-VIEWs a member signs
one for each view, so two that differ anywhere are evidence. The same statement twice is none, nor
are two COMMITs that differ in their clock readings only.
"""

import hashlib
from dataclasses import dataclass

from crdt.log import Head
from identity import cbor, envelope, schema
from identity.errors import InvalidSchema
from protocols.committee import Committee
from protocols.economy.operations import EVIDENCE_BYTES_MAX
from protocols.messages import (
    NEW_VIEW_KIND,
    VIEW_CHANGE_KIND,
    VOTE_TYPES,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
)

_KINDS: dict[
    str, type[PrePrepare | Prepare | Commit | Checkpoint | Head | ViewChange | NewView]
] = {**VOTE_TYPES, VIEW_CHANGE_KIND: ViewChange, NEW_VIEW_KIND: NewView}


@dataclass(frozen=True, slots=True)
class Offence:
    """Who signed twice, and the slot it was for: one offence, whatever the evidence."""

    offender: bytes
    id: bytes


@dataclass(frozen=True, slots=True)
class Pair:
    """Two contradicting statements, taken apart. Neither signature nor membership is checked."""

    committee: bytes
    epoch: int
    kind: str
    slot: tuple[int, ...]
    statements: tuple[envelope.Statement, envelope.Statement]

    def name(self, network: bytes) -> Offence:
        signer = self.statements[0].signer
        place = ["econode/equivocation", network, self.committee, self.epoch]
        content = cbor.encode([*place, signer, self.kind, *self.slot])
        return Offence(signer, hashlib.sha256(content).digest())


def check_equivocation(committee: Committee, first: bytes, second: bytes) -> Offence:
    """The offence that two statements prove. Raises InvalidBytes when they prove none."""
    pair = read_equivocation(first, second)
    if (pair.committee, pair.epoch) != (committee.id, committee.epoch):
        raise InvalidSchema("not votes of this committee and epoch")
    if not committee.is_member(pair.statements[0].signer):
        raise InvalidSchema("the signer is no member")
    for statement in pair.statements:
        statement.check(committee.network)
    return pair.name(committee.network)


def read_equivocation(first: bytes, second: bytes) -> Pair:
    """Two statements of one signer for one slot that say different things. Raises InvalidBytes
    for any others."""
    one, slot, digest = _read(first)
    other, other_slot, other_digest = _read(second)
    if (one.committee, one.epoch) != (other.committee, other.epoch):
        raise InvalidSchema("statements of different committees or epochs contradict nothing")
    if (one.signer, one.kind, slot) != (other.signer, other.kind, other_slot):
        raise InvalidSchema("statements of different signers, kinds or slots contradict nothing")
    if digest == other_digest:
        raise InvalidSchema("the two statements say the same")
    return Pair(one.committee, one.epoch, one.kind, slot, (one, other))


def read_epoch(data: bytes) -> int:
    """The epoch that a statement was signed for. Raises InvalidBytes."""
    return envelope.parse(data, size_max=EVIDENCE_BYTES_MAX).epoch


def _read(data: bytes) -> tuple[envelope.Statement, tuple[int, ...], tuple[bytes, ...]]:
    """A statement with its slot, and what must be the same in every statement for that slot."""
    statement = envelope.parse(data, size_max=EVIDENCE_BYTES_MAX)
    kind = _KINDS.get(statement.kind)
    if kind is None:
        raise InvalidSchema("not a vote")
    vote = schema.decode(statement.payload, kind, size_max=EVIDENCE_BYTES_MAX)
    match vote:
        case PrePrepare() | Prepare() | Commit():
            return statement, (vote.view, vote.seq), (vote.digest,)
        case Checkpoint():
            return statement, (vote.seq,), (vote.head, vote.state)
        case Head():
            return statement, (vote.position,), (vote.author, vote.hash)
        case ViewChange() | NewView():
            return statement, (vote.view,), (statement.payload,)

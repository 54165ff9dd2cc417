"""Signed statements as an outsider reads them: which slot they speak about, and what they say."""

from dataclasses import dataclass
from typing import Any

from identity import envelope, schema
from identity.errors import InvalidBytes
from protocols.messages import (
    NEW_VIEW_KIND,
    VIEW_CHANGE_KIND,
    VOTE_TYPES,
    CarryNewView,
    CarryViewChange,
    Hop,
    NewView,
    Propose,
    ViewChange,
    Votes,
)

BYTES_MAX = 1 << 20
TYPES: dict[str, Any] = {**VOTE_TYPES, VIEW_CHANGE_KIND: ViewChange, NEW_VIEW_KIND: NewView}


@dataclass(frozen=True, slots=True)
class Slot:
    """What a key may sign one digest for; `place` is (epoch, view, seq), with 0 where there is
    none."""

    signer: bytes
    kind: str
    place: tuple[int, int, int]


def list_statements(message: Hop) -> tuple[bytes, ...]:
    """The signed statements in a hop message, but for operations and proofs."""
    match message:
        case Votes(statements=found):
            return found
        case Propose(pre_prepare=data):
            return (data,)
        case CarryViewChange(statement=data) | CarryNewView(statement=data):
            return (data,)
    return ()


def read_slot(data: bytes, signer: bytes) -> tuple[Slot, bytes] | None:
    """The slot and digest of a statement by `signer`; None for anybody else's, or none at all."""
    try:
        statement = envelope.parse(data, size_max=BYTES_MAX)
        kind = TYPES.get(statement.kind)
        if statement.signer != signer or kind is None:
            return None
        said = schema.decode(statement.payload, kind, size_max=BYTES_MAX)
    except InvalidBytes:
        return None
    view = getattr(said, "view", 0)
    seq = getattr(said, "seq", getattr(said, "position", 0))
    slot = Slot(signer, statement.kind, (statement.epoch, view, seq))
    for name in ("digest", "hash"):
        digest = getattr(said, name, None)
        if digest is not None:
            return slot, digest
    return slot, statement.payload

"""Everything members and peers say to each other, but for operations.

Two kinds. *Statements* are signed and portable (`identity/envelope.py`); their payloads are the
structs of the first part, and they refuse unknown fields. *Hop messages* of the second part are
authenticated by the channel; they tolerate unknown fields, so that a newer peer can say more.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated

import msgspec

from crdt.log import HEAD_KIND, Head
from identity import cbor
from identity.schema import U63, CommitteeId, Digest, TimeMs
from protocols.state_tree import CHUNKS_MAX, PATH_MAX, STATE_BYTES_MAX, STATE_CHUNK_BYTES

FRAME_BYTES_MAX = 1 << 20
"""Longest hop message, in bytes."""
BATCH_BYTES_MAX = 512 * 1024
BATCH_OPERATIONS_MAX = 1_024
VOTE_BYTES_MAX = 1_024
VOTES_MAX = 512
QUORUM_MAX = 100
BATCHES_MAX = 256
PREPARED_MAX = 1_024
CERTIFICATE_BYTES_MAX = 64 * 1024
VIEW_CHANGE_BYTES_MAX = FRAME_BYTES_MAX - 1_024
CHUNKS_PER_FETCH_MAX = 8

VoteBytes = Annotated[bytes, msgspec.Meta(max_length=VOTE_BYTES_MAX)]

# --- statements -------------------------------------------------------------------------------


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of signed payloads."""


class PrePrepare(Statement, frozen=True):
    """The primary of `view` proposes the batch `digest` at `seq`."""

    view: U63
    seq: U63
    digest: Digest


class Prepare(Statement, frozen=True):
    """A backup accepts the proposal."""

    view: U63
    seq: U63
    digest: Digest


class Commit(Statement, frozen=True):
    """A member holds a prepared certificate. `clock_ms` is its reading of the time."""

    view: U63
    seq: U63
    digest: Digest
    clock_ms: TimeMs


class Checkpoint(Statement, frozen=True):
    """After `seq`: the hash of the log's head and the digest of the whole state
    (`protocols/state_tree.py`)."""

    seq: U63
    head: Digest
    state: Digest


class PreparedProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prepared certificate: the PRE-PREPARE and q-1 PREPAREs of distinct backups."""

    view: U63
    seq: U63
    digest: Digest
    pre_prepare: VoteBytes
    prepares: Annotated[tuple[VoteBytes, ...], msgspec.Meta(max_length=QUORUM_MAX)]


class ViewChange(Statement, frozen=True):
    """Its signer has left the views below `view`.

    `certificate` proves the log's head at `base` (or the checkpoint there; empty where the epoch
    starts: nobody votes in it without the certificate of that position), and `prepared` holds, for
    each later sequence number, the certificate of the highest view.
    """

    view: U63
    base: U63
    certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]
    prepared: Annotated[tuple[PreparedProof, ...], msgspec.Meta(max_length=PREPARED_MAX)]


class Assigned(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new view proposes again at `seq`: a prepared digest, or the null batch's."""

    seq: U63
    digest: Digest


class NewView(Statement, frozen=True):
    """The primary of `view` begins it: q VIEW-CHANGEs by the SHA-256 of their statements, and
    what follows from them (every backup computes it again)."""

    view: U63
    view_changes: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=QUORUM_MAX)]
    proposals: Annotated[tuple[Assigned, ...], msgspec.Meta(max_length=PREPARED_MAX)]


VIEW_CHANGE_KIND = "view_change"
NEW_VIEW_KIND = "new_view"
PRE_PREPARE_KIND = "pre_prepare"
PREPARE_KIND = "prepare"
COMMIT_KIND = "commit"
CHECKPOINT_KIND = "checkpoint"

VOTE_TYPES: dict[str, type[PrePrepare | Prepare | Commit | Checkpoint | Head]] = {
    PRE_PREPARE_KIND: PrePrepare,
    PREPARE_KIND: Prepare,
    COMMIT_KIND: Commit,
    CHECKPOINT_KIND: Checkpoint,
    HEAD_KIND: Head,
}


def compute_batch_digest(time_ms: int, operation_digests: Sequence[bytes]) -> bytes:
    """What the votes of a slot agree on: the proposed time and the operations, in order."""
    content = ["econode/batch", time_ms, list(operation_digests)]
    return hashlib.sha256(cbor.encode_ordered(content)).digest()


# --- hop messages -----------------------------------------------------------------------------


class Hop(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """Base of hop messages about one committee."""

    committee: CommitteeId


class Submit(Hop, frozen=True, tag="submit"):
    """Operations for ordering; their clients send them to every member."""

    operations: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=BATCH_OPERATIONS_MAX)]


class Propose(Hop, frozen=True, tag="propose"):
    """A PRE-PREPARE with its batch. `clock` holds the COMMIT statements whose clock readings
    have `time_ms` as their median."""

    pre_prepare: VoteBytes
    time_ms: TimeMs
    operations: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=BATCH_OPERATIONS_MAX)]
    clock: Annotated[tuple[VoteBytes, ...], msgspec.Meta(max_length=QUORUM_MAX)]


class Votes(Hop, frozen=True, tag="votes"):
    """PREPARE, COMMIT, CHECKPOINT and head statements."""

    statements: Annotated[tuple[VoteBytes, ...], msgspec.Meta(max_length=VOTES_MAX)]


class Status(Hop, frozen=True, tag="status"):
    """Where a member stands. Believed of nothing but what it still wants to be sent."""

    epoch: U63
    view: U63
    active: bool
    """False between the VIEW-CHANGE for `view` and its NEW-VIEW."""
    stable: U63
    executed: U63
    certified: U63
    waiting: bool
    complains: bool = False
    """It is for replacing the primary of `view` without waiting for the timer."""


class FetchBatches(Hop, frozen=True, tag="fetch_batches"):
    """Please send committed batches from `start` on."""

    start: U63


class CommittedBatch(msgspec.Struct, frozen=True):
    """A batch with q COMMIT statements over its digest. With one that ends an epoch, and with one
    of the last of an answer, comes the certificate of the head there, if the sender has it."""

    seq: U63
    time_ms: TimeMs
    operations: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=BATCH_OPERATIONS_MAX)]
    proof: Annotated[tuple[VoteBytes, ...], msgspec.Meta(max_length=QUORUM_MAX)]
    certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)] = b""


class Batches(Hop, frozen=True, tag="batches"):
    """The answer to FetchBatches: consecutive, and as many as fit."""

    batches: Annotated[tuple[CommittedBatch, ...], msgspec.Meta(max_length=BATCHES_MAX)]


ChunkIndex = Annotated[int, msgspec.Meta(ge=0, le=CHUNKS_MAX - 1)]


class AskState(Hop, frozen=True, tag="ask_state"):
    """Which certified state beyond `after` do you hold?"""

    after: U63


class OfferState(Hop, frozen=True, tag="offer_state"):
    """The newest certified state that the sender holds: the checkpoint's certificate, and the size
    and the root that give the digest in it."""

    certificate: Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]
    size: Annotated[int, msgspec.Meta(ge=1, le=STATE_BYTES_MAX)]
    root: Digest


class FetchState(Hop, frozen=True, tag="fetch_state"):
    """Please send these chunks of the state at `position`."""

    position: U63
    chunks: Annotated[
        tuple[ChunkIndex, ...], msgspec.Meta(min_length=1, max_length=CHUNKS_PER_FETCH_MAX)
    ]


class GiveState(Hop, frozen=True, tag="give_state"):
    """One chunk of the state at `position` with its path; no data where it is not held any more."""

    position: U63
    chunk: ChunkIndex
    data: Annotated[bytes, msgspec.Meta(max_length=STATE_CHUNK_BYTES)]
    path: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=PATH_MAX)]


class CarryViewChange(Hop, frozen=True, tag="carry_view_change"):
    """A VIEW-CHANGE statement, its signer's or passed on."""

    statement: Annotated[bytes, msgspec.Meta(max_length=VIEW_CHANGE_BYTES_MAX)]


class CarryNewView(Hop, frozen=True, tag="carry_new_view"):
    """A NEW-VIEW statement; the VIEW-CHANGEs it names came before it on the same stream."""

    statement: Annotated[bytes, msgspec.Meta(max_length=VIEW_CHANGE_BYTES_MAX)]


class FetchBody(Hop, frozen=True, tag="fetch_body"):
    """Please send the batch with this digest, which is to be proposed again at `seq`."""

    seq: U63
    digest: Digest


class GiveBody(Hop, frozen=True, tag="give_body"):
    """The answer to FetchBody."""

    seq: U63
    time_ms: TimeMs
    operations: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=BATCH_OPERATIONS_MAX)]


class AskMemory(Hop, frozen=True, tag="ask_memory"):
    """Which are the newest statements of mine of this epoch that you hold? Asked after every start
    and at the beginning of every epoch."""

    epoch: U63


class GiveMemory(Hop, frozen=True, tag="give_memory"):
    """The answer: statements signed by the asker, and the highest slot known here."""

    epoch: U63
    highest: U63
    statements: Annotated[tuple[VoteBytes, ...], msgspec.Meta(max_length=3)]
    view_change: Annotated[bytes, msgspec.Meta(max_length=VIEW_CHANGE_BYTES_MAX)]


class WantReceipt(Hop, frozen=True, tag="want_receipt"):
    """Please sign a receipt for these blobs, which you hold."""

    blobs: Annotated[tuple[Digest, ...], msgspec.Meta(min_length=1, max_length=64)]


class GiveReceipt(Hop, frozen=True, tag="give_receipt"):
    """A signed `receipt` statement; absent blobs are left out of it."""

    receipt: Annotated[bytes, msgspec.Meta(max_length=8 * 1024)]


CommitteeMessage = (
    Submit
    | Propose
    | Votes
    | Status
    | FetchBatches
    | Batches
    | AskState
    | OfferState
    | FetchState
    | GiveState
    | CarryViewChange
    | CarryNewView
    | FetchBody
    | GiveBody
    | AskMemory
    | GiveMemory
)

"""What follows from VIEW-CHANGEs: the checks of their proofs, and O (section 4.4).

Pure functions, computed alike by the new primary and by every backup. The base of a VIEW-CHANGE
is a head of the log that q members signed: like a stable checkpoint, it shows that at least f+1
honest members have executed everything up to it and can hand it on.
"""

from collections.abc import Iterable

from crdt.log import HEAD_KIND, Head
from identity import envelope, schema
from identity.certificate import Certificate
from identity.errors import InvalidSchema
from protocols.committee import Committee
from protocols.messages import (
    CERTIFICATE_BYTES_MAX,
    CHECKPOINT_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    VOTE_BYTES_MAX,
    Assigned,
    Checkpoint,
    Prepare,
    PreparedProof,
    PrePrepare,
    ViewChange,
    compute_batch_digest,
)
from protocols.pbft.quorum import Check

NULL_DIGEST = compute_batch_digest(0, ())
"""The digest of the null batch, which fills a gap and does nothing."""


def check_view_change(committee: Committee, message: ViewChange, window: int, check: Check) -> None:
    """Raise InvalidBytes unless every proof in `message` holds."""
    _check_base(committee, message)
    previous = message.base
    for proof in message.prepared:
        if not previous < proof.seq <= message.base + 2 * window:
            raise InvalidSchema("prepared certificates are not in order, or far beyond the base")
        if proof.view >= message.view:
            raise InvalidSchema("a prepared certificate of a later view")
        check_prepared(committee, proof, check)
        previous = proof.seq


def check_prepared(committee: Committee, proof: PreparedProof, check: Check) -> None:
    """Raise InvalidBytes unless the PRE-PREPARE is its view's primary's, and q-1 distinct
    backups' PREPAREs are for the same view, sequence number and digest."""
    slot = (proof.view, proof.seq, proof.digest)
    primary = committee.get_primary(proof.view)
    statement = _parse(committee, proof.pre_prepare, PRE_PREPARE_KIND)
    proposed = schema.decode(statement.payload, PrePrepare, size_max=VOTE_BYTES_MAX)
    if statement.signer != primary or (proposed.view, proposed.seq, proposed.digest) != slot:
        raise InvalidSchema("a prepared certificate with another PRE-PREPARE")
    check(statement)
    signers: set[bytes] = set()
    for data in proof.prepares:
        statement = _parse(committee, data, PREPARE_KIND)
        vote = schema.decode(statement.payload, Prepare, size_max=VOTE_BYTES_MAX)
        if (vote.view, vote.seq, vote.digest) != slot:
            raise InvalidSchema("a prepared certificate with a PREPARE of another slot")
        if statement.signer == primary or not committee.is_member(statement.signer):
            raise InvalidSchema("a prepared certificate with a PREPARE of no backup")
        check(statement)
        signers.add(statement.signer)
    if len(signers) < committee.q - 1:
        raise InvalidSchema(f"{len(signers)} PREPAREs, {committee.q - 1} are needed")


def compute_proposals(view_changes: Iterable[ViewChange]) -> tuple[int, tuple[Assigned, ...]]:
    """(base, O): the highest proven base, and for each later sequence number up to the highest
    prepared one the digest of the highest view's certificate, or the null batch's."""
    messages = list(view_changes)
    base = max(message.base for message in messages)
    best: dict[int, PreparedProof] = {}
    for message in messages:
        for proof in message.prepared:
            known = best.get(proof.seq)
            if known is None or proof.view > known.view:
                best[proof.seq] = proof
    last = max((seq for seq in best if seq > base), default=base)
    return base, tuple(
        Assigned(seq, best[seq].digest if seq in best else NULL_DIGEST)
        for seq in range(base + 1, last + 1)
    )


def _check_base(committee: Committee, message: ViewChange) -> None:
    if message.base == committee.start:
        return
    if message.base < committee.start:
        raise InvalidSchema("a base before the epoch")
    certificate = Certificate.decode(
        message.certificate, committee.network, size_max=CERTIFICATE_BYTES_MAX
    )
    place = certificate.context
    if (place.committee, place.epoch) != (committee.id, committee.epoch):
        raise InvalidSchema("a base of another committee or epoch")
    if place.kind == HEAD_KIND:
        head = schema.decode(certificate.payload, Head, size_max=VOTE_BYTES_MAX)
        position = head.position if head.author == committee.id else -1
    elif place.kind == CHECKPOINT_KIND:
        position = schema.decode(certificate.payload, Checkpoint, size_max=VOTE_BYTES_MAX).seq
    else:
        raise InvalidSchema("a base is proven by a head or a checkpoint")
    if position != message.base:
        raise InvalidSchema("the certificate proves another base")
    certificate.check(committee.members, committee.q)


def _parse(committee: Committee, data: bytes, kind: str) -> envelope.Statement:
    statement = envelope.parse(data, size_max=VOTE_BYTES_MAX)
    if (statement.kind, statement.committee, statement.epoch) != (
        kind,
        committee.id,
        committee.epoch,
    ):
        raise InvalidSchema(f"not a {kind} of this committee and epoch")
    return statement

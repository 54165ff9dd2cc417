"""Light proofs of a committee's whole state: what balances, scores and members are, not what
happened.

A bundle follows the epochs as `protocols/light.py` does, to the one whose quorum certified a
checkpoint; that covers the digest of the state (`protocols/state_tree.py`). docs/protocol-light.md
describes the bytes.
"""

import hashlib
from dataclasses import dataclass
from typing import Annotated

import msgspec

from identity import cbor, schema
from identity.certificate import Certificate
from identity.errors import InvalidCertificate, InvalidSchema
from identity.schema import CommitteeId, Digest
from protocols.committee import Committee
from protocols.light import (
    EPOCHS_MAX,
    Anchor,
    CertificateBytes,
    EpochEnd,
    check_anchor,
    follow_epochs,
)
from protocols.messages import CERTIFICATE_BYTES_MAX, CHECKPOINT_KIND, VOTE_BYTES_MAX, Checkpoint
from protocols.state_tree import digest_state

FORMAT = "econode/light-state"
VERSION = 1
STATE_BYTES_MAX = 32 * 1024 * 1024
"""A larger state is not proven whole; whoever needs it follows the log."""
BUNDLE_BYTES_MAX = 64 * 1024 * 1024


class StateBundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A certified state of `committee`, and what proves who certified it."""

    network: Digest
    committee: CommitteeId
    epochs: Annotated[tuple[EpochEnd, ...], msgspec.Meta(max_length=EPOCHS_MAX)]
    certificate: CertificateBytes
    state: Annotated[bytes, msgspec.Meta(max_length=STATE_BYTES_MAX)]


@dataclass(frozen=True, slots=True)
class ProvenState:
    """What a bundle proves: the state behind `position`. `signers` members of `committee` certified
    it."""

    position: int
    head: bytes
    committee: Committee
    signers: int


def encode_state(bundle: StateBundle) -> bytes:
    """The bytes of a bundle: [FORMAT, VERSION, SHA-256 of the payload, payload]."""
    payload = schema.encode(bundle)
    return cbor.encode([FORMAT, VERSION, hashlib.sha256(payload).digest(), payload])


def decode_state(data: bytes) -> StateBundle:
    """Raises InvalidBytes for anything but a whole bundle. Nothing is proven by that."""
    match cbor.decode(data, size_max=BUNDLE_BYTES_MAX):
        case [str(name), int(version), bytes(digest), bytes(payload)] if (
            name == FORMAT and version == VERSION and version is not True
        ):
            if hashlib.sha256(payload).digest() != digest:
                raise InvalidSchema("the light proof is damaged")
            return schema.decode(payload, StateBundle, size_max=BUNDLE_BYTES_MAX)
    raise InvalidSchema("not a light proof of a state of this version")


def verify_state(bundle: StateBundle, anchor: Anchor, now_ms: int) -> ProvenState:
    """What `bundle` proves to somebody who trusts `anchor`. `now_ms` is the client's own clock.

    Raises StaleAnchor, or InvalidBytes when it proves nothing.
    """
    check_anchor(anchor, bundle.network, bundle.committee, now_ms)
    committee, _ = follow_epochs(anchor, bundle.epochs)
    found = Certificate.decode(bundle.certificate, anchor.network, size_max=CERTIFICATE_BYTES_MAX)
    place = (found.context.kind, found.context.committee, found.context.epoch)
    if place != (CHECKPOINT_KIND, committee.id, committee.epoch):
        raise InvalidCertificate("not the certificate of a checkpoint of this epoch")
    found.check(committee.members, committee.q)
    checkpoint = schema.decode(found.payload, Checkpoint, size_max=VOTE_BYTES_MAX)
    if checkpoint.state != digest_state(bundle.state):
        raise InvalidSchema("the certificate is of another state")
    return ProvenState(checkpoint.seq, checkpoint.head, committee, len(found.signatures))

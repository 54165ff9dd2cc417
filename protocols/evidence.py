"""Evidence: two signed things that contradict each other, as they are told, kept and filed.

There are three kinds, and each is checked from its bytes and the keys of the members alone:
- `votes`: a member of a committee signed two votes for one slot (`protocols/pbft/evidence.py`);
- `log`: a peer signed two heads of its log for one position (`crdt/heads.py`);
- `committee`: a committee certified two heads for one position. Of its quorums at least n - 2f
  members signed both, each of which is a `votes` offence by itself (Buterin and Griffith, "Casper
  the Friendly Finality Gadget", 2017, call that accountable safety).

An offence has one id, whatever statements prove it: the hash of who offended and the slot.
"""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from crdt import log
from crdt.heads import HEAD_BYTES_MAX, NO_COMMITTEE, ForkProof, Prover, Voters, check_fork, is_peer
from identity import cbor, envelope, schema
from identity.certificate import Certificate
from identity.errors import InvalidBytes, InvalidSchema
from identity.schema import Digest
from protocols.committee import Committee
from protocols.economy.operations import EVIDENCE_BYTES_MAX
from protocols.pbft.evidence import check_equivocation, read_equivocation

FORMAT: Literal["econode/evidence"] = "econode/evidence"
VERSION: Literal[1] = 1
EVIDENCE_FILE_BYTES_MAX = 2 * EVIDENCE_BYTES_MAX + 1024

EvidenceKind = Literal["votes", "log", "committee"]
StatementBytes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=EVIDENCE_BYTES_MAX)]


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Two statements (`votes`, `log`) or two certificates (`committee`) that contradict each
    other. `subject` is the committee's id, or the author's key."""

    kind: EvidenceKind
    subject: log.Author
    first: StatementBytes
    second: StatementBytes


class TellEvidence(msgspec.Struct, frozen=True, tag_field="type", tag="tell_evidence"):
    """A hop message: whoever does not know this offence yet checks it and tells it on."""

    evidence: Evidence


class EvidenceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Evidence as a file."""

    format: Literal["econode/evidence"]
    version: Literal[1]
    network: Digest
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Claim:
    """What evidence says, if it is true: `offender` did wrong at `slot`. `committee` and `epoch`
    name whose keys decide; both are empty for a peer's log, which needs its own key alone."""

    id: bytes
    kind: EvidenceKind
    offender: bytes
    committee: bytes
    epoch: int
    statement: str
    """The kind of what was signed twice, such as "prepare"."""
    slot: tuple[int, ...]

    @property
    def position(self) -> int:
        """Of the slot: the sequence number, position or view that comes last in it."""
        return self.slot[-1]


def read_claim(evidence: Evidence, network: bytes) -> Claim:
    """What `evidence` claims; signatures are not checked. Raises InvalidBytes for bytes that
    contradict nothing, whoever signed them."""
    if evidence.kind != "votes":
        return _read_fork(evidence, network)
    pair = read_equivocation(evidence.first, evidence.second)
    if pair.committee != evidence.subject:
        raise InvalidSchema("votes of another committee than the one that is named")
    offence = pair.name(network)
    place = (pair.committee, pair.epoch, pair.kind, pair.slot)
    return Claim(offence.id, "votes", offence.offender, *place)


FindCommittee = Callable[[bytes, int], Committee | None]
"""The members of a committee (id, epoch), or None when they are not known."""


def check(evidence: Evidence, network: bytes, find: FindCommittee) -> Claim:
    """The proven claim. Raises InvalidBytes for evidence that proves nothing, UnknownMembers where
    the keys that decide are not known."""
    claim = read_claim(evidence, network)
    if claim.kind == "log":
        check_fork(_to_fork(evidence).encode(), Prover(network, {}))
        return claim
    committee = find(claim.committee, claim.epoch)
    if committee is None:
        raise UnknownMembers(claim)
    if claim.kind == "votes":
        check_equivocation(committee, evidence.first, evidence.second)
    else:
        voters: tuple[Voters, ...] = (committee.make_voters(),)
        check_fork(_to_fork(evidence).encode(), Prover(network, {committee.id: voters}))
    return claim


class UnknownMembers(InvalidBytes):
    """Nobody here knows who the members of that committee and epoch were."""

    def __init__(self, claim: Claim) -> None:
        super().__init__(f"the members of committee {claim.committee.hex()} at epoch {claim.epoch}")
        self.claim = claim


def list_double_signers(evidence: Evidence, network: bytes) -> Sequence[Evidence]:
    """Of two certificates: for each member that signed both heads the evidence against it."""
    signed = [
        {each.signer: each.data for each in _read_certificate(data, network).rebuild_statements()}
        for data in (evidence.first, evidence.second)
    ]
    return [
        Evidence("votes", evidence.subject, signed[0][signer], signed[1][signer])
        for signer in sorted(signed[0].keys() & signed[1].keys())
    ]


def from_fork(fork: ForkProof) -> Evidence:
    """The evidence that a fork proof is."""
    return Evidence("log" if is_peer(fork.author) else "committee", fork.author, *fork.proofs)


def encode_file(evidence: Evidence, network: bytes) -> bytes:
    return schema.encode(EvidenceFile(FORMAT, VERSION, network, evidence))


def decode_file(data: bytes) -> EvidenceFile:
    """Raises InvalidBytes."""
    return schema.decode(data, EvidenceFile, size_max=EVIDENCE_FILE_BYTES_MAX)


def check_network(file: EvidenceFile, network: bytes) -> Evidence:
    """The evidence in a file of `network`. Raises InvalidSchema for another network's."""
    if file.network != network:
        raise InvalidSchema(f"evidence of another network, {file.network.hex()[:16]}")
    return file.evidence


def _to_fork(evidence: Evidence) -> ForkProof:
    return ForkProof.make(evidence.subject, 0, evidence.first, evidence.second)


def _read_fork(evidence: Evidence, network: bytes) -> Claim:
    subject, is_log = evidence.subject, evidence.kind == "log"
    if is_peer(subject) != is_log or len(subject) not in (16, 32):
        raise InvalidSchema("a peer has a key of 32 bytes, a committee an id of 16")
    read = _read_peer_head if is_log else _read_committee_head
    found = [read(data, network) for data in (evidence.first, evidence.second)]
    heads: Collection[log.Head] = [head for head, _ in found]
    if any(head.author != subject for head in heads):
        raise InvalidSchema("heads of another log than the one that is named")
    (one, epoch), (other, other_epoch) = found
    if one.position != other.position or epoch != other_epoch:
        raise InvalidSchema("heads at different positions contradict nothing")
    if one.hash == other.hash:
        raise InvalidSchema("the two heads are the same")
    content = cbor.encode(["econode/fork", network, subject, one.position])
    id_ = hashlib.sha256(content).digest()
    committee = NO_COMMITTEE if is_log else subject
    return Claim(id_, evidence.kind, subject, committee, epoch, log.HEAD_KIND, (one.position,))


def _read_peer_head(data: bytes, network: bytes) -> tuple[log.Head, int]:
    statement = envelope.parse(data, size_max=EVIDENCE_BYTES_MAX)
    if statement.kind != log.HEAD_KIND:
        raise InvalidSchema("not a statement of a head")
    return schema.decode(statement.payload, log.Head, size_max=HEAD_BYTES_MAX), 0


def _read_committee_head(data: bytes, network: bytes) -> tuple[log.Head, int]:
    certificate = _read_certificate(data, network)
    head = schema.decode(certificate.payload, log.Head, size_max=HEAD_BYTES_MAX)
    return head, certificate.context.epoch


def _read_certificate(data: bytes, network: bytes) -> Certificate:
    certificate = Certificate.decode(data, network, size_max=EVIDENCE_BYTES_MAX)
    if certificate.context.kind != log.HEAD_KIND:
        raise InvalidSchema("not the certificate of a head")
    return certificate

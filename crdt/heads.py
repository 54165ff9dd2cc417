"""Proofs of heads: who says that an entry is the one at its position of a log.

A peer signs the head of each of its entries (a statement of kind "head" that belongs to no
committee); a committee's head carries a quorum certificate. Two proven heads of one author at
one position with different hashes are a fork proof: it convinces anyone, by itself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec

from crdt import log
from identity import cbor, envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context
from identity.errors import InvalidCertificate, InvalidSignature
from identity.keys import PUBLIC_KEY_BYTES, PrivateKey

NO_COMMITTEE = bytes(envelope.COMMITTEE_ID_BYTES)
"""The committee in the context of statements that belong to none."""

HEAD_BYTES_MAX = 256
PROOF_BYTES_MAX = 64 * 1024
FORK_BYTES_MAX = 2 * PROOF_BYTES_MAX + 64


class Voters(msgspec.Struct, frozen=True):
    """Whose signatures certify a committee's heads in one epoch, and how many it takes: from
    position `first` to `last`, which is None while the epoch goes on."""

    epoch: int
    members: Collection[bytes]
    quorum: int
    first: int = 0
    last: int | None = None


@dataclass(frozen=True, slots=True)
class Prover:
    """Checks proofs of one network. `committees` are those whose logs are accepted, each with the
    epochs that are known of it."""

    network: bytes
    committees: Mapping[bytes, Collection[Voters]]

    def check(self, head: log.Head, proof: bytes) -> None:
        """Raise InvalidBytes unless `proof` proves `head`."""
        if self.check_proof(head.author, proof) != head:
            raise InvalidSignature("the proof is for another head")

    def check_proof(self, author: bytes, proof: bytes) -> log.Head:
        """The head of `author` that `proof` proves. Raises InvalidBytes."""
        head = self._check_peer(author, proof) if is_peer(author) else self._check(author, proof)
        if head.author != author:
            raise InvalidSignature("a head in another's name")
        return head

    def _check_peer(self, author: bytes, proof: bytes) -> log.Head:
        statement = envelope.parse(proof, size_max=PROOF_BYTES_MAX)
        place = (statement.kind, statement.committee, statement.epoch, statement.signer)
        if place != (log.HEAD_KIND, NO_COMMITTEE, 0, author):
            raise InvalidSignature("not its author's statement of a head")
        statement.check(self.network)
        return schema.decode(statement.payload, log.Head, size_max=HEAD_BYTES_MAX)

    def _check(self, committee: bytes, proof: bytes) -> log.Head:
        certificate = Certificate.decode(proof, self.network, size_max=PROOF_BYTES_MAX)
        place = (certificate.context.kind, certificate.context.committee)
        if place != (log.HEAD_KIND, committee):
            raise InvalidCertificate("not its committee's certificate of a head")
        epoch = certificate.context.epoch
        known = (each for each in self.committees.get(committee, ()) if each.epoch == epoch)
        voters = next(known, None)
        if voters is None:
            raise InvalidCertificate(f"committee {committee.hex()} is not known at epoch {epoch}")
        head = schema.decode(certificate.payload, log.Head, size_max=HEAD_BYTES_MAX)
        is_later = voters.last is not None and head.position > voters.last
        if head.position < voters.first or is_later:
            raise InvalidCertificate(f"position {head.position} is not of epoch {epoch}")
        certificate.check(voters.members, voters.quorum)
        return head


def is_peer(author: bytes) -> bool:
    return len(author) == PUBLIC_KEY_BYTES


def get_head(header: log.Header) -> log.Head:
    return log.Head(header.author, header.position, header.hash())


def sign_head(key: PrivateKey, network: bytes, header: log.Header) -> bytes:
    """The proof of an entry of `key`'s own log."""
    context = Context(network, NO_COMMITTEE, 0, log.HEAD_KIND)
    return envelope.sign(key, context, schema.encode(get_head(header))).data


@dataclass(frozen=True, slots=True)
class ForkProof:
    """Two proofs of different heads of `author` at `position`, in ascending order of bytes."""

    author: bytes
    position: int
    proofs: tuple[bytes, bytes]

    @classmethod
    def make(cls, author: bytes, position: int, one: bytes, other: bytes) -> "ForkProof":
        return cls(author, position, (min(one, other), max(one, other)))

    def encode(self) -> bytes:
        return cbor.encode([self.author, list(self.proofs)])


def check_fork(data: bytes, prover: Prover) -> ForkProof:
    """The fork proof in `data`. Raises InvalidBytes unless it convicts its author."""
    match cbor.decode(data, size_max=FORK_BYTES_MAX):
        case [bytes(author), [bytes(one), bytes(other)]] if len(author) in (16, 32):
            pass
        case _:
            raise InvalidSignature("a fork proof is [author, [proof, proof]]")
    heads = [prover.check_proof(author, proof) for proof in (one, other)]
    if heads[0].position != heads[1].position or heads[0].hash == heads[1].hash:
        raise InvalidSignature("the two heads do not contradict each other")
    if one > other:
        raise InvalidSignature("the proofs are not in order")
    return ForkProof(author, heads[0].position, (one, other))

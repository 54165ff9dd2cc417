"""Quorum certificates: the signatures of q members over one statement.

A certificate keeps the common statement once and beside it (signer, signature) in ascending
order of the signer's key, so that one set of signatures has one encoding. Different members may
hold different signer sets for the same statement: a certificate is a proof beside a thing and
never part of a hash.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from identity import cbor, envelope, keys
from identity.errors import InvalidCertificate

SIGNERS_MAX = 256


@dataclass(frozen=True, slots=True)
class Certificate:
    """q signatures over `payload` in `context`; see `check`."""

    context: envelope.Context
    payload: bytes
    signatures: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def collect(
        cls, context: envelope.Context, payload: bytes, signatures: Mapping[bytes, bytes]
    ) -> "Certificate":
        return cls(context, payload, tuple(sorted(signatures.items())))

    def encode(self) -> bytes:
        place = self.context
        return cbor.encode(
            [
                place.kind,
                place.committee,
                place.epoch,
                self.payload,
                [list(pair) for pair in self.signatures],
            ]
        )

    @classmethod
    def decode(cls, data: bytes, network: bytes, *, size_max: int) -> "Certificate":
        """Raises InvalidCbor or InvalidCertificate; the signatures are not checked."""
        match cbor.decode(data, size_max=size_max):
            case [str(kind), bytes(committee), int(epoch), bytes(payload), [*pairs]]:
                pass
            case _:
                raise InvalidCertificate("not [kind, committee, epoch, payload, signatures]")
        if len(committee) != envelope.COMMITTEE_ID_BYTES or isinstance(epoch, bool) or epoch < 0:
            raise InvalidCertificate("a committee id has 16 bytes and an epoch is not negative")
        if len(pairs) > SIGNERS_MAX:
            raise InvalidCertificate(f"{len(pairs)} signers, at most {SIGNERS_MAX} are allowed")
        signatures = [_parse_pair(pair) for pair in pairs]
        return cls(envelope.Context(network, committee, epoch, kind), payload, tuple(signatures))

    def check(self, members: Collection[bytes], quorum: int) -> None:
        """Raise unless at least `quorum` distinct `members` signed, and every signature holds."""
        signers = [signer for signer, _ in self.signatures]
        if len(signers) > SIGNERS_MAX or signers != sorted(set(signers)):
            raise InvalidCertificate("signers are not distinct and in order")
        if len(signers) < quorum:
            raise InvalidCertificate(f"{len(signers)} signers, {quorum} are needed")
        for statement in self.rebuild_statements():
            if statement.signer not in members:
                raise InvalidCertificate(f"{keys.compute_peer_id(statement.signer)} is no member")
            statement.check(self.context.network)

    def rebuild_statements(self) -> list[envelope.Statement]:
        """The signers' statements, whole again. Not checked."""
        return [
            envelope.rebuild(self.context, signer, self.payload, signature)
            for signer, signature in self.signatures
        ]


def _parse_pair(pair: Any) -> tuple[bytes, bytes]:
    match pair:
        case [bytes(signer), bytes(signature)] if (
            len(signer) == keys.PUBLIC_KEY_BYTES and len(signature) == keys.SIGNATURE_BYTES
        ):
            return signer, signature
        case _:
            raise InvalidCertificate("a signature is [32-byte signer, 64-byte signature]")

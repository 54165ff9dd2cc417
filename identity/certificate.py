"""Quorum certificates: the signatures of q members over one statement.

A certificate keeps the common statement once and beside it (signer, signature) in ascending
order of the signer's key, so that one set of signatures has one encoding. Different members may
hold different signer sets for the same statement: a certificate is a proof beside a thing and
never part of a hash.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

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
            case [str(kind), bytes(committee), int(epoch), bytes(payload), [*pairs]] if (
                epoch is not True and epoch is not False
            ):
                pass
            case _:
                raise InvalidCertificate("not [kind, committee, epoch, payload, signatures]")
        signatures: list[tuple[bytes, bytes]] = []
        for pair in pairs:
            match pair:
                case [bytes(signer), bytes(signature)]:
                    signatures.append((signer, signature))
                case _:
                    raise InvalidCertificate("a signature is [signer, 64 bytes]")
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

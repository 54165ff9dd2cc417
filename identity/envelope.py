"""Portable signed statements: COSE_Sign1 (RFC 9052, EdDSA) over deterministic CBOR.

A statement travels as the CBOR array [kind, committee, epoch, cose]. `kind`, `committee` and
`epoch` say where it belongs; they are covered by the signature through external_aad, together
with the domain, the protocol's major version and the network id, so nothing replays in another
place. The signer's key is the key id (`kid`) in the protected header, which is signed too.

    protected    = << {1: -8, 4: public key} >>
    external_aad = << ["econode", major, network, committee, epoch, kind] >>
    cose         = << [protected, {}, payload, signature] >>      (untagged COSE_Sign1)
"""

from dataclasses import dataclass

from identity import cbor, keys
from identity.errors import InvalidCbor, InvalidSignature

DOMAIN = "econode"
MAJOR = 1
COMMITTEE_ID_BYTES = 16
NETWORK_ID_BYTES = 32
STATEMENT_OVERHEAD_BYTES = 256

_PROTECTED_PREFIX = bytes.fromhex("a20127045820")  # {1: -8, 4: h'...32 bytes'}
_PROTECTED_BYTES = len(_PROTECTED_PREFIX) + keys.PUBLIC_KEY_BYTES


@dataclass(frozen=True, slots=True)
class Context:
    """Where a statement belongs. Part of what is signed."""

    network: bytes
    committee: bytes
    epoch: int
    kind: str

    def encode(self) -> bytes:
        return cbor.encode([DOMAIN, MAJOR, self.network, self.committee, self.epoch, self.kind])


@dataclass(frozen=True, slots=True)
class Statement:
    """A signed statement as it travels, taken apart. Its signature is NOT checked yet.

    `data` is the whole encoding: what is stored, forwarded and compared.
    """

    kind: str
    committee: bytes
    epoch: int
    signer: bytes
    payload: bytes
    signature: bytes
    data: bytes

    def check(self, network: bytes) -> None:
        """Raise InvalidSignature unless `signer` signed it for this place in `network`."""
        context = Context(network, self.committee, self.epoch, self.kind)
        protected = _PROTECTED_PREFIX + self.signer
        keys.verify(self.signer, _to_be_signed(context, protected, self.payload), self.signature)


def sign(key: keys.PrivateKey, context: Context, payload: bytes) -> Statement:
    """The statement of `key`'s owner that `payload` holds in `context`."""
    protected = _PROTECTED_PREFIX + key.public
    signature = key.sign(_to_be_signed(context, protected, payload))
    cose = cbor.encode([protected, {}, payload, signature])
    data = cbor.encode([context.kind, context.committee, context.epoch, cose])
    return Statement(
        context.kind, context.committee, context.epoch, key.public, payload, signature, data
    )


def parse(data: bytes, *, size_max: int) -> Statement:
    """Take a statement apart without checking its signature (call `Statement.check`).

    Raises InvalidCbor or InvalidSignature when the bytes are not of the form above.
    """
    match cbor.decode(data, size_max=size_max):
        case [str(kind), bytes(committee), int(epoch), bytes(cose)]:
            pass
        case _:
            raise InvalidCbor("a statement is [kind, committee, epoch, COSE_Sign1]")
    if len(committee) != COMMITTEE_ID_BYTES or isinstance(epoch, bool) or epoch < 0:
        raise InvalidCbor("a committee id has 16 bytes and an epoch is not negative")
    match cbor.decode(cose, size_max=size_max):
        case [bytes(protected), {**header}, bytes(payload), bytes(signature)] if not header:
            pass
        case _:
            raise InvalidSignature("not [protected, {}, payload, signature]")
    if len(protected) != _PROTECTED_BYTES or not protected.startswith(_PROTECTED_PREFIX):
        raise InvalidSignature("the protected header is not {alg: EdDSA, kid: 32-byte key}")
    if len(signature) != keys.SIGNATURE_BYTES:
        raise InvalidSignature(f"a signature has {keys.SIGNATURE_BYTES} bytes")
    signer = protected[len(_PROTECTED_PREFIX) :]
    return Statement(kind, committee, epoch, signer, payload, signature, data)


def _to_be_signed(context: Context, protected: bytes, payload: bytes) -> bytes:
    return cbor.encode(["Signature1", protected, context.encode(), payload])


def rebuild(context: Context, signer: bytes, payload: bytes, signature: bytes) -> Statement:
    """The statement made of parts kept separately, as certificates keep them. Not checked."""
    cose = cbor.encode([_PROTECTED_PREFIX + signer, {}, payload, signature])
    data = cbor.encode([context.kind, context.committee, context.epoch, cose])
    return Statement(
        context.kind, context.committee, context.epoch, signer, payload, signature, data
    )

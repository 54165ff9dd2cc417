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
from functools import lru_cache

from identity import cbor, keys
from identity.errors import InvalidCbor, InvalidSignature

DOMAIN = "econode"
MAJOR = 1
COMMITTEE_ID_BYTES = 16
NETWORK_ID_BYTES = 32
STATEMENT_OVERHEAD_BYTES = 256

_PROTECTED_PREFIX = bytes.fromhex("a20127045820")  # {1: -8, 4: h'...32 bytes'}
_PROTECTED_BYTES = len(_PROTECTED_PREFIX) + keys.PUBLIC_KEY_BYTES

# RFC 8949 section 3, and the parts of a statement that are always the same.
_UINT, _BYTES, _TEXT = 0, 2, 3
_HEAD_LEAST = (24, 1 << 8, 1 << 16, 1 << 32)
_ARRAY_OF_4, _COMMITTEE_HEAD, _EMPTY_MAP = 0x84, 0x50, 0xA0
_NO_HEADERS, _SIGNATURE_HEAD = b"\xa0", b"\x58\x40"
_SIGNATURE_ITEM_BYTES = len(_SIGNATURE_HEAD) + keys.SIGNATURE_BYTES
_PROTECTED_HEAD = bytes((0x58, _PROTECTED_BYTES))
_COSE_PREFIX = b"\x84" + _PROTECTED_HEAD + _PROTECTED_PREFIX
_SIGNATURE1 = b"\x84\x6aSignature1" + _PROTECTED_HEAD
PLACES_CACHED_MAX = 256
"""Encoded contexts that are remembered: a node meets few of them, again and again."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where a statement belongs. Part of what is signed."""

    network: bytes
    committee: bytes
    epoch: int
    kind: str

    def encode(self) -> bytes:
        return _encode_place(DOMAIN, MAJOR, self.network, self.committee, self.epoch, self.kind)


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
    return rebuild(context, key.public, payload, signature)


def parse(data: bytes, *, size_max: int) -> Statement:
    """Take a statement apart without checking its signature (call `Statement.check`).

    Raises InvalidCbor or InvalidSignature when the bytes are not of the form above.
    """
    if len(data) <= size_max and (statement := _parse_usual(data)) is not None:
        return statement
    return _parse_any(data, size_max)


def _parse_usual(data: bytes) -> Statement | None:
    """`_parse_any` for the bytes that `sign` writes, a fifth of its time; None for all others.

    Every head must be the shortest and the lengths must end exactly where `data` ends, so what is
    taken is the deterministic encoding.
    """
    try:
        size, at = _read_head(data, 1, _TEXT)
        kind, at = data[at : at + size].decode(), at + size
        if data[0] != _ARRAY_OF_4 or data[at] != _COMMITTEE_HEAD:
            return None
        committee, at = data[at + 1 : at + 17], at + 17
        epoch, at = _read_head(data, at, _UINT)
        size, at = _read_head(data, at, _BYTES)
        prefix_end = at + len(_COSE_PREFIX)
        if at + size != len(data) or data[at:prefix_end] != _COSE_PREFIX:
            return None
        signer, at = data[prefix_end : prefix_end + 32], prefix_end + 32
        if data[at] != _EMPTY_MAP:
            return None
        size, at = _read_head(data, at + 1, _BYTES)
        payload, at = data[at : at + size], at + size
    except (IndexError, ValueError):
        return None
    if at + _SIGNATURE_ITEM_BYTES != len(data) or data[at : at + 2] != _SIGNATURE_HEAD:
        return None
    if epoch > cbor.INT_MAX:
        return None
    return Statement(kind, committee, epoch, signer, payload, data[at + 2 :], data)


def _parse_any(data: bytes, size_max: int) -> Statement:
    """Any spelling, refused with its reason unless it is the deterministic one."""
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
    place = _encode_bytes(context.encode())
    return b"".join((_SIGNATURE1, protected, place, _encode_bytes(payload)))


def rebuild(context: Context, signer: bytes, payload: bytes, signature: bytes) -> Statement:
    """The statement made of parts kept separately, as certificates keep them. Not checked."""
    if len(signer) != keys.PUBLIC_KEY_BYTES or len(signature) != keys.SIGNATURE_BYTES:
        raise InvalidSignature("a key has 32 bytes and a signature 64")
    parts = (_COSE_PREFIX, signer, _NO_HEADERS, _encode_bytes(payload), _SIGNATURE_HEAD, signature)
    place = _encode_start(context.kind, context.committee, context.epoch)
    data = place + _encode_bytes(b"".join(parts))
    return Statement(
        context.kind, context.committee, context.epoch, signer, payload, signature, data
    )


@lru_cache(PLACES_CACHED_MAX)
def _encode_place(
    domain: str, major: int, network: bytes, committee: bytes, epoch: int, kind: str
) -> bytes:
    return cbor.encode([domain, major, network, committee, epoch, kind])


@lru_cache(PLACES_CACHED_MAX)
def _encode_start(kind: str, committee: bytes, epoch: int) -> bytes:
    """A statement up to its COSE_Sign1."""
    return cbor.encode([kind, committee, epoch, b""])[:-1]


def _encode_bytes(data: bytes) -> bytes:
    """`data` as a CBOR byte string."""
    size = len(data)
    if size < 24:
        return bytes((_BYTES << 5 | size,)) + data
    if size < 1 << 8:
        return bytes((0x58, size)) + data
    return (b"\x59" + size.to_bytes(2) if size < 1 << 16 else b"\x5a" + size.to_bytes(4)) + data


def _read_head(data: bytes, at: int, major: int) -> tuple[int, int]:
    """The number in the head at `at` and where it ends. Raises ValueError for another major type
    or a longer spelling than needed, IndexError past the end."""
    first = data[at] - (major << 5)
    if 0 <= first < 24:
        return first, at + 1
    if not 24 <= first <= 27:
        raise ValueError
    end = at + 1 + (1 << first - 24)
    number = int.from_bytes(data[at + 1 : end])
    if number < _HEAD_LEAST[first - 24]:
        raise ValueError
    return number, end

"""The file that proves an auction's result to anybody, offline.

It holds a light proof (`protocols/light.py`) of the one fact with the result and everything it
follows from, and the network's genesis. Whoever has no anchor of its own learns what the members of
that genesis, and those that followed them, certified; its digest is the network's id, which the
reader compares with the one it means.
"""

import hashlib
from dataclasses import dataclass

import msgspec

from crdt.facts import AuctionEnded, Awarded
from identity import cbor, schema
from identity.errors import InvalidSchema
from protocols.auction.verify import verify_auction, verify_award
from protocols.genesis import GENESIS_BYTES_MAX, Genesis
from protocols.light import BUNDLE_BYTES_MAX, Anchor, Bundle, Proven, make_anchor, verify_bundle

FORMAT = "econode/auction-result"
VERSION = 1
RESULT_BYTES_MAX = BUNDLE_BYTES_MAX + GENESIS_BYTES_MAX


class ResultFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of the file. `genesis` is that of the network whose members certified it."""

    genesis: Genesis
    proof: Bundle


@dataclass(frozen=True, slots=True)
class VerifiedResult:
    """A result that is certified and follows from its inputs, in the network with this id."""

    network: bytes
    fact: AuctionEnded | Awarded
    proven: Proven


def encode_result(result: ResultFile) -> bytes:
    """The bytes of the file: [FORMAT, VERSION, SHA-256 of the payload, payload]."""
    payload = schema.encode(result)
    return cbor.encode([FORMAT, VERSION, hashlib.sha256(payload).digest(), payload])


def decode_result(data: bytes) -> ResultFile:
    """Raises InvalidBytes for anything but a whole file. Nothing is proven by that."""
    match cbor.decode(data, size_max=RESULT_BYTES_MAX):
        case [str(name), int(version), bytes(digest), bytes(payload)] if (
            name == FORMAT and version is not True
        ):
            pass
        case _:
            raise InvalidSchema("not the result of an auction")
    if version != VERSION:
        raise InvalidSchema(f"a result of version {version}, this program reads {VERSION}")
    if hashlib.sha256(payload).digest() != digest:
        raise InvalidSchema("the file is damaged")
    return schema.decode(payload, ResultFile, size_max=RESULT_BYTES_MAX)


def verify_result(data: bytes, anchor: Anchor | None, now_ms: int) -> VerifiedResult:
    """What the file proves to somebody who trusts `anchor`, or, without one, the genesis in the
    file (then its age does not count: the reader has no newer one).

    Raises InvalidBytes, StaleAnchor, or InvalidResult when winners or payments do not follow.
    """
    result = decode_result(data)
    if anchor is None:
        anchor, now_ms = make_anchor(result.genesis), result.genesis.created_ms
    proven = verify_bundle(result.proof, anchor, now_ms)
    match proven.facts:
        case (AuctionEnded() as fact,):
            verify_auction(fact)
            return VerifiedResult(anchor.network, fact, proven)
        case (Awarded() as award,):
            verify_award(award)
            return VerifiedResult(anchor.network, award, proven)
    raise InvalidSchema("it proves something else than the result of one auction")

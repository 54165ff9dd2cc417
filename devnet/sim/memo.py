"""Shortcuts that make a simulated world fast and change nothing of what happens in it.

Within `shortcuts()` equal bytes are taken apart and verified once for the whole world: statements,
payloads and frames are frozen, so members may share them. Signatures of `SimKey` are a keyed hash
instead of Ed25519: only the holder of the seed can make one, and the world, which holds all
seeds, can check each. `tests/sim/test_determinism.py` runs the same plans without them.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec

from crdt.facts import Fact
from crdt.log import Head, Header
from identity import envelope, keys, schema
from identity.envelope import Context, Statement
from identity.errors import InvalidSignature
from identity.keys import PrivateKey
from node import router
from node.router import AnyHop
from protocols.messages import Hop, Propose
from protocols.messages import Statement as Payload

T = TypeVar("T")

_REMEMBERED: tuple[type, ...] = (Payload, Head, Header, Fact, Propose)
"""Structs that several members encode alike; all of them are frozen and hashable."""


class SimKey(PrivateKey):
    """A key whose signatures are SHA-512 of seed and message: quick, and checked by the world.

    Its public key is the Ed25519 one, so it is a valid account.
    """

    __slots__ = ()

    def sign(self, message: bytes) -> bytes:
        return hashlib.sha512(self.seed + message).digest()


class Memory:
    """What one world has seen."""

    def __init__(self) -> None:
        self.seeds: dict[bytes, bytes] = {}
        self.parsed: dict[bytes, Statement] = {}
        self.payloads: defaultdict[type, dict[bytes, Any]] = defaultdict(dict)
        self.encoded: dict[Any, bytes] = {}
        self.kinds: dict[type, bool] = {}
        """Whether the encoding of a class is kept."""
        self.contexts: dict[Context, bytes] = {}
        self.checked: set[bytes] = set()
        self.frames: dict[bytes, AnyHop] = {}

    def add_key(self, key: PrivateKey) -> None:
        """Verify this key's signatures as `SimKey` makes them."""
        if isinstance(key, SimKey):
            self.seeds[key.public] = key.seed


@contextmanager
def quick_signatures() -> Iterator[Memory]:
    """Within the block the signatures of `SimKey` are good, and nothing is remembered."""
    memory = Memory()
    with patched([(keys, "verify", _make_verify(memory, keys.verify))]):
        yield memory


@contextmanager
def shortcuts() -> Iterator[Memory]:
    """Within the block this process uses all shortcuts; worlds must not overlap."""
    memory = Memory()
    patches: list[tuple[Any, str, Any]] = [
        (envelope, "parse", _make_parse(memory, envelope.parse)),
        (envelope, "sign", _make_sign(memory, envelope.sign)),
        (schema, "decode", _make_decode(memory, schema.decode)),
        (schema, "encode", _make_encode(memory, schema.encode)),
        (keys, "verify", _make_verify(memory, keys.verify)),
        (Statement, "check", _make_check(memory, Statement.check)),
        (Context, "encode", _make_encode_context(memory, Context.encode)),
        (router, "decode_frame", _make_decode_frame(memory, router.decode_frame)),
        (router, "encode_frame", _make_encode_frame(memory, router.encode_frame)),
    ]
    with patched(patches):
        yield memory


@contextmanager
def patched(patches: list[tuple[Any, str, Any]]) -> Iterator[None]:
    """Within the block each (owner, name, value) holds; afterwards what was there before."""
    former = [(owner, name, owner.__dict__[name]) for owner, name, _ in patches]
    try:
        for owner, name, value in patches:
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(former):
            setattr(owner, name, value)


def _make_parse(memory: Memory, original: Callable[..., Statement]) -> Callable[..., Statement]:
    parsed = memory.parsed

    def parse(data: bytes, *, size_max: int) -> Statement:
        known = parsed.get(data)
        if known is None or len(data) > size_max:
            known = parsed[data] = original(data, size_max=size_max)
        return known

    return parse


def _make_sign(memory: Memory, original: Callable[..., Statement]) -> Callable[..., Statement]:
    def sign(key: PrivateKey, context: Context, payload: bytes) -> Statement:
        statement = original(key, context, payload)
        memory.parsed[statement.data] = statement
        memory.checked.add(statement.data)
        return statement

    return sign


def _make_decode(memory: Memory, original: Callable[..., Any]) -> Callable[..., Any]:
    payloads = memory.payloads

    def decode(data: bytes, kind: type[T], *, size_max: int) -> T:
        value: T | None = payloads[kind].get(data)
        if value is None or len(data) > size_max:
            value = payloads[kind][data] = original(data, kind, size_max=size_max)
        return value

    return decode


def _make_encode(
    memory: Memory, original: Callable[[msgspec.Struct], bytes]
) -> Callable[[msgspec.Struct], bytes]:
    encoded, kinds = memory.encoded, memory.kinds

    def encode(value: msgspec.Struct) -> bytes:
        kind = type(value)
        if kind not in kinds:  # asked once: a struct's class makes `isinstance` slow
            kinds[kind] = isinstance(value, _REMEMBERED)
        if not kinds[kind]:
            return original(value)
        data = encoded.get(value)
        if data is None:
            data = encoded[value] = original(value)
        return data

    return encode


def _make_verify(memory: Memory, original: Callable[..., None]) -> Callable[..., None]:
    def verify(public: bytes, message: bytes, signature: bytes) -> None:
        seed = memory.seeds.get(public)
        if seed is None:
            original(public, message, signature)
        elif hashlib.sha512(seed + message).digest() != signature:
            raise InvalidSignature("the signature does not match")

    return verify


def _make_check(memory: Memory, original: Callable[..., None]) -> Callable[..., None]:
    checked = memory.checked

    def check(self: Statement, network: bytes) -> None:
        if self.data not in checked:
            original(self, network)
            checked.add(self.data)

    return check


def _make_encode_context(
    memory: Memory, original: Callable[[Context], bytes]
) -> Callable[[Context], bytes]:
    contexts = memory.contexts

    def encode(self: Context) -> bytes:
        data = contexts.get(self)
        if data is None:
            data = contexts[self] = original(self)
        return data

    return encode


def _make_decode_frame(
    memory: Memory, original: Callable[[bytes], AnyHop]
) -> Callable[[bytes], AnyHop]:
    frames = memory.frames

    def decode_frame(frame: bytes) -> AnyHop:
        known = frames.get(frame)
        if known is None:
            known = original(frame)  # not kept: a frame damaged on its way comes once
        return known

    return decode_frame


def _make_encode_frame(memory: Memory, original: Callable[[Hop], bytes]) -> Callable[[Hop], bytes]:
    frames = memory.frames

    def encode_frame(message: Hop) -> bytes:
        frame = original(message)
        frames[frame] = message  # type: ignore[assignment]
        return frame

    return encode_frame

"""Deterministic CBOR (RFC 8949 section 4.2.1), encoded and strictly decoded.

Maps have text keys only: for those the length-first order of `canonical=True` equals the
bytewise order of section 4.2.1. Decoding refuses everything that has a second spelling
(long-form integers, indefinite lengths, unsorted or duplicate keys, trailing bytes) by encoding
again and comparing, and everything this protocol never says (tags, floats, bignums, undefined).
"""

import io
from collections.abc import Iterable
from typing import Any

import cbor2

from identity.errors import InvalidCbor

DEPTH_MAX = 16
# Tags that cbor2 would turn into dates, regular expressions, big numbers or shared references
# while it reads; each is refused before its content is built.
_KNOWN_TAGS = (
    *(0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004),
    *(43000, 55799),
)
INT_MIN = -(1 << 63)
INT_MAX = (1 << 63) - 1


def _refuse_tag(*_: Any) -> Any:
    raise cbor2.CBORDecodeError("tags are not allowed")


_REFUSE_TAGS = dict.fromkeys(_KNOWN_TAGS, _refuse_tag)


def encode(value: Any) -> bytes:
    """The one deterministic encoding of `value`."""
    return cbor2.dumps(value, canonical=True)


def encode_ordered(value: Any) -> bytes:
    """`encode` for a value whose map keys stand in order, in a third of its time."""
    return cbor2.dumps(value)


def order_keys(keys: Iterable[str]) -> list[str]:
    """Map keys in the order of section 4.2.1."""
    return sorted(keys, key=lambda key: (len(key.encode()), key.encode()))


def put_in_order(value: Any) -> Any:
    """`value` with all its map keys in order."""
    if isinstance(value, dict):
        return {key: put_in_order(value[key]) for key in order_keys(value)}
    if isinstance(value, list | tuple):
        return [put_in_order(item) for item in value]
    return value


def decode(data: bytes, *, size_max: int) -> Any:
    """The value of `data`, which must be its deterministic encoding.

    Raises InvalidCbor when `data` is longer than `size_max` bytes, not well-formed, or not
    the deterministic encoding. The size is checked before anything is allocated.
    """
    value = _load(data, size_max)
    _check_plain(value, is_ordered=True)
    if encode_ordered(value) != data:
        raise InvalidCbor("not the deterministic encoding (RFC 8949 section 4.2.1)")
    return value


def _check_plain(value: Any, *, is_ordered: bool) -> None:
    kind = type(value)
    if kind is bytes or kind is str or kind is bool or value is None:
        return
    if kind is int:
        if not INT_MIN <= value <= INT_MAX:
            raise InvalidCbor("an integer beyond 64 bits")
    elif kind is list:
        for item in value:
            _check_plain(item, is_ordered=is_ordered)
    elif kind is dict:
        last = (-1, b"")
        for key, item in value.items():
            if type(key) is not str:
                raise InvalidCbor("a map key that is not text")
            if is_ordered:
                encoded = key.encode()
                order = (len(encoded), encoded)
                if order <= last:
                    raise InvalidCbor("map keys out of order (RFC 8949 section 4.2.1)")
                last = order
            _check_plain(item, is_ordered=is_ordered)
    else:
        raise InvalidCbor(f"a value of kind {kind.__name__} is not allowed")


def decode_hop(data: bytes, *, size_max: int) -> Any:
    """The value of a hop message: bounded and plain like `decode`, in any well-formed spelling.

    Hop messages are authenticated by the channel they come in, never signed, hashed or stored,
    so their spelling does not matter. Raises InvalidCbor.
    """
    value = _load(data, size_max)
    _check_plain(value, is_ordered=False)
    return value


def _load(data: bytes, size_max: int) -> Any:
    if len(data) > size_max:
        raise InvalidCbor(f"{len(data)} bytes, at most {size_max} are allowed here")
    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(
            stream,
            max_depth=DEPTH_MAX,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
            semantic_decoders=_REFUSE_TAGS,
        ).decode()
    except (cbor2.CBORError, ValueError, OverflowError) as error:
        raise InvalidCbor(f"not well-formed: {error}") from error
    # The decoder puts back what it read ahead; `cbor2.loads` would drop what comes after.
    if stream.tell() != len(data):
        raise InvalidCbor(f"{len(data) - stream.tell()} bytes after the value")
    return value

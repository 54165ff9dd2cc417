"""From checked CBOR to frozen, typed structs and back.

Everything that is said on the wire is a `msgspec.Struct`: frozen, with bounds beside each type.
`decode` accepts only what is in bounds; a strict struct (`forbid_unknown_fields`) also refuses
what it does not know, which signed statements must (docs/protocol.md).
"""

from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import inspect

from identity import cbor
from identity.errors import InvalidSchema

U63_MAX = (1 << 63) - 1

U63 = Annotated[int, msgspec.Meta(ge=0, le=U63_MAX)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=U63_MAX)]
Amount = U63
"""Credits: an integer, never a float."""
TimeMs = U63
"""Milliseconds since 1970-01-01 UTC."""
Key = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Salt = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
CommitteeId = Annotated[bytes, msgspec.Meta(min_length=16, max_length=16)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Text = Annotated[str, msgspec.Meta(max_length=512)]

T = TypeVar("T")


_PLAIN = (
    inspect.IntType,
    inspect.BytesType,
    inspect.StrType,
    inspect.BoolType,
    inspect.NoneType,
    inspect.LiteralType,
)


def encode(value: msgspec.Struct) -> bytes:
    """The deterministic CBOR of a struct."""
    frame = _make_frame(type(value))
    if frame is None:
        return cbor.encode(msgspec.to_builtins(value, builtin_types=(bytes,)))
    content = frame.copy()
    content.update(zip(value.__struct_encode_fields__, msgspec.structs.astuple(value), strict=True))
    return cbor.encode_ordered(content)


@cache
def _make_frame(kind: type[msgspec.Struct]) -> dict[str, Any] | None:
    """The map that a struct of this kind becomes, without values but with its keys in order and
    its tag; None when it holds more than plain values, or not always the same keys."""
    config = kind.__struct_config__
    shape = inspect.type_info(kind)
    assert isinstance(shape, inspect.StructType)
    if config.array_like or config.omit_defaults or not all(map(_is_plain, shape.fields)):
        return None
    content: dict[str, Any] = dict.fromkeys(kind.__struct_encode_fields__)
    if config.tag_field is not None:
        content[config.tag_field] = config.tag
    return {key: content[key] for key in cbor.order_keys(content)}


def _is_plain(kind: inspect.Field | inspect.Type) -> bool:
    """True for what needs no conversion before it is encoded: scalars, and arrays of such."""
    match kind:
        case inspect.Field(type=held) | inspect.Metadata(type=held):
            return _is_plain(held)
        case inspect.UnionType(types=held) | inspect.TupleType(item_types=held):
            return all(map(_is_plain, held))
        case inspect.VarTupleType(item_type=held):
            return _is_plain(held)
    return isinstance(kind, _PLAIN)


def decode(data: bytes, kind: type[T], *, size_max: int) -> T:
    """The `kind` that `data` holds. Raises InvalidCbor or InvalidSchema."""
    return convert(cbor.decode(data, size_max=size_max), kind)


def convert(value: Any, kind: type[T]) -> T:
    """The `kind` that decoded CBOR holds. Raises InvalidSchema, naming the field."""
    try:
        return msgspec.convert(value, kind, builtin_types=(bytes,))
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidSchema(str(error)) from None

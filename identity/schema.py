"""From checked CBOR to frozen, typed structs and back.

Everything that is said on the wire is a `msgspec.Struct`: frozen, with bounds beside each type.
`decode` accepts only what is in bounds; a strict struct (`forbid_unknown_fields`) also refuses
what it does not know, which signed statements must (docs/protocol.md).
"""

from functools import cache
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import inspect
from msgspec.structs import astuple

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


_SCALARS = frozenset((bytes, str, int, bool, type(None)))
_SCALAR_TYPES = (
    inspect.IntType,
    inspect.BytesType,
    inspect.StrType,
    inspect.BoolType,
    inspect.NoneType,
    inspect.LiteralType,
)


def encode(value: msgspec.Struct) -> bytes:
    """The deterministic CBOR of a struct."""
    return cbor.encode_ordered(_to_plain(value))


class _Shape(msgspec.Struct, frozen=True):
    """How structs of one class become plain values."""

    frame: dict[str, Any]
    """The map without its values: the keys in their order, and the tag."""
    nested: tuple[str, ...]
    """Fields that may hold structs."""
    is_array: bool


def _to_plain(value: msgspec.Struct) -> Any:
    """Maps with their keys in order, arrays and scalars."""
    shape = _find_shape(type(value))
    if shape is None:
        return cbor.put_in_order(msgspec.to_builtins(value, builtin_types=(bytes,)))
    content = shape.frame.copy()
    content.update(zip(value.__struct_encode_fields__, astuple(value), strict=True))
    for name in shape.nested:
        content[name] = _convert(content[name])
    return list(content.values()) if shape.is_array else content


def _convert(value: Any) -> Any:
    kind = type(value)
    if kind in _SCALARS:
        return value
    return [_convert(item) for item in value] if kind is tuple else _to_plain(value)


@cache
def _find_shape(kind: type[msgspec.Struct]) -> _Shape | None:
    """None for what does not always have the same keys, or holds more than structs, tuples and
    scalars."""
    config, found = kind.__struct_config__, inspect.type_info(kind)
    assert isinstance(found, inspect.StructType)
    if config.omit_defaults or not all(_holds_only(field.type, True) for field in found.fields):
        return None
    content: dict[str, Any] = {}
    if config.tag_field is not None:
        content[config.tag_field] = config.tag
    content |= dict.fromkeys(kind.__struct_encode_fields__)
    if not config.array_like:
        content = {key: content[key] for key in cbor.order_keys(content)}
    nested = (f.encode_name for f in found.fields if not _holds_only(f.type, False))
    return _Shape(content, tuple(nested), config.array_like)


def _holds_only(kind: inspect.Type, with_structs: bool) -> bool:
    """True for scalars and tuples of such, and, if wanted, structs."""
    match kind:
        case inspect.Metadata(type=held) | inspect.VarTupleType(item_type=held):
            return _holds_only(held, with_structs)
        case inspect.UnionType(types=held) | inspect.TupleType(item_types=held):
            return all(_holds_only(each, with_structs) for each in held)
        case inspect.StructType():
            return with_structs
    return isinstance(kind, _SCALAR_TYPES)


def decode(data: bytes, kind: type[T], *, size_max: int) -> T:
    """The `kind` that `data` holds. Raises InvalidCbor or InvalidSchema."""
    return convert(cbor.decode(data, size_max=size_max), kind)


def convert(value: Any, kind: type[T]) -> T:
    """The `kind` that decoded CBOR holds. Raises InvalidSchema, naming the field."""
    try:
        return msgspec.convert(value, kind, builtin_types=(bytes,))
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidSchema(str(error)) from None

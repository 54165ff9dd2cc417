"""From checked CBOR to frozen, typed structs and back.

Everything that is said on the wire is a `msgspec.Struct`: frozen, with bounds beside each type.
`decode` accepts only what is in bounds; a strict struct (`forbid_unknown_fields`) also refuses
what it does not know, which signed statements must (docs/protocol.md).
"""

from typing import Annotated, Any, TypeVar

import msgspec

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


def encode(value: msgspec.Struct) -> bytes:
    """The deterministic CBOR of a struct."""
    return cbor.encode(msgspec.to_builtins(value, builtin_types=(bytes,)))


def decode(data: bytes, kind: type[T], *, size_max: int) -> T:
    """The `kind` that `data` holds. Raises InvalidCbor or InvalidSchema."""
    return convert(cbor.decode(data, size_max=size_max), kind)


def convert(value: Any, kind: type[T]) -> T:
    """The `kind` that decoded CBOR holds. Raises InvalidSchema, naming the field."""
    try:
        return msgspec.convert(value, kind, builtin_types=(bytes,))
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidSchema(str(error)) from None

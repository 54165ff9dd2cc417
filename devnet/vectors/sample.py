"""Values of any wire struct, by its types alone: a new operation or fact needs no work here.

What is made keeps the bounds that stand beside the types; what they mean together (a deadline after
its opening, say) is left to vectors that are written by hand.
"""

import random
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import inspect as types

Size = Literal["least", "usual", "most"]
Path = tuple[str | int, ...]
BYTES_USUAL_MAX = 40
ITEMS_USUAL_MAX = 2
TEXT_USUAL_MAX = 12
U63_MAX = (1 << 63) - 1
_PATTERNED = {"^[0-9a-f]*$": "0a"}
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Sampler:
    """Values from one seed, always the same ones."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)

    def make(self, kind: type[msgspec.Struct], size: Size) -> dict[str, Any] | list[Any]:
        """A struct as plain values: a map with its tag, or an array."""
        info = types.type_info(kind)
        assert isinstance(info, types.StructType)
        return self._make_struct(info, size)

    def _make_struct(self, info: types.StructType, size: Size) -> dict[str, Any] | list[Any]:
        values = {field.encode_name: self._make(field.type, size) for field in info.fields}
        if info.array_like:
            return list(values.values())
        return values if info.tag is None else {str(info.tag_field): info.tag, **values}

    def _make(self, kind: types.Type, size: Size) -> Any:
        match kind:
            case types.IntType():
                return self._make_int(kind, size)
            case types.BytesType():
                return self._random.randbytes(self._choose_size(kind, size, BYTES_USUAL_MAX))
            case types.StrType():
                return self._make_text(kind, size)
            case types.BoolType():
                return size == "most"
            case types.NoneType():
                return None
            case types.LiteralType():
                return self._random.choice(sorted(kind.values, key=str))
            case types.VarTupleType():
                count = self._choose_size(kind, size, ITEMS_USUAL_MAX)
                return [self._make(kind.item_type, size) for _ in range(count)]
            case types.StructType():
                return self._make_struct(kind, size)
            case types.UnionType():
                return self._make(self._choose_part(kind, size), size)
        raise TypeError(f"no sample for {kind}")

    def _choose_part(self, kind: types.UnionType, size: Size) -> types.Type:
        parts = [part for part in kind.types if not isinstance(part, types.NoneType)]
        if len(parts) < len(kind.types) and size == "least":
            return types.NoneType()
        return self._random.choice(parts)

    def _make_int(self, kind: types.IntType, size: Size) -> int:
        low, high = kind.ge or 0, U63_MAX if kind.le is None else kind.le
        if size == "usual":
            return self._random.randint(low, min(high, low + 100_000))
        return int(low if size == "least" else high)

    def _make_text(self, kind: types.StrType, size: Size) -> str:
        count = self._choose_size(kind, size, TEXT_USUAL_MAX)
        letters = _PATTERNED.get(kind.pattern or "", _LETTERS)
        return "".join(self._random.choice(letters) for _ in range(count))

    def _choose_size(
        self, kind: types.BytesType | types.StrType | types.VarTupleType, size: Size, usual_max: int
    ) -> int:
        low, high = kind.min_length or 0, kind.max_length
        top = max(low, usual_max if high is None else min(high, usual_max))
        if size == "usual":
            return self._random.randint(min(top, max(low, 1)), top)
        return low if size == "least" else top


def list_fields(info: types.Type, value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Where each field of a sample stands and its type, in depth: (path, type)."""
    match info:
        case types.StructType():
            for index, field in enumerate(info.fields):
                at: str | int = index if info.array_like else field.encode_name
                yield (*path, at), field
                yield from list_fields(field.type, value[at], (*path, at))
        case types.VarTupleType() if value:
            yield from list_fields(info.item_type, value[0], (*path, 0))
        case types.UnionType() if isinstance(value, dict):
            for part in info.types:
                if isinstance(part, types.StructType) and value.get(part.tag_field) == part.tag:
                    yield from list_fields(part, value, path)

"""Samples of a struct with one fault against its schema each."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec import inspect as types

from devnet.vectors.form import CELL_TESTS_MAX
from devnet.vectors.sample import U63_MAX, Path, list_fields

T = TypeVar("T")
_ITEMS_TRIED_MAX = 100
"""Longer arrays make vectors too large to carry; their bound is still in the CDDL."""
_BYTES_TRIED_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Fault:
    flag: str
    comment: str
    value: Any


def list_faults(kind: type[msgspec.Struct], value: Any, *, is_open: bool) -> list[Fault]:
    """Faults of a sample, at most CELL_TESTS_MAX for each flag. `is_open`: unknown fields are
    tolerated, so that they are no fault."""
    info = types.type_info(kind)
    fields = list(list_fields(info, value))
    found = [
        *([] if is_open else spread(list(_add_fields(value, fields)), 3)),
        *spread(list(_drop_fields(value, fields)), 3),
        *spread(list(_swap_types(value, fields)), CELL_TESTS_MAX),
        *spread(list(_leave_bounds(value, fields)), CELL_TESTS_MAX),
    ]
    if isinstance(info, types.StructType) and info.tag is not None:
        found.append(Fault("UnknownType", "a type that nobody knows", _retag(info, value)))
    return found


def spread(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of `items`, from all over."""
    if len(items) <= count:
        return list(items)
    return [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]


def _retag(info: types.StructType, value: Any) -> Any:
    return {**value, str(info.tag_field): "no_such_type"}


def _name(path: Path) -> str:
    return ".".join(map(str, path))


def _put(value: Any, path: Path, item: Any) -> Any:
    """A copy of `value` with `item` at `path`."""
    copy = deepcopy(value)
    inner = copy
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = item
    return copy


def _get(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _add_fields(value: Any, fields: list[tuple[Path, Any]]) -> Iterator[Fault]:
    holders = {(): None, **{path[:-1]: None for path, _ in fields}}
    for path in holders:
        holder = _get(value, path)
        where = _name(path) or "the top"
        if isinstance(holder, dict):
            more = {**holder, "zz_extra": 0}
            yield (
                Fault("UnknownField", f"one field more in {where}", _put(value, path, more))
                if path
                else Fault("UnknownField", "one field more", more)
            )
        elif isinstance(holder, list) and path:
            yield Fault("UnknownField", f"one more in {where}", _put(value, path, [*holder, 0]))


def _drop_fields(value: Any, fields: list[tuple[Path, Any]]) -> Iterator[Fault]:
    for path, field in fields:
        if not field.required:
            continue
        holder = deepcopy(_get(value, path[:-1]))
        if isinstance(holder, list) and path[-1] != len(holder) - 1:
            continue  # an absent one in between is one of another type
        del holder[path[-1]]
        changed = _put(value, path[:-1], holder) if path[:-1] else holder
        yield Fault("MissingField", f"without {_name(path)}", changed)


def _swap_types(value: Any, fields: list[tuple[Path, Any]]) -> Iterator[Fault]:
    for path, _ in fields:
        match _get(value, path):
            case bool():
                others: list[Any] = [1]
            case int() as number:
                others = [str(number), True]
            case bytes() as data:
                others = [data.hex()]
            case str() as text:
                others = [text.encode()]
            case list():
                others = [{}]
            case None:
                others = [False]
            case _:
                others = [[]]
        for other in others:
            what = type(other).__name__
            yield Fault(
                "WrongFieldType", f"{_name(path)} is of type {what}", _put(value, path, other)
            )


def _leave_bounds(value: Any, fields: list[tuple[Path, Any]]) -> Iterator[Fault]:
    for path, field in fields:
        for kind in _parts(field.type):
            held = _get(value, path)
            for words, other in _beyond(kind, held):
                yield Fault("OutOfBounds", f"{_name(path)} {words}", _put(value, path, other))


def _parts(kind: types.Type) -> tuple[types.Type, ...]:
    return kind.types if isinstance(kind, types.UnionType) else (kind,)


def _beyond(kind: types.Type, held: Any) -> Iterator[tuple[str, Any]]:
    match kind:
        case types.IntType():
            yield "one too low", (kind.ge or 0) - 1
            if kind.le is not None and kind.le < U63_MAX:
                yield "one too high", kind.le + 1
        case types.BytesType():
            if kind.min_length:
                yield "one byte too short", bytes(kind.min_length - 1)
            if kind.max_length is not None and kind.max_length <= _BYTES_TRIED_MAX:
                yield "one byte too long", bytes(kind.max_length + 1)
        case types.StrType():
            if kind.min_length:
                yield "empty", ""
            if kind.max_length is not None and kind.max_length <= _BYTES_TRIED_MAX:
                yield "one character too long", "a" * (kind.max_length + 1)
            if kind.pattern is not None:
                yield "with a character that is not allowed", "!"
        case types.LiteralType():
            yield "of a value that is not in the list", "no-such-value"
        case types.VarTupleType() if isinstance(held, list):
            if kind.min_length:
                yield "with too few items", held[: kind.min_length - 1]
            if kind.max_length is not None and kind.max_length <= _ITEMS_TRIED_MAX and held:
                yield "with one item too many", [held[0]] * (kind.max_length + 1)

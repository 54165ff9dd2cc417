"""Structs become the deterministic CBOR of their maps, whichever way they are encoded."""

from typing import Any, Literal

import cbor2
import hypothesis.strategies as st
import msgspec
import pytest
from hypothesis import given

from identity import schema


class Flat(msgspec.Struct, frozen=True):
    """Fields out of the order of section 4.2.1, and with lengths around it."""

    zebra: int
    id: bytes
    at: bool | None
    kinds: tuple[Literal["one", "two"], ...]
    pairs: tuple[tuple[bytes, int], ...]
    b: str = ""


class Tagged(msgspec.Struct, frozen=True, tag_field="kind", tag="tagged"):
    identity: int
    on: str


class Row(msgspec.Struct, frozen=True, array_like=True):
    second: int
    one: tuple[Tagged, ...]


class Sparse(msgspec.Struct, frozen=True, tag_field="kind", tag="sparse", omit_defaults=True):
    second: int = 0
    one: int = 0


class Nested(msgspec.Struct, frozen=True):
    second: tuple[Tagged, ...]
    one: Flat | None
    rows: tuple[Row, ...]
    either: Tagged | Sparse


class Open(msgspec.Struct, frozen=True):
    """Anything within, as the state of a fold has it."""

    within: Any
    at: int


class Renamed(msgspec.Struct, frozen=True, rename="camel"):
    second_name: int
    one: int


flat = st.builds(
    Flat,
    st.integers(0, schema.U63_MAX),
    st.binary(max_size=40),
    st.booleans() | st.none(),
    st.lists(st.sampled_from(["one", "two"])).map(tuple),
    st.lists(st.tuples(st.binary(), st.integers(0, 9))).map(tuple),
    st.text(),
)
tagged = st.builds(Tagged, st.integers(0, 300), st.text())
sparse = st.builds(Sparse, st.integers(0, 1), st.integers(0, 1))
rows = st.builds(Row, st.integers(0, 9), st.lists(tagged, max_size=2).map(tuple))
plain = st.recursive(
    st.integers(0, 9) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
structs = st.one_of(
    flat,
    tagged,
    rows,
    sparse,
    st.builds(
        Nested,
        st.lists(tagged).map(tuple),
        flat | st.none(),
        st.lists(rows, max_size=2).map(tuple),
        tagged | sparse,
    ),
    st.builds(Open, plain, st.integers(0, 9)),
    st.builds(Renamed, st.integers(0, 9), st.integers(0, 9)),
)


@given(structs)
def test_encodes_as_the_general_encoder_does(value: msgspec.Struct) -> None:
    content = msgspec.to_builtins(value, builtin_types=(bytes,))
    assert schema.encode(value) == cbor2.dumps(content, canonical=True)
    again = schema.decode(schema.encode(value), type(value), size_max=1 << 20)
    assert schema.encode(again) == schema.encode(value)


def test_one_struct_leaves_nothing_in_the_next() -> None:
    first, second = schema.encode(Tagged(1, "a")), schema.encode(Tagged(2, "b"))
    assert schema.encode(Tagged(1, "a")) == first != second


@pytest.mark.parametrize("kind", [Flat, Nested, Sparse])
def test_nothing_but_a_map_is_taken(kind: type) -> None:
    with pytest.raises(schema.InvalidSchema):
        schema.decode(cbor2.dumps([1, 2]), kind, size_max=100)

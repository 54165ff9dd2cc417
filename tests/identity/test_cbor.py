"""Deterministic CBOR: one spelling for each value, and nothing this protocol never says."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity import cbor
from identity.errors import InvalidCbor
from tests.identity.spelling import head, spell

SIZE_MAX = 1 << 16
scalars = (
    st.none()
    | st.booleans()
    | st.integers(cbor.INT_MIN, cbor.INT_MAX)
    | st.binary(max_size=40)
    | st.text(max_size=40)
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=30), inner, max_size=5)
    ),
    max_leaves=20,
)


@given(values)
def test_values_come_back_from_their_one_encoding(value):
    data = cbor.encode(value)
    assert data == spell(value)
    assert cbor.decode(data, size_max=SIZE_MAX) == value
    assert cbor.decode_hop(data, size_max=SIZE_MAX) == value


@given(st.binary(max_size=64))
def test_foreign_bytes_are_refused_or_are_the_one_encoding(data):
    try:
        value = cbor.decode(data, size_max=SIZE_MAX)
    except InvalidCbor:
        return
    assert spell(value) == data


@given(values, st.data())
def test_a_changed_byte_never_means_the_same(value, data):
    encoded = bytearray(cbor.encode(value))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        other = cbor.decode(bytes(encoded), size_max=SIZE_MAX)
    except InvalidCbor:
        return
    assert spell(other) != spell(value)


SECOND_SPELLINGS = {
    "1 in two bytes": "1801",
    "1 in three bytes": "190001",
    "255 in three bytes": "1900ff",
    "1 in five bytes": "1a00000001",
    "1 in nine bytes": "1b0000000000000001",
    "-1 in two bytes": "3800",
    "long length of bytes": "580161",
    "long length of text": "780161",
    "long length of an array": "980100",
    "long length of a map": "b801616100",
    "map not in order": "a2616200616100",
    "map with the longer key first": "a262616100616200",
}
HOP_TOO = {
    "indefinite bytes": "5f4161ff",
    "indefinite text": "7f6161ff",
    "indefinite array": "9f00ff",
    "indefinite map": "bf616100ff",
    "duplicate key": "a2616100616101",
    "trailing byte": "0000",
    "two items": "a0a0",
    "nothing": "",
    "cut array": "8200",
    "cut head": "19",
    "bytes longer than there are": "5b7fffffffffffffff",
    "array of 2**63": "9b8000000000000000",
    "map of 2**40": "bb0000010000000000",
    "reserved head 28": "1c",
    "lone break": "ff",
    "half float": "f93c00",
    "single float": "fa3f800000",
    "double float": "fb3ff0000000000000",
    "NaN": "f97e00",
    "float in a map": "a16161f90000",
    "undefined": "f7",
    "simple value 0": "e0",
    "simple value 255": "f8ff",
    "false in two bytes": "f814",
    "2**63": "1b8000000000000000",
    "-2**63 - 1": "3b8000000000000000",
    "bignum": "c249010000000000000000",
    "small bignum": "c24101",
    "negative bignum": "c349010000000000000000",
    "text date": "c074323031332d30332d32315432303a30343a30305a",
    "epoch date": "c11a514b67b0",
    "decimal fraction": "c48221196ab3",
    "self-described CBOR": "d9d9f700",
    "shared value": "d81c80",
    "reference to itself": "d81c81d81d00",
    "string reference": "d9010082616161",
    "regular expression": "d82363612b2b",
    "set": "d9010280",
    "unknown tag": "da0001000000",
    "unknown tag deep inside": "a161618181d9fffe00",
    "number as key": "a10000",
    "bytes as key": "a1416100",
    "null as key": "a1f600",
    "array as key": "a18000",
    "map as key": "a1a000",
    "number as a second key": "a200006161f6",
    "lone surrogate": "63eda080",
    "bad UTF-8": "61ff",
    "overlong UTF-8": "62c080",
}


@pytest.mark.parametrize("name", SECOND_SPELLINGS)
def test_a_second_spelling_is_refused(name):
    data = bytes.fromhex(SECOND_SPELLINGS[name])
    with pytest.raises(InvalidCbor):
        cbor.decode(data, size_max=SIZE_MAX)
    cbor.decode_hop(data, size_max=SIZE_MAX)  # harmless there: never signed, hashed or stored


@pytest.mark.parametrize("name", HOP_TOO)
def test_what_the_protocol_never_says_is_refused(name):
    data = bytes.fromhex(HOP_TOO[name])
    for decode in (cbor.decode, cbor.decode_hop):
        with pytest.raises(InvalidCbor):
            decode(data, size_max=SIZE_MAX)


@pytest.mark.parametrize("content", ["00", "40", "60", "80", "a0", "f6", "820001", "1a00010000"])
def test_every_tag_is_refused(content):
    for tag in (*range(1200), 43000, 55799, 1 << 32, (1 << 64) - 1):
        with pytest.raises(InvalidCbor):
            cbor.decode(head(6, tag) + bytes.fromhex(content), size_max=SIZE_MAX)


@pytest.mark.parametrize("opening", [b"\x81", b"\xa1\x61a"])
def test_depth_is_bounded(opening):
    def nest(depth: int) -> bytes:
        return opening * depth + b"\x00"

    cbor.decode(nest(cbor.DEPTH_MAX), size_max=SIZE_MAX)
    for depth in (cbor.DEPTH_MAX + 1, SIZE_MAX // 4):
        with pytest.raises(InvalidCbor):
            cbor.decode(nest(depth), size_max=SIZE_MAX)


def test_size_is_checked_first():
    data = cbor.encode(bytes(100))
    assert cbor.decode(data, size_max=len(data)) == bytes(100)
    with pytest.raises(InvalidCbor, match=f"{len(data)} bytes, at most {len(data) - 1}"):
        cbor.decode(data, size_max=len(data) - 1)


@pytest.mark.parametrize("number", [0, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1])
def test_integers_at_their_edges(number):
    for value in (number, -1 - number):
        assert cbor.decode(cbor.encode(value), size_max=9) == value


def test_the_oracle_agrees_with_the_library_on_text_keys():
    value = {"b": 1, "aa": 2, "": 3, "\N{SNOWMAN}": [True, None, b"x"]}
    assert spell(value) == cbor2.dumps(value, canonical=True)

"""`file-stats` against a dumb twin that goes byte by byte."""

import hashlib
import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from identity import cbor
from identity.errors import InvalidBytes
from node import file_stats

TEXT = st.lists(
    st.sampled_from([b"a", b"A", b"b", b"ab", b"B", b" ", b"\n", b"\r\n", b"_", b"\xc3\xa9", b"7"])
).map(b"".join)


def twin(data: bytes) -> dict[str, object]:
    words, word = [], ""
    for byte in [*data, 0]:
        if chr(byte) in string.ascii_letters:
            word += chr(byte).lower()
        elif word:
            words.append(word)
            word = ""
    counts = sorted({(-words.count(each), each) for each in words})
    lines = 0
    for index, byte in enumerate(data):
        if byte == 10 or index == len(data) - 1:
            lines += 1
    return {
        "bytes": len(data),
        "lines": lines,
        "words": len(words),
        "distinct": len(counts),
        "top": [[each, -count] for count, each in counts[:20]],
        "sha256": hashlib.sha256(data).digest(),
    }


@given(st.binary(max_size=200) | TEXT, st.sampled_from([1, 3, 1 << 18]))
@example(b"", 1)
@example(b"\n", 1)
@example(" ".join(string.ascii_letters).encode(), 2)
def test_equals_the_twin_whatever_the_slices(data: bytes, slice_bytes: int) -> None:
    saved = file_stats._SLICE_BYTES
    file_stats._SLICE_BYTES = slice_bytes
    try:
        output = file_stats.stats(data)
    finally:
        file_stats._SLICE_BYTES = saved
    assert cbor.decode(output, size_max=1 << 20) == twin(data)


def test_summarise_adds_up_and_sorts_by_size() -> None:
    files = {"b": b"x y\n" * 3, "a": b"x y\n" * 3, "c": b"long " * 100, "empty": b""}
    summary = file_stats.summarise({n: file_stats.stats(d) for n, d in files.items()}, largest=3)
    assert [name for name, _ in summary.largest] == ["c", "a", "b"]
    assert (summary.files, summary.size_bytes) == (4, 524)
    assert (summary.lines, summary.words) == (7, 112)
    assert summary.largest[0][1].top == (("long", 100),)


@pytest.mark.parametrize(
    "output",
    [
        b"",
        cbor.encode({}),
        cbor.encode({**twin(b"x"), "more": 1}),
        cbor.encode({**twin(b"x"), "top": [["x"]]}),
        cbor.encode({**twin(b"x"), "lines": True}),
        cbor.encode({**twin(b"x"), "words": -1}),
        cbor.encode({**twin(b"x"), "sha256": b""}),
    ],
)
def test_a_foreign_output_of_another_shape_is_refused(output: bytes) -> None:
    with pytest.raises(InvalidBytes):
        file_stats.parse(output)

"""The default job's capability `file-stats`, version 1: statistics of a file's bytes.

A pure function of the bytes (no locale, no decoding), so honest executors agree bit by bit.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from identity import cbor
from identity.errors import InvalidSchema

NAME = "file-stats"
VERSION = "1"
TARGET = "node.file_stats:stats"
TOP_WORDS_MAX = 20
OUTPUT_BYTES_MAX = 1 << 20
SPECIFICATION = """\
file-stats 1. Input: any bytes. Output: a CBOR map (RFC 8949, deterministic) with text keys:
bytes: the number of bytes.
lines: the number of bytes 0x0A, plus one if the input is not empty and does not end in 0x0A.
words: the number of words; a word is a maximal run of the ASCII letters A-Z and a-z.
distinct: the number of different words, with A-Z read as a-z.
top: an array of at most 20 arrays [word in lower case, count], the most frequent words; higher
     count first, equal counts by the word in ascending byte order.
sha256: a byte string, the SHA-256 of the input.
"""

# The input is split at non-letters into slices of about this size, so that memory follows the
# number of distinct words and not the number of words.
_SLICE_BYTES = 1 << 18
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TO_WORDS = bytes(byte | 0x20 if byte in _LETTERS else 0x20 for byte in range(256))
_NON_LETTER = re.compile(rb"[^A-Za-z]")


@dataclass(frozen=True, slots=True)
class FileStats:
    """The output, decoded."""

    size_bytes: int
    lines: int
    words: int
    distinct: int
    top: tuple[tuple[str, int], ...]
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Summary:
    """Totals over many files, and the largest ones by bytes (then by name)."""

    files: int
    size_bytes: int
    lines: int
    words: int
    largest: tuple[tuple[str, FileStats], ...]


def stats(data: bytes) -> bytes:
    """The statistics of `data` as SPECIFICATION says."""
    counts = _word_counts(data)
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:TOP_WORDS_MAX]
    return cbor.encode(
        {
            "bytes": len(data),
            "lines": data.count(b"\n") + (bool(data) and not data.endswith(b"\n")),
            "words": counts.total(),
            "distinct": len(counts),
            "top": [[word.decode("ascii"), count] for word, count in top],
            "sha256": hashlib.sha256(data).digest(),
        }
    )


def _word_counts(data: bytes) -> Counter[bytes]:
    counts: Counter[bytes] = Counter()
    start = 0
    while start < len(data):
        boundary = _NON_LETTER.search(data, start + _SLICE_BYTES)
        end = boundary.end() if boundary else len(data)
        counts.update(data[start:end].translate(_TO_WORDS).split())
        start = end
    return counts


def parse(output: bytes) -> FileStats:
    """The output of `stats`, taken apart. Raises InvalidBytes when it has another shape."""
    match cbor.decode(output, size_max=OUTPUT_BYTES_MAX):
        case {
            "bytes": size,
            "lines": lines,
            "words": words,
            "distinct": distinct,
            "top": list(top),
            "sha256": bytes(digest),
        } as fields if len(fields) == 6 and len(top) <= TOP_WORDS_MAX and len(digest) == 32:
            for count in (size, lines, words, distinct):
                _check_count(count)
            pairs = tuple(_parse_pair(item) for item in top)
            return FileStats(size, lines, words, distinct, pairs, digest)
    raise InvalidSchema("not an output of file-stats 1")


def _check_count(value: Any) -> None:
    if type(value) is not int or value < 0:
        raise InvalidSchema("a count that is not a number from 0")


def _parse_pair(item: Any) -> tuple[str, int]:
    match item:
        case [str(word), count]:
            _check_count(count)
            return word, count
    raise InvalidSchema("an entry of `top` is not [word, count]")


def summarise(outputs: Mapping[str, bytes], largest: int = 10) -> Summary:
    """Totals over `outputs` (file name -> output of `stats`) and its `largest` files.

    Distinct words are not added up: the outputs do not carry the words. Raises InvalidBytes.
    """
    rows = [(name, parse(output)) for name, output in outputs.items()]
    rows.sort(key=lambda row: (-row[1].size_bytes, row[0]))
    return Summary(
        files=len(rows),
        size_bytes=sum(row.size_bytes for _, row in rows),
        lines=sum(row.lines for _, row in rows),
        words=sum(row.words for _, row in rows),
        largest=tuple(rows[:largest]),
    )

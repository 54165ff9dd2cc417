"""The messages of `crdt/antientropy.py`: hop messages, authenticated by the channel."""

from typing import Annotated

import msgspec

from crdt import log
from crdt.heads import FORK_BYTES_MAX
from crdt.ranges import PLACE_DIGITS
from identity.schema import U63, Digest

LINES_MAX = 256
MARKS_MAX = 64
WANTS_MAX = 64
ENTRIES_MAX = 256
RANGES_MAX = 64
SALT_BYTES = 16
SHORTS_BYTES = 128

Prefix = Annotated[str, msgspec.Meta(max_length=PLACE_DIGITS, pattern="^[0-9a-f]*$")]
Salt = Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]


class HeadLine(msgspec.Struct, frozen=True):
    """One author's log: `marks` are hashes at the positions of `list_marks(count)`, the last
    entry's first, one or all of them; `fork` is the position where it is frozen."""

    author: log.Author
    count: U63
    marks: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=MARKS_MAX)]
    fork: U63 | None = None


class LogHeads(msgspec.Struct, frozen=True, tag_field="type", tag="log_heads"):
    """The sender's root and weight, and its lines of some logs that the two do not agree on."""

    root: Digest
    weight: U63
    lines: Annotated[tuple[HeadLine, ...], msgspec.Meta(max_length=LINES_MAX)]


class RangeAsk(msgspec.Struct, frozen=True):
    """A range of places, and how many authors the asker holds in it."""

    prefix: Prefix
    count: U63


class LogAsk(msgspec.Struct, frozen=True, tag_field="type", tag="log_ask"):
    """What do you hold in these ranges? Fingerprints are to be shortened under `salt`."""

    salt: Salt
    ranges: Annotated[tuple[RangeAsk, ...], msgspec.Meta(min_length=1, max_length=RANGES_MAX)]


class Range(msgspec.Struct, frozen=True):
    """Either the sixteen short fingerprints of the ranges one digit longer, or, where `shorts` is
    empty, the lines of all authors in it."""

    prefix: Prefix
    shorts: Annotated[bytes, msgspec.Meta(max_length=SHORTS_BYTES)]
    lines: Annotated[tuple[HeadLine, ...], msgspec.Meta(max_length=LINES_MAX)]


class LogRanges(msgspec.Struct, frozen=True, tag_field="type", tag="log_ranges"):
    """The answer: the ranges asked for, in that order, as many as fit."""

    ranges: Annotated[tuple[Range, ...], msgspec.Meta(min_length=1, max_length=RANGES_MAX)]


class Want(msgspec.Struct, frozen=True):
    """Entries of `author` from position `start` on, and its fork proof."""

    author: log.Author
    start: U63


class LogWant(msgspec.Struct, frozen=True, tag_field="type", tag="log_want"):
    wants: Annotated[tuple[Want, ...], msgspec.Meta(min_length=1, max_length=WANTS_MAX)]


class CarriedEntry(msgspec.Struct, frozen=True):
    entry: log.Entry
    proof: bytes


class LogEntries(msgspec.Struct, frozen=True, tag_field="type", tag="log_entries"):
    """Consecutive entries of `author`, of which the sender has `count`, and its fork proof."""

    author: log.Author
    count: U63
    entries: Annotated[tuple[CarriedEntry, ...], msgspec.Meta(max_length=ENTRIES_MAX)]
    fork: Annotated[bytes, msgspec.Meta(max_length=FORK_BYTES_MAX)] | None = None


AntiEntropyMessage = LogHeads | LogAsk | LogRanges | LogWant | LogEntries


def list_marks(count: int) -> list[int]:
    """Positions count-1, count-2, count-4, count-8... of a log of `count` entries."""
    marks = []
    distance = 1
    while distance <= count:
        marks.append(count - distance)
        distance *= 2
    return marks

"""Fingerprints of ranges follow from the set alone, and tell where two sets differ."""

import hashlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from crdt.ranges import BUCKET_LINES_MAX, DIGITS, SHORT_BYTES, Ranges, locate, shorten

Lines = dict[bytes, bytes]


def hash_number(number: int) -> bytes:
    return hashlib.sha256(b"%d" % number).digest()


def fill(lines: Lines, order: list[bytes]) -> Ranges:
    ranges = Ranges()
    for author in order:
        ranges.put(author, lines[author])
    return ranges


def compute(lines: Lines, prefix: str) -> bytes:
    """The fingerprint by its definition, without any tree."""
    here = sorted(
        (locate(author), digest)
        for author, digest in lines.items()
        if locate(author).startswith(prefix)
    )
    if len(here) > BUCKET_LINES_MAX:
        parts = [b"\x01", *(compute(lines, prefix + digit) for digit in DIGITS)]
    else:
        parts = [b"\x00", *(bytes.fromhex(place) + digest for place, digest in here)]
    return hashlib.sha256(b"".join(parts)).digest()


@given(st.integers(0, 600), st.randoms(use_true_random=False))
@settings(max_examples=25)
def test_the_order_of_changes_does_not_matter(count: int, draw: random.Random) -> None:
    lines = {hash_number(i): hash_number(-i) for i in range(count)}
    order = list(lines)
    one = fill({author: bytes(32) for author in lines}, order)
    one.fingerprint("")
    for author in draw.sample(order, count):
        one.put(author, lines[author])
    assert one.count("") == count
    for prefix in ("", "0", "a", "3f", "3f2", "9c41", "0" * 64):
        held = [each for each in order if locate(each).startswith(prefix)]
        assert one.fingerprint(prefix) == compute(lines, prefix)
        assert one.count(prefix) == len(held)
        assert one.list_authors(prefix) == sorted(held, key=locate)


def test_only_ranges_that_hold_a_difference_differ() -> None:
    lines = {hash_number(i): bytes(32) for i in range(1_000)}
    one, other = (fill(lines, list(lines)) for _ in range(2))
    author = hash_number(17)
    other.put(author, hash_number(0))
    place = locate(author)
    for depth in range(6):
        differing = [
            index
            for index, pair in enumerate(
                zip(one.split(place[:depth]), other.split(place[:depth]), strict=True)
            )
            if pair[0] != pair[1]
        ]
        assert differing == [int(place[depth], 16)]
    one.put(author, hash_number(0))
    assert one.fingerprint("") == other.fingerprint("")


def test_places_that_share_many_digits_only_make_the_tree_deeper() -> None:
    ranges = Ranges()
    crowd = [hash_number(i) for i in range(60_000)]
    near = [author for author in crowd if locate(author).startswith("beef"[:3])]
    assert len(near) <= BUCKET_LINES_MAX * 2
    for author in near:
        ranges.put(author, author)
    assert ranges.count("bee") == len(near) == ranges.count("")
    assert ranges.fingerprint("") == compute({author: author for author in near}, "")


def test_short_fingerprints_change_with_the_salt() -> None:
    fingerprints = [hash_number(i) for i in range(16)]
    one, other = shorten(b"a" * 16, fingerprints), shorten(b"b" * 16, fingerprints)
    assert len(one) == 16 * SHORT_BYTES
    assert one == shorten(b"a" * 16, fingerprints)
    assert all(one[i : i + 8] != other[i : i + 8] for i in range(0, len(one), SHORT_BYTES))

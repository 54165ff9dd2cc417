"""Authenticated logs: single-writer, hash-linked sequences of entries.

An entry carries items (opaque bytes) under a Merkle root (RFC 6962 section 2.1 hashing, so one
item can be proven without the others) and links to the entry before it, so a proof for one head
is a proof for everything before it. The author is a peer (a 32-byte key: the proof is its
signature) or a committee (a 16-byte id: the proof is a quorum certificate). The proof stands
beside the entry and is never part of its hash: members hold different signer sets.
"""

import hashlib
from collections.abc import Sequence
from typing import Annotated

import msgspec

from identity import schema
from identity.schema import U63, Digest, TimeMs

ITEMS_MAX = 65_536
ITEM_BYTES_MAX = 1 << 20
GENESIS_PREVIOUS = bytes(32)

HEAD_KIND = "head"
"""The kind of the statement that proves a head."""

Author = Annotated[bytes, msgspec.Meta(min_length=16, max_length=32)]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is hashed. `position` counts from 0; `time_ms` is the author's (agreed) time."""

    author: Author
    position: U63
    previous: Digest
    time_ms: TimeMs
    root: Digest

    def hash(self) -> bytes:
        return hashlib.sha256(schema.encode(self)).digest()


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A header with its items."""

    header: Header
    items: Annotated[tuple[bytes, ...], msgspec.Meta(max_length=ITEMS_MAX)]


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The signed statement: `author`'s entry at `position` has this hash."""

    author: Author
    position: U63
    hash: Digest


def append(
    author: bytes, position: int, previous: bytes, time_ms: int, items: Sequence[bytes]
) -> Entry:
    """The entry that follows `previous` at `position`."""
    root = compute_root(items)
    return Entry(Header(author, position, previous, time_ms, root), tuple(items))


def compute_root(items: Sequence[bytes]) -> bytes:
    """Merkle tree hash (RFC 6962 section 2.1) of `items`."""
    level = [hashlib.sha256(b"\x00" + item).digest() for item in items]
    if not level:
        return hashlib.sha256(b"").digest()
    while len(level) > 1:
        paired = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def compute_path(items: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The audit path (RFC 6962 section 2.1.1) of `items[index]`, from the leaf up."""
    return compute_paths(items, (index,))[0]


def compute_paths(items: Sequence[bytes], indexes: Sequence[int]) -> list[tuple[bytes, ...]]:
    """The audit path of each of `indexes`; the tree is hashed once."""
    level = [hashlib.sha256(b"\x00" + item).digest() for item in items]
    paths: list[list[bytes]] = [[] for _ in indexes]
    height = 0
    while len(level) > 1:
        for path, index in zip(paths, indexes, strict=True):
            sibling = index >> height ^ 1
            if sibling < len(level):
                path.append(level[sibling])
        paired = [
            hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
            for i in range(0, len(level) - 1, 2)
        ]
        if len(level) % 2:
            paired.append(level[-1])
        level, height = paired, height + 1
    return [tuple(path) for path in paths]


def verify_path(item: bytes, index: int, count: int, path: Sequence[bytes], root: bytes) -> bool:
    """True when `path` proves `item` at `index` among `count` items under `root`."""
    if not 0 <= index < count:
        return False
    node, width, rest = hashlib.sha256(b"\x00" + item).digest(), count, list(path)
    while width > 1:
        if index ^ 1 < width:
            if not rest:
                return False
            sibling = rest.pop(0)
            pair = sibling + node if index % 2 else node + sibling
            node = hashlib.sha256(b"\x01" + pair).digest()
        index, width = index // 2, (width + 1) // 2
    return not rest and node == root

"""The whole state as a sequence of chunks under one Merkle root.

A checkpoint certifies a digest; with the size and the root that give this digest, every chunk can
be checked on its own by its path, before any other is there. The tree is that of `crdt.log` (RFC
6962 section 2.1). The size is bound in, so that nobody can offer a chunk more or fewer.
"""

import hashlib
from collections.abc import Sequence

from crdt.log import verify_path
from identity import cbor

STATE_CHUNK_BYTES = 64 * 1024
"""Size of every chunk but the last."""
STATE_BYTES_MAX = 256 * 1024 * 1024
CHUNKS_MAX = STATE_BYTES_MAX // STATE_CHUNK_BYTES
PATH_MAX = (CHUNKS_MAX - 1).bit_length()
_HASH_BYTES = 32


def cut(data: bytes) -> list[bytes]:
    """`data` in chunks; at least one."""
    return [
        data[at : at + STATE_CHUNK_BYTES] for at in range(0, max(1, len(data)), STATE_CHUNK_BYTES)
    ]


def count_chunks(size: int) -> int:
    """How many chunks a state of `size` bytes has."""
    return max(1, -(-size // STATE_CHUNK_BYTES))


def compute_chunk_size(size: int, index: int) -> int:
    """The bytes of the chunk at `index` of a state of `size` bytes."""
    return min(STATE_CHUNK_BYTES, size - index * STATE_CHUNK_BYTES)


def compute_digest(size: int, root: bytes) -> bytes:
    """What a checkpoint certifies of a state of `size` bytes whose chunks have this root."""
    return hashlib.sha256(cbor.encode(["econode/state", size, root])).digest()


def hash_chunks(chunks: Sequence[bytes]) -> bytes:
    """The leaves of the tree, one after the other."""
    return b"".join(hashlib.sha256(b"\x00" + chunk).digest() for chunk in chunks)


class StateTree:
    """The tree over the leaves that `hash_chunks` gave: the root, and the path of each chunk."""

    def __init__(self, leaves: bytes) -> None:
        level = [leaves[i : i + _HASH_BYTES] for i in range(0, len(leaves), _HASH_BYTES)]
        self._levels = [level]
        while len(level) > 1:
            paired = [
                hashlib.sha256(b"\x01" + level[i] + level[i + 1]).digest()
                for i in range(0, len(level) - 1, 2)
            ]
            level = paired + level[len(level) & ~1 :]
            self._levels.append(level)

    @property
    def root(self) -> bytes:
        return self._levels[-1][0]

    def get_path(self, index: int) -> tuple[bytes, ...]:
        """The audit path (RFC 6962 section 2.1.1) of the chunk at `index`, from the leaf up."""
        path = []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):
                path.append(level[index ^ 1])
            index //= 2
        return tuple(path)


def digest_state(data: bytes) -> bytes:
    """The digest of a whole state."""
    return compute_digest(len(data), StateTree(hash_chunks(cut(data))).root)


def is_chunk(data: bytes, index: int, path: Sequence[bytes], size: int, root: bytes) -> bool:
    """True when `path` proves `data` to be the chunk at `index` of the state of `size` and
    `root`."""
    count = count_chunks(size)
    if not 0 <= index < count or len(data) != compute_chunk_size(size, index):
        return False
    return verify_path(data, index, count, path, root)

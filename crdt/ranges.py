"""Fingerprints of ranges of authors, for finding quickly where two replicas differ.

An author's place is SHA-256 of its id, in hexadecimal; a range is all places with one prefix. The
fingerprint of a range is a Merkle hash that depends on its lines alone: up to BUCKET_LINES_MAX
lines are hashed in order of place, more are hashed as the fingerprints of the sixteen ranges one
digit longer. A change costs the hashes on the way to the root.

Entries are written by whoever likes, so fingerprints must resist writers who choose them. Two
different ranges with one fingerprint are a collision of SHA-256 (Merkle, "A digital signature
based on a conventional encryption function", CRYPTO 1987). Sums of hashes, which other
reconcilers use because they fit any range, are not that strong: with thousands of terms to choose
a colliding sum takes about 2^20 steps (Wagner, "A generalized birthday problem", CRYPTO 2002).
"""

import hashlib
from collections.abc import Iterator

DIGITS = "0123456789abcdef"
PLACE_DIGITS = 64
BUCKET_LINES_MAX = 16
SHORT_BYTES = 8

_Lines = dict[str, tuple[bytes, bytes]]


class _Node:
    """A range: with lines (place -> author, digest) or with the sixteen ranges below it."""

    __slots__ = ("children", "count", "digest", "lines")

    def __init__(self, lines: _Lines) -> None:
        self.lines = lines
        self.count = len(lines)
        self.children: list[_Node] = []
        self.digest: bytes | None = None

    def compute(self) -> bytes:
        if self.digest is None:
            if self.children:
                parts = [b"\x01", *(child.compute() for child in self.children)]
            else:
                parts = [b"\x00"]
                for place, (_, digest) in sorted(self.lines.items()):
                    parts += (bytes.fromhex(place), digest)
            self.digest = hashlib.sha256(b"".join(parts)).digest()
        return self.digest

    def split(self, depth: int) -> None:
        """Hand the lines to children while there are too many of them for one bucket."""
        if len(self.lines) <= BUCKET_LINES_MAX:
            return
        lots: list[_Lines] = [{} for _ in DIGITS]
        for place, line in self.lines.items():
            lots[int(place[depth], 16)][place] = line
        self.lines = {}
        self.children = [_Node(lot) for lot in lots]
        for child in self.children:
            child.split(depth + 1)

    def iterate(self) -> Iterator[bytes]:
        """Authors in order of place."""
        for child in self.children:
            yield from child.iterate()
        for _, (author, _) in sorted(self.lines.items()):
            yield author


class Ranges:
    """The lines of all authors. A line is never taken away, so the shape follows from the set."""

    def __init__(self) -> None:
        self._root = _Node({})

    def put(self, author: bytes, digest: bytes) -> None:
        """Set the line of `author`; `digest` must be a SHA-256 of all that counts of it."""
        place = locate(author)
        node, path, depth = self._root, [self._root], 0
        while node.children:
            node = node.children[int(place[depth], 16)]
            path.append(node)
            depth += 1
        is_new = place not in node.lines
        node.lines[place] = (author, digest)
        for each in path:
            each.digest = None
            each.count += is_new
        node.split(depth)

    def count(self, prefix: str) -> int:
        return self._find(prefix).count

    def fingerprint(self, prefix: str) -> bytes:
        return self._find(prefix).compute()

    def split(self, prefix: str) -> list[bytes]:
        """Fingerprints of the sixteen ranges below `prefix`, which has less than 64 digits."""
        return [self.fingerprint(prefix + digit) for digit in DIGITS]

    def list_authors(self, prefix: str) -> list[bytes]:
        """The authors of a range, in order of place."""
        return list(self._find(prefix).iterate())

    def _find(self, prefix: str) -> _Node:
        node = self._root
        for digit in prefix:
            if not node.children:
                lines = node.lines.items()
                return _Node({place: line for place, line in lines if place.startswith(prefix)})
            node = node.children[int(digit, 16)]
        return node


def locate(author: bytes) -> str:
    """The place of an author: 64 digits."""
    return hashlib.sha256(author).hexdigest()


def shorten(salt: bytes, fingerprints: list[bytes]) -> bytes:
    """SHORT_BYTES of each fingerprint under a salt that its writers cannot foresee.

    Two different fingerprints look equal with a chance of 2^-64, and under the next salt not.
    """
    return b"".join(hashlib.sha256(salt + each).digest()[:SHORT_BYTES] for each in fingerprints)

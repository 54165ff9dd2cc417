"""The authenticated logs that one peer holds: a set of proven entries whose merge is union.

What counts of an author is a fold over that set: the longest chain from position 0, cut at the
lowest position where two different heads are proven (the author is frozen there, for good). Both
depend on the set alone and not on the order of arrival, so replicas that hold the same entries
have equal roots. Formally the state of an author is (chain, freeze position), and the join of two
states takes the lower freeze position and the longer chain below it: a semilattice (Shapiro et
al., "Conflict-free replicated data types", 2011).

Entries whose ancestors are missing wait in a bounded buffer; what does not fit is dropped, like a
message that was lost, and anti-entropy brings it again.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from crdt import log
from crdt.heads import ForkProof, Prover, check_fork, get_head
from crdt.ranges import Ranges
from identity import cbor
from identity.errors import EconodeError, InvalidSchema

AUTHORS_MAX = 10_000
ITEM_OVERHEAD = 32
ENTRY_OVERHEAD = 256
ENTRY_BYTES_MAX = 512 * 1024
LOG_ENTRIES_MAX = 100_000
LOG_BYTES_MAX = 64 * 1024 * 1024
"""Of one author, so that no single one fills the replica."""
REPLICA_BYTES_MAX = 512 * 1024 * 1024
ORPHANS_AUTHOR_MAX = 256
ORPHANS_BYTES_AUTHOR_MAX = 2 * 1024 * 1024
ORPHANS_MAX = 10_000
ORPHANS_BYTES_MAX = 32 * 1024 * 1024
FORK_WEIGHT = 1 << 32
"""A fork proof weighs more than any chain it cuts off."""
FORK_WEIGHT_POSITIONS = 1 << 30


class ReplicaFull(EconodeError):
    """A bound of the replica is reached; the entry was not taken."""


@dataclass(frozen=True, slots=True)
class ProvenEntry:
    """An entry and the proof of its head."""

    entry: log.Entry
    proof: bytes

    def count_bytes(self) -> int:
        items = self.entry.items
        return len(self.proof) + sum(map(len, items)) + ITEM_OVERHEAD * len(items) + ENTRY_OVERHEAD


@dataclass(frozen=True, slots=True)
class Change:
    """What a merge did: entries that joined a chain, in order; a fork that now freezes its author
    (whoever folds that author's log folds it again from `Replica.iterate`)."""

    entries: tuple[ProvenEntry, ...] = ()
    fork: ForkProof | None = None


@dataclass(slots=True)
class _Author:
    """`chain[i]` is the entry at position i; `orphans` hold at most one entry per position."""

    chain: list[ProvenEntry] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)
    fork: ForkProof | None = None
    orphans: dict[int, tuple[bytes, ProvenEntry]] = field(default_factory=dict)
    orphan_bytes: int = 0
    chain_bytes: int = 0

    def get_hash(self, position: int) -> bytes | None:
        """The hash of the proven head known at `position`."""
        if position < len(self.hashes):
            return self.hashes[position]
        orphan = self.orphans.get(position)
        return orphan[0] if orphan else None

    def get_proof(self, position: int) -> bytes:
        if position < len(self.chain):
            return self.chain[position].proof
        return self.orphans[position][1].proof

    def weigh(self) -> int:
        """Grows whenever merging changes the state: a lower fork adds more than it cuts off."""
        weight = len(self.chain)
        if self.fork is not None:
            weight += FORK_WEIGHT - 2 * min(self.fork.position, FORK_WEIGHT_POSITIONS)
        return weight

    def digest(self, key: bytes) -> bytes:
        tip = self.hashes[-1] if self.hashes else log.GENESIS_PREVIOUS
        fork = self.fork.position if self.fork else None
        return hashlib.sha256(cbor.encode([key, fork, len(self.chain), tip])).digest()


class Replica:
    """All logs of one peer. Every method is bounded in time by the size of its argument, the
    orphans of one author, and for `get_root` and `get_ranges` the authors that changed."""

    def __init__(self, prover: Prover) -> None:
        self._prover = prover
        self._authors: dict[bytes, _Author] = {}
        self._bytes = 0
        self._orphans = 0
        self._orphan_bytes = 0
        self._weight = 0
        self._ranges = Ranges()
        self._changed: set[bytes] = set()

    def merge(self, proven: ProvenEntry) -> Change:
        """Take one entry. Raises InvalidBytes for one that no honest author wrote, ReplicaFull
        when a bound stands in the way; the replica is unchanged then."""
        header = proven.entry.header
        author = self._authors.get(header.author) or _Author()
        if author.fork is not None and header.position >= author.fork.position:
            return Change()
        head = get_head(header)
        known = author.get_hash(header.position)
        if known == head.hash:
            return Change()
        self._check_entry(proven, head)
        if known is not None:
            proof = author.get_proof(header.position)
            return self._freeze(
                author, ForkProof.make(header.author, header.position, proof, proven.proof)
            )
        return self._insert(author, proven, head.hash)

    def merge_fork(self, data: bytes) -> Change:
        """Take a fork proof's bytes. Raises InvalidBytes or ReplicaFull."""
        fork = check_fork(data, self._prover)
        author = self._authors.get(fork.author) or _Author()
        if author.fork is not None and author.fork.position <= fork.position:
            return Change()
        self._admit(fork.author, author)
        return self._freeze(author, fork)

    def get_root(self) -> bytes:
        """The fingerprint of all authors with their heads: equal where the entries are."""
        return self.get_ranges().fingerprint("")

    def get_ranges(self) -> Ranges:
        """The authors with their heads, by ranges. To be read only."""
        for key in self._changed:
            self._ranges.put(key, self._authors[key].digest(key))
        self._changed.clear()
        return self._ranges

    def get_weight(self) -> int:
        """A number that grows with every change: who holds less than another weighs less."""
        return self._weight

    def get_authors(self) -> list[bytes]:
        """Every author with an entry or a fork proof, ascending."""
        return sorted(key for key, each in self._authors.items() if each.chain or each.fork)

    def get_count(self, author: bytes) -> int:
        """How many entries of the author's log are here, from position 0."""
        found = self._authors.get(author)
        return len(found.chain) if found else 0

    def get_bytes(self, author: bytes) -> int:
        """How many bytes of the author's log are here, of the LOG_BYTES_MAX it may have."""
        found = self._authors.get(author)
        return found.chain_bytes if found else 0

    def get_hash(self, author: bytes, position: int) -> bytes | None:
        """The hash of the author's entry at `position`, or None."""
        found = self._authors.get(author)
        if found is None or not 0 <= position < len(found.hashes):
            return None
        return found.hashes[position]

    def get_head(self, author: bytes) -> bytes:
        """The hash that the author's next entry links to."""
        found = self._authors.get(author)
        return found.hashes[-1] if found and found.hashes else log.GENESIS_PREVIOUS

    def get_fork(self, author: bytes) -> ForkProof | None:
        found = self._authors.get(author)
        return found.fork if found else None

    def get_forks(self) -> list[ForkProof]:
        return [author.fork for _, author in sorted(self._authors.items()) if author.fork]

    def heads(self) -> dict[bytes, tuple[int, bytes]]:
        """Count of entries and head hash of each author that has entries, ascending."""
        return {
            key: (len(author.chain), author.hashes[-1])
            for key, author in sorted(self._authors.items())
            if author.chain
        }

    def entries_since(
        self, author: bytes, position: int, *, count_max: int, bytes_max: int
    ) -> list[ProvenEntry]:
        """Entries from `position` on: the first whatever its size, then within both bounds."""
        found = self._authors.get(author)
        taken: list[ProvenEntry] = []
        size = 0
        for index in range(max(position, 0), len(found.chain) if found else 0):
            assert found is not None
            size += found.chain[index].count_bytes()
            if len(taken) >= count_max or (taken and size > bytes_max):
                break
            taken.append(found.chain[index])
        return taken

    def iterate(self, author: bytes) -> Iterator[log.Entry]:
        """The author's entries in order, up to where it is frozen."""
        found = self._authors.get(author)
        return (proven.entry for proven in (found.chain if found else ()))

    def _check_entry(self, proven: ProvenEntry, head: log.Head) -> None:
        header, items = proven.entry.header, proven.entry.items
        if len(header.author) not in (16, 32) or len(items) > log.ITEMS_MAX:
            raise InvalidSchema(
                "an author has 16 or 32 bytes and an entry a bounded number of items"
            )
        if proven.count_bytes() > ENTRY_BYTES_MAX:
            raise InvalidSchema(f"an entry of more than {ENTRY_BYTES_MAX} bytes")
        if (header.position == 0) != (header.previous == log.GENESIS_PREVIOUS):
            raise InvalidSchema("the first entry, and no other, links to nothing")
        if log.compute_root(items) != header.root:
            raise InvalidSchema("the items are not those under the root")
        self._prover.check(head, proven.proof)

    def _admit(self, key: bytes, author: _Author) -> None:
        if key not in self._authors:
            if len(self._authors) >= AUTHORS_MAX:
                raise ReplicaFull(f"{AUTHORS_MAX} authors are here")
            self._authors[key] = author

    def _insert(self, author: _Author, proven: ProvenEntry, digest: bytes) -> Change:
        header = proven.entry.header
        count = len(author.chain)
        if header.position != count or header.previous != self._tip(author):
            self._buffer(author, proven, digest)
            return Change()
        if not self._has_room(author, proven):
            raise ReplicaFull("the logs are full")
        self._admit(header.author, author)
        self._link(author, proven, digest)
        while (orphan := author.orphans.get(len(author.chain))) is not None:
            if orphan[1].entry.header.previous != self._tip(author):
                break
            self._drop_orphan(author, len(author.chain))
            if not self._has_room(author, orphan[1]):
                break
            self._link(author, orphan[1], orphan[0])
        return Change(tuple(author.chain[count:]))

    def _has_room(self, author: _Author, proven: ProvenEntry) -> bool:
        size = proven.count_bytes()
        if len(author.chain) >= LOG_ENTRIES_MAX or author.chain_bytes + size > LOG_BYTES_MAX:
            return False
        return self._bytes + size <= REPLICA_BYTES_MAX

    def _link(self, author: _Author, proven: ProvenEntry, digest: bytes) -> None:
        author.chain.append(proven)
        author.hashes.append(digest)
        author.chain_bytes += proven.count_bytes()
        self._bytes += proven.count_bytes()
        self._weight += 1
        self._changed.add(proven.entry.header.author)

    @staticmethod
    def _tip(author: _Author) -> bytes:
        return author.hashes[-1] if author.hashes else log.GENESIS_PREVIOUS

    def _buffer(self, author: _Author, proven: ProvenEntry, digest: bytes) -> None:
        """Keep an entry that cannot join yet; the one farthest ahead gives way."""
        header, size = proven.entry.header, proven.count_bytes()
        while author.orphans and (
            len(author.orphans) >= ORPHANS_AUTHOR_MAX
            or author.orphan_bytes + size > ORPHANS_BYTES_AUTHOR_MAX
        ):
            farthest = max(author.orphans)
            if farthest < header.position:
                return
            self._drop_orphan(author, farthest)
        if self._orphans >= ORPHANS_MAX or self._orphan_bytes + size > ORPHANS_BYTES_MAX:
            return
        self._admit(header.author, author)
        author.orphans[header.position] = (digest, proven)
        author.orphan_bytes += size
        self._orphans += 1
        self._orphan_bytes += size

    def _drop_orphan(self, author: _Author, position: int) -> None:
        size = author.orphans.pop(position)[1].count_bytes()
        author.orphan_bytes -= size
        self._orphans -= 1
        self._orphan_bytes -= size

    def _freeze(self, author: _Author, fork: ForkProof) -> Change:
        self._weight -= author.weigh()
        author.fork = fork
        for proven in author.chain[fork.position :]:
            author.chain_bytes -= proven.count_bytes()
            self._bytes -= proven.count_bytes()
        del author.chain[fork.position :], author.hashes[fork.position :]
        for position in [each for each in author.orphans if each >= fork.position]:
            self._drop_orphan(author, position)
        self._weight += author.weigh()
        self._changed.add(fork.author)
        return Change(fork=fork)

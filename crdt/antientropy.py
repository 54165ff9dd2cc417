"""Anti-entropy: peers compare the heads of their logs and pull what they lack.

A core without I/O: messages in, messages out (hop messages, authenticated by the channel). A
tick tells each peer our root, and a page of heads while the roots differ. Whoever is behind asks
for entries from where its own chain ends; replies are bounded and say how much more there is, so
a pull goes on where it stopped. Lost messages cost a tick.

Two chains that contradict each other are compared by marks (hashes at the end and at distances
1, 3, 7, 15... before it): each exchange at least halves the stretch where the fork can be, until
every replica is frozen at the last common entry.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import msgspec

from crdt import log
from crdt.replica import ENTRY_BYTES_MAX, Change, ProvenEntry, Replica, ReplicaFull
from identity.schema import U63, Digest

PEERS_MAX = 256
LINES_MAX = 256
MARKS_MAX = 64
WANTS_MAX = 64
ENTRIES_MAX = 256
REPLY_BYTES_MAX = ENTRY_BYTES_MAX
HEADS_BYTES_MAX = 128 * 1024
WANTS_OPEN_MAX = 1_024
WANT_TICKS = 2
"""A want that was not answered within this many ticks is asked again, of whoever has it."""


class HeadLine(msgspec.Struct, frozen=True):
    """One author's log: `marks` are hashes at the positions of `list_marks(count)`, the last
    entry's first, one or all of them; `fork` is an encoded fork proof."""

    author: log.Author
    count: U63
    marks: Annotated[tuple[Digest, ...], msgspec.Meta(max_length=MARKS_MAX)]
    fork: bytes | None = None


class LogHeads(msgspec.Struct, frozen=True, tag_field="type", tag="log_heads"):
    """The sender's root and some of its heads."""

    root: Digest
    lines: Annotated[tuple[HeadLine, ...], msgspec.Meta(max_length=LINES_MAX)]


class Want(msgspec.Struct, frozen=True):
    """Entries of `author` from position `start` on."""

    author: log.Author
    start: U63


class LogWant(msgspec.Struct, frozen=True, tag_field="type", tag="log_want"):
    wants: Annotated[tuple[Want, ...], msgspec.Meta(min_length=1, max_length=WANTS_MAX)]


class CarriedEntry(msgspec.Struct, frozen=True):
    entry: log.Entry
    proof: bytes


class LogEntries(msgspec.Struct, frozen=True, tag_field="type", tag="log_entries"):
    """Consecutive entries of `author`, of which the sender has `count`."""

    author: log.Author
    count: U63
    entries: Annotated[tuple[CarriedEntry, ...], msgspec.Meta(max_length=ENTRIES_MAX)]


AntiEntropyMessage = LogHeads | LogWant | LogEntries
Sends = list[tuple[bytes, AntiEntropyMessage]]
"""(peer, message) pairs, to be sent in this order."""


@dataclass(slots=True)
class _Peer:
    """`root` is the last one it told; `cursor` the last author of the page sent to it."""

    root: bytes | None = None
    cursor: bytes = b""


class AntiEntropy:
    """The exchange of one replica with its peers. `on_change` hears each change of it."""

    def __init__(self, replica: Replica, on_change: Callable[[Change], None]) -> None:
        self._replica = replica
        self._on_change = on_change
        self._peers: dict[bytes, _Peer] = {}
        self._asked: dict[bytes, int] = {}
        self._ticks = 0

    def add_peer(self, peer: bytes) -> bool:
        """Exchange with `peer` from now on; False when PEERS_MAX are here."""
        if peer not in self._peers and len(self._peers) >= PEERS_MAX:
            return False
        self._peers.setdefault(peer, _Peer())
        return True

    def remove_peer(self, peer: bytes) -> None:
        self._peers.pop(peer, None)

    def tick(self) -> Sends:
        """What to tell each peer now; called about once a second."""
        self._ticks += 1
        oldest = self._ticks - WANT_TICKS
        self._asked = {key: tick for key, tick in self._asked.items() if tick > oldest}
        root = self._replica.get_root()
        return [
            (key, LogHeads(root, () if peer.root == root else self._make_page(peer)))
            for key, peer in self._peers.items()
        ]

    def handle(self, peer: bytes, message: AntiEntropyMessage) -> Sends:
        """Take a message of `peer`. Raises InvalidBytes for one that no honest peer sends; what
        stood before the fault has been merged."""
        try:
            match message:
                case LogHeads():
                    return self._handle_heads(peer, message)
                case LogWant():
                    return self._handle_want(peer, message)
                case LogEntries():
                    return self._handle_entries(peer, message)
        except ReplicaFull:  # a bound, not a fault of the peer's: nothing more is pulled
            return []

    def _handle_heads(self, peer: bytes, message: LogHeads) -> Sends:
        if (state := self._peers.get(peer)) is not None:
            state.root = message.root
        wants: list[Want] = []
        lines: list[HeadLine] = []
        for line in message.lines:
            if line.fork is not None:
                self._merge_fork(line.author, line.fork)
            conflict = self._find_conflict(line)
            if conflict is not None and len(line.marks) == 1 < line.count:
                lines.append(self._make_line(line.author, with_marks=True))
            start = self._find_start(line, conflict)
            if start is not None and len(wants) < WANTS_MAX and self._ask(line.author):
                wants.append(Want(line.author, start))
        sends: Sends = [(peer, LogWant(tuple(wants)))] if wants else []
        if lines:
            sends.append((peer, LogHeads(self._replica.get_root(), tuple(lines))))
        return sends

    def _merge_fork(self, author: bytes, fork: bytes) -> None:
        known = self._replica.get_fork(author)
        if known is None or known.encode() != fork:
            self._announce(self._replica.merge_fork(fork))

    def _find_conflict(self, line: HeadLine) -> int | None:
        """The lowest marked position where our entry is another one."""
        conflict = None
        for position, mark in zip(list_marks(line.count), line.marks, strict=False):
            ours = self._replica.get_hash(line.author, position)
            if ours is not None and ours != mark:
                conflict = position
        return conflict

    def _find_start(self, line: HeadLine, conflict: int | None) -> int | None:
        """From where to pull the author's entries, or None."""
        if conflict is not None:
            return conflict
        count, fork = self._replica.get_count(line.author), self._replica.get_fork(line.author)
        if line.count <= count or (fork is not None and fork.position <= count):
            return None
        return count

    def _ask(self, author: bytes) -> bool:
        if author in self._asked or len(self._asked) >= WANTS_OPEN_MAX:
            return False
        self._asked[author] = self._ticks
        return True

    def _handle_want(self, peer: bytes, message: LogWant) -> Sends:
        sends: Sends = []
        room = REPLY_BYTES_MAX
        for want in message.wants:
            entries = self._replica.entries_since(
                want.author, want.start, count_max=ENTRIES_MAX, bytes_max=room
            )
            room -= sum(proven.count_bytes() for proven in entries)
            if entries:
                carried = tuple(CarriedEntry(each.entry, each.proof) for each in entries)
                count = self._replica.get_count(want.author)
                sends.append((peer, LogEntries(want.author, count, carried)))
            if room <= 0:
                break
        return sends

    def _handle_entries(self, peer: bytes, message: LogEntries) -> Sends:
        author, replica = message.author, self._replica
        self._asked.pop(author, None)
        before = replica.get_count(author)
        for carried in message.entries:
            self._announce(replica.merge(ProvenEntry(carried.entry, carried.proof)))
        count, fork = replica.get_count(author), replica.get_fork(author)
        if fork is not None and fork.position <= count:
            return []
        first = message.entries[0].entry.header if message.entries else None
        if first is not None and first.position == count > 0:
            # It does not link to our last entry: theirs at that position tells why.
            start = count - 1
        elif before < count < message.count:
            start = count
        else:
            return []
        return [(peer, LogWant((Want(author, start),)))] if self._ask(author) else []

    def _announce(self, change: Change) -> None:
        if change.entries or change.fork:
            self._on_change(change)

    def _make_page(self, peer: _Peer) -> tuple[HeadLine, ...]:
        lines: list[HeadLine] = []
        size = 0
        for author in self._replica.get_authors():
            if author <= peer.cursor:
                continue
            if len(lines) >= LINES_MAX or size > HEADS_BYTES_MAX:
                return tuple(lines)
            line = self._make_line(author)
            size += 64 + 34 * len(line.marks) + len(line.fork or b"")
            lines.append(line)
            peer.cursor = author
        peer.cursor = b""
        return tuple(lines)

    def _make_line(self, author: bytes, *, with_marks: bool = False) -> HeadLine:
        fork = self._replica.get_fork(author)
        count = self._replica.get_count(author)
        positions = list_marks(count)
        if fork is None and not with_marks:
            positions = positions[:1]
        marks = [self._replica.get_hash(author, position) for position in positions]
        return HeadLine(author, count, tuple(filter(None, marks)), fork.encode() if fork else None)


def list_marks(count: int) -> list[int]:
    """Positions count-1, count-2, count-4, count-8... of a log of `count` entries."""
    marks = []
    distance = 1
    while distance <= count:
        marks.append(count - distance)
        distance *= 2
    return marks

"""Anti-entropy: peers find what they lack of each other's logs, and pull it.

A core without I/O: messages in, messages out. A tick tells each peer our root. Of two peers whose
roots differ, the one that holds less descends: it asks for the fingerprints of ranges of authors
(`crdt/ranges.py`), goes on where they differ from its own, and pulls the logs of the authors that
it finds behind. Then it holds more, and the other descends, if it lacks anything. A few authors
are simply listed, so a small network sends plain heads. This is range-based set reconciliation
(Meyer, 2022, arXiv:2212.13567) over ranges whose bounds follow from the places of authors, as in
the Merkle trees of Dynamo (DeCandia et al., SOSP 2007).

A descent waits while enough is being pulled, and goes on where it stood. Whoever answers keeps
nothing for it. A lost message costs WANT_TICKS.

Two chains that contradict each other are compared by marks (hashes at the end and at distances
1, 3, 7, 15... before it): each exchange at least halves the stretch where the fork can be, until
every replica is frozen at the last common entry.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

from crdt.exchange import (
    ENTRIES_MAX,
    LINES_MAX,
    RANGES_MAX,
    SALT_BYTES,
    SHORTS_BYTES,
    WANTS_MAX,
    AntiEntropyMessage,
    CarriedEntry,
    HeadLine,
    LogAsk,
    LogEntries,
    LogHeads,
    LogRanges,
    LogWant,
    Range,
    RangeAsk,
    Want,
    list_marks,
)
from crdt.ranges import DIGITS, PLACE_DIGITS, SHORT_BYTES, locate, shorten
from crdt.replica import ENTRY_BYTES_MAX, Change, ProvenEntry, Replica, ReplicaFull
from identity.errors import InvalidSchema

PEERS_MAX = 256
LIST_ALWAYS = 16
"""Authors of a range that are listed rather than fingerprinted."""
REPLY_BYTES_MAX = ENTRY_BYTES_MAX
ANSWER_BYTES_MAX = 64 * 1024
PEER_BYTES_TICK_MAX = 8 * 1024 * 1024
"""Answered to one peer between two ticks; what it asks beyond that is dropped."""
STACK_MAX = 4_096
"""Ranges of a descent still to be asked for; the next descent finds what does not fit."""
PULLS_MAX = 1_024
PULLS_PAUSE = 256
"""Authors still to be pulled from a peer; a descent waits from PULLS_PAUSE on."""
WANTS_OPEN_MAX = 512
WANTS_OPEN_FIRST = 64
WANTS_OPEN_MIN = 8
"""Wants that one peer has not answered yet: as many as it answers in time, from the first number
up or down by a factor of two a tick."""
CONFLICTS_MAX = 16
"""Lines with all marks that answer one message."""
WANT_TICKS = 2
"""Asked again is what was not answered within this many ticks; wants, of whoever has it."""
WANT_TICKS_MAX = 30
"""The same for wants while the peer goes on giving entries: a slow link is not asked twice."""
PATIENCE_TICKS = 4
"""Whoever holds more descends too, after this long: the other may not take what we have."""
EQUAL_TICKS = 5
"""Peers whose roots are equal, as both have said, say so again after this long."""
PAUSE_TICKS_MAX = 16
"""The longest time between descents that bring nothing; it doubles up to here."""

Sends = list[tuple[bytes, AntiEntropyMessage]]
"""(peer, message) pairs, to be sent in this order."""
_ANYWAY = -1


@dataclass(slots=True)
class _Peer:
    """Our descent into one peer. `stack` are ranges to ask for, `asked` those that it owes an
    answer to; `pulls` holds author -> (position to pull from, count that the peer has); `again` is
    the tick from which another descent may begin, `given_tick` the last that brought entries.
    `heard` and `told` are the roots that were said last."""

    again: int
    stack: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    asked_tick: int = 0
    salt: bytes = b""
    pulls: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    open: int = 0
    open_max: int = WANTS_OPEN_FIRST
    pause: int = 0
    has_given: bool = False
    given_tick: int = 0
    bytes_sent: int = 0
    heard: bytes = b""
    told: bytes = b""
    told_tick: int = 0

    def is_busy(self) -> bool:
        return bool(self.stack or self.asked or self.pulls or self.open)

    def stop(self) -> None:
        self.stack.clear()
        self.asked.clear()


class AntiEntropy:
    """The exchange of one replica with its peers. `on_change` hears each change of it; `seed` is
    secret and random: from it come the salts of fingerprints."""

    def __init__(self, replica: Replica, on_change: Callable[[Change], None], seed: bytes) -> None:
        self._replica = replica
        self._on_change = on_change
        self._seed = seed
        self._salts = 0
        self._peers: dict[bytes, _Peer] = {}
        self._strangers = _Peer(0)
        self._open: dict[bytes, tuple[bytes, int]] = {}
        self._ticks = 0

    def add_peer(self, peer: bytes) -> bool:
        """Exchange with `peer` from now on; False when PEERS_MAX are here."""
        if peer not in self._peers and len(self._peers) >= PEERS_MAX:
            return False
        self._peers.setdefault(peer, _Peer(self._ticks))
        return True

    def remove_peer(self, peer: bytes) -> None:
        self._peers.pop(peer, None)
        for author in [each for each, (owner, _) in self._open.items() if owner == peer]:
            del self._open[author]

    def tick(self) -> Sends:
        """What to tell each peer now; called about once a second."""
        self._ticks += 1
        self._strangers.bytes_sent = 0
        oldest = self._ticks - WANT_TICKS
        self._close_overdue()
        heads = self._make_heads(())
        sends: Sends = []
        for key, peer in self._peers.items():
            peer.bytes_sent = 0
            if peer.asked and peer.asked_tick <= oldest:
                peer.stack += peer.asked
                peer.asked = []
            is_equal = peer.heard == peer.told == heads.root
            if not is_equal or self._ticks >= peer.told_tick + EQUAL_TICKS:
                peer.told, peer.told_tick = heads.root, self._ticks
                sends.append((key, heads))
            sends += self._advance(key, peer)
        return sends

    def ask_for(self, author: bytes) -> LogAsk:
        """The question how much of `author`'s log a peer holds: `read_count` reads the answer."""
        return LogAsk(self._make_salt(), (RangeAsk(locate(author), 0),))

    def handle(self, peer: bytes, message: AntiEntropyMessage) -> Sends:
        """Take a message of `peer`. Raises InvalidBytes for one that no honest peer sends; what
        stood before the fault has been merged."""
        state = self._peers.get(peer, self._strangers)
        match message:
            case LogAsk():
                return [(peer, answer) for answer in self._answer_ask(state, message)]
            case LogWant():
                return [(peer, answer) for answer in self._answer_wants(state, message)]
            case LogEntries():
                return self._handle_entries(peer, state, message)
        if state is self._strangers:
            return []
        if isinstance(message, LogHeads):
            return self._handle_heads(peer, state, message)
        return self._handle_ranges(peer, state, message)

    def _handle_heads(self, peer: bytes, state: _Peer, message: LogHeads) -> Sends:
        state.heard = message.root
        sends = self._take_lines(peer, state, message.lines)
        root = self._replica.get_root()
        if message.root == root:
            state.stop()
            state.again, state.pause, state.has_given = self._ticks, 0, False
        elif not state.is_busy():
            ours, theirs = self._replica.get_weight(), message.weight
            is_lighter = ours < theirs or (ours == theirs and root < message.root)
            if self._ticks >= state.again + (0 if is_lighter else PATIENCE_TICKS):
                self._begin(state)
        return [*sends, *self._advance(peer, state)]

    def _begin(self, state: _Peer) -> None:
        """Descend from the root; after a descent that brought nothing not soon again."""
        state.pause = 0 if state.has_given else min(2 * state.pause + 1, PAUSE_TICKS_MAX)
        state.again = self._ticks + state.pause
        state.has_given = False
        state.stack, state.salt = [""], self._make_salt()

    def _handle_ranges(self, peer: bytes, state: _Peer, message: LogRanges) -> Sends:
        asked, sends = set(state.asked), Sends()
        for told in message.ranges:
            if told.prefix not in asked:
                continue
            asked.remove(told.prefix)
            if told.shorts:
                self._compare(state, told)
            elif not all(locate(line.author).startswith(told.prefix) for line in told.lines):
                raise InvalidSchema("a line outside of its range")
            else:
                sends += self._take_lines(peer, state, told.lines)
        if len(asked) < len(state.asked):
            state.stack += [prefix for prefix in state.asked if prefix in asked]
            state.asked = []
        return [*sends, *self._advance(peer, state)]

    def _compare(self, state: _Peer, told: Range) -> None:
        if len(told.shorts) != SHORTS_BYTES or len(told.prefix) == PLACE_DIGITS:
            raise InvalidSchema("not the fingerprints of a range")
        ours = shorten(state.salt, self._replica.get_ranges().split(told.prefix))
        for index, digit in enumerate(DIGITS):
            at = slice(index * SHORT_BYTES, (index + 1) * SHORT_BYTES)
            if ours[at] != told.shorts[at] and len(state.stack) < STACK_MAX:
                state.stack.append(told.prefix + digit)

    def _take_lines(self, peer: bytes, state: _Peer, lines: tuple[HeadLine, ...]) -> Sends:
        """Note what to pull; answer those that contradict ours with all our marks."""
        contradicted: list[HeadLine] = []
        for line in lines:
            conflict = self._find_conflict(line)
            is_short = len(line.marks) == 1 < line.count
            if conflict is not None and is_short and len(contradicted) < CONFLICTS_MAX:
                contradicted.append(self._make_line(line.author, with_marks=True))
            pull = self._find_pull(line, conflict)
            if pull is not None and (line.author in state.pulls or len(state.pulls) < PULLS_MAX):
                state.pulls[line.author] = pull
        return [(peer, self._make_heads(tuple(contradicted)))] if contradicted else []

    def _find_conflict(self, line: HeadLine) -> int | None:
        """The lowest marked position where our entry is another one."""
        conflict = None
        for position, mark in zip(list_marks(line.count), line.marks, strict=False):
            ours = self._replica.get_hash(line.author, position)
            if ours is not None and ours != mark:
                conflict = position
        return conflict

    def _find_pull(self, line: HeadLine, conflict: int | None) -> tuple[int, int] | None:
        """From where to pull the author's entries, and how many the peer has; or None."""
        count, fork = self._replica.get_count(line.author), self._replica.get_fork(line.author)
        if conflict is not None:
            return conflict, _ANYWAY
        if line.fork is not None and (fork is None or line.fork < fork.position):
            return min(count, line.fork), _ANYWAY
        if line.count <= count or (fork is not None and fork.position <= count):
            return None
        return count, line.count

    def _advance(self, peer: bytes, state: _Peer) -> Sends:
        """Ask for the next entries and the next ranges, as far as the bounds allow."""
        sends: Sends = []
        if state.pulls and 2 * state.open <= state.open_max and (wants := self._pick(peer, state)):
            sends.append((peer, LogWant(tuple(wants))))
        if state.stack and not state.asked and len(state.pulls) < PULLS_PAUSE:
            state.asked = state.stack[-RANGES_MAX:]
            del state.stack[-RANGES_MAX:]
            state.asked_tick = self._ticks
            ranges = self._replica.get_ranges()
            asks = tuple(RangeAsk(prefix, ranges.count(prefix)) for prefix in state.asked)
            sends.append((peer, LogAsk(state.salt, asks)))
        return sends

    def _pick(self, peer: bytes, state: _Peer) -> list[Want]:
        wants: list[Want] = []
        while state.pulls and state.open < state.open_max and len(wants) < WANTS_MAX:
            author = next(iter(state.pulls))
            start, count = state.pulls.pop(author)
            if count != _ANYWAY:
                start = max(start, self._replica.get_count(author))
            if (count == _ANYWAY or start < count) and self._ask(peer, state, author):
                wants.append(Want(author, start))
        return wants

    def _ask(self, peer: bytes, state: _Peer, author: bytes) -> bool:
        """Note an open want; False while somebody else owes us this author."""
        if author in self._open or state.open >= state.open_max:
            return False
        self._open[author] = (peer, self._ticks)
        state.open += 1
        return True

    def _close_overdue(self) -> None:
        """Whoever has it may be asked again; whoever was late is asked for less at once."""
        overdue = [author for author in self._open if self._is_overdue(author)]
        late = {self._open[author][0] for author in overdue}
        for author in overdue:
            self._close(author)
        for key, peer in self._peers.items():
            if key in late:
                peer.open_max = max(peer.open_max // 2, WANTS_OPEN_MIN)
            elif peer.given_tick == self._ticks - 1:
                peer.open_max = min(2 * peer.open_max, WANTS_OPEN_MAX)

    def _is_overdue(self, author: bytes) -> bool:
        peer, tick = self._open[author]
        heard = max(tick, self._peers[peer].given_tick)
        return heard <= self._ticks - WANT_TICKS or tick <= self._ticks - WANT_TICKS_MAX

    def _close(self, author: bytes) -> None:
        peer, _ = self._open.pop(author)
        self._peers[peer].open -= 1

    def _make_salt(self) -> bytes:
        self._salts += 1
        return hashlib.sha256(self._seed + self._salts.to_bytes(8, "big")).digest()[:SALT_BYTES]

    def _answer_ask(self, state: _Peer, message: LogAsk) -> list[LogRanges]:
        ranges, told, size = self._replica.get_ranges(), list[Range](), 0
        for ask in message.ranges:
            if size > ANSWER_BYTES_MAX or state.bytes_sent > PEER_BYTES_TICK_MAX:
                break
            count = ranges.count(ask.prefix)
            # Who holds less than half of what is here learns it soonest from the lines.
            if count <= LIST_ALWAYS or (count <= LINES_MAX and 2 * ask.count <= count):
                authors = ranges.list_authors(ask.prefix)
                told.append(Range(ask.prefix, b"", tuple(map(self._make_line, authors))))
                added = sum(96 + 34 * len(line.marks) for line in told[-1].lines)
            else:
                shorts = shorten(message.salt, ranges.split(ask.prefix))
                told.append(Range(ask.prefix, shorts, ()))
                added = SHORTS_BYTES
            size += added
            state.bytes_sent += added
        return [LogRanges(tuple(told))] if told else []

    def _answer_wants(self, state: _Peer, message: LogWant) -> list[LogEntries]:
        answers: list[LogEntries] = []
        room = min(REPLY_BYTES_MAX, PEER_BYTES_TICK_MAX - state.bytes_sent)
        for want in message.wants:
            if room <= 0:
                break
            entries = self._replica.entries_since(
                want.author, want.start, count_max=ENTRIES_MAX, bytes_max=room
            )
            fork = self._replica.get_fork(want.author)
            proof = fork.encode() if fork else None
            size = sum(proven.count_bytes() for proven in entries) + len(proof or b"")
            room -= size
            state.bytes_sent += size
            if entries or proof:
                carried = tuple(CarriedEntry(each.entry, each.proof) for each in entries)
                count = self._replica.get_count(want.author)
                answers.append(LogEntries(want.author, count, carried, proof))
        return answers

    def _handle_entries(self, peer: bytes, state: _Peer, message: LogEntries) -> Sends:
        author, replica = message.author, self._replica
        if author in self._open and self._open[author][0] == peer:
            self._close(author)
        before = replica.get_count(author)
        try:
            if message.fork is not None:
                self._merge_fork(author, message.fork, state)
            for carried in message.entries:
                self._announce(replica.merge(ProvenEntry(carried.entry, carried.proof)), state)
        except ReplicaFull:  # a bound, not a fault of the peer's: nothing more is pulled
            return []
        if state is self._strangers:
            return []
        start = self._find_rest(message, before)
        if start is not None and self._ask(peer, state, author):
            return [(peer, LogWant((Want(author, start),))), *self._advance(peer, state)]
        return self._advance(peer, state)

    def _find_rest(self, message: LogEntries, before: int) -> int | None:
        """From where to pull on after a message, before which we held `before` entries."""
        author = message.author
        count, fork = self._replica.get_count(author), self._replica.get_fork(author)
        if fork is not None and fork.position <= count:
            return None
        if message.entries and message.entries[0].entry.header.position == count > 0:
            # It does not link to our last entry: theirs at that position tells why.
            return count - 1
        return count if before < count < message.count else None

    def _merge_fork(self, author: bytes, fork: bytes, state: _Peer) -> None:
        known = self._replica.get_fork(author)
        if known is None or known.encode() != fork:
            self._announce(self._replica.merge_fork(fork), state)

    def _announce(self, change: Change, state: _Peer) -> None:
        if change.entries or change.fork:
            state.has_given, state.given_tick = True, self._ticks
            self._on_change(change)

    def _make_heads(self, lines: tuple[HeadLine, ...]) -> LogHeads:
        return LogHeads(self._replica.get_root(), self._replica.get_weight(), lines)

    def _make_line(self, author: bytes, *, with_marks: bool = False) -> HeadLine:
        fork = self._replica.get_fork(author)
        count = self._replica.get_count(author)
        positions = list_marks(count)
        if fork is None and not with_marks:
            positions = positions[:1]
        marks = [self._replica.get_hash(author, position) for position in positions]
        return HeadLine(
            author, count, tuple(filter(None, marks)), None if fork is None else fork.position
        )


def read_count(message: LogRanges, author: bytes) -> int | None:
    """How much of `author`'s log the sender says it holds; None where it does not say."""
    place = locate(author)
    for told in message.ranges:
        if not told.shorts and place.startswith(told.prefix):
            return max((line.count for line in told.lines if line.author == author), default=0)
    return None

"""Replicas that pull from each other over a lossy, reordering network reach one root."""

import hashlib
import random

import pytest

from crdt import antientropy
from crdt.antientropy import EQUAL_TICKS, AntiEntropy, read_count
from crdt.exchange import (
    LINES_MAX,
    MARKS_MAX,
    RANGES_MAX,
    SHORTS_BYTES,
    WANTS_MAX,
    AntiEntropyMessage,
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
from crdt.ranges import PLACE_DIGITS, locate
from crdt.replica import Change, ProvenEntry, Replica
from identity import schema
from identity.errors import InvalidBytes
from identity.keys import PrivateKey
from tests.crdt.logs import KEYS, make_chain, make_pool, make_replica


class World:
    """Replicas joined in memory; each message may be lost, doubled or overtaken."""

    def __init__(self, count: int, seed: int, loss: float) -> None:
        self.random = random.Random(seed)
        self.loss = loss
        self.names = [bytes([i]) for i in range(count)]
        self.replicas = [make_replica() for _ in range(count)]
        self.changes: list[list[Change]] = [[] for _ in range(count)]
        self.nodes = [
            AntiEntropy(replica, changes.append, b"%d" % seed)
            for replica, changes in zip(self.replicas, self.changes, strict=True)
        ]
        self.queue: list[tuple[bytes, bytes, AntiEntropyMessage]] = []
        self.messages = 0
        self.lines = 0
        self.kinds: list[type] = []
        for name, node in zip(self.names, self.nodes, strict=True):
            for other in self.names:
                if other != name:
                    node.add_peer(other)

    def run(self, ticks: int) -> bool:
        """True once all roots are equal."""
        for _ in range(ticks):
            for name, node in zip(self.names, self.nodes, strict=True):
                self._send(name, node.tick())
            while self.queue:
                self._deliver()
            if len({replica.get_root() for replica in self.replicas}) == 1:
                return True
        return False

    def _send(self, source: bytes, sends: antientropy.Sends) -> None:
        for target, message in sends:
            for _ in range(1 + (self.random.random() < self.loss)):
                if self.random.random() >= self.loss:
                    self.queue.append((source, target, message))

    def _deliver(self) -> None:
        index = self.random.randrange(len(self.queue)) if self.loss else 0
        source, target, message = self.queue.pop(index)
        self.messages += 1
        self.kinds.append(type(message))
        if isinstance(message, LogRanges):
            self.lines += sum(len(told.lines) for told in message.ranges)
        data = schema.encode(message)
        assert len(data) < 3 * antientropy.REPLY_BYTES_MAX
        received = schema.decode(data, type(message), size_max=len(data))
        self._send(target, self.nodes[target[0]].handle(source, received))


def scatter(world: World, pool: list[ProvenEntry]) -> None:
    for proven in pool:
        world.random.choice(world.replicas).merge(proven)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("count", [2, 3])
def test_scattered_logs_and_forks_come_together(seed: int, count: int) -> None:
    world = World(count, seed, loss=0.3)
    for author in (0, 1, 4):
        for proven in make_chain(KEYS[author], 20):
            world.replicas[author % count].merge(proven)
    scatter(world, [p for p in make_pool() if p.entry.header.author == KEYS[2].public])
    assert world.run(80)
    assert world.replicas[0].get_count(KEYS[0].public) == 20


def hold_branches(world: World, common: int, count: int) -> None:
    trunk = make_chain(KEYS[0], common)
    for index, replica in enumerate(world.replicas):
        for proven in make_chain(KEYS[0], count, base=trunk, salt=b"%d" % index):
            replica.merge(proven)


@pytest.mark.parametrize("common", [0, 1, 37, 199])
def test_a_long_fork_freezes_at_the_last_common_entry(common: int) -> None:
    world = World(2, 0, loss=0)
    hold_branches(world, common, 200)
    assert world.run(20)
    for replica in world.replicas:
        assert replica.get_count(KEYS[0].public) == common
        fork = replica.get_fork(KEYS[0].public)
        assert fork is not None
        assert fork.position == common
    assert any(change.fork for change in world.changes[0])


def test_a_long_log_is_pulled_in_pages_without_waiting_for_ticks() -> None:
    world = World(2, 0, loss=0)
    for proven in make_chain(KEYS[0], 1_000):
        world.replicas[0].merge(proven)
    assert world.run(2)
    assert world.replicas[1].get_count(KEYS[0].public) == 1_000
    assert len(world.changes[1]) == 1_000


def test_equal_replicas_tell_only_their_roots_and_seldom() -> None:
    world = World(2, 0, loss=0)
    for replica in world.replicas:
        for proven in make_chain(KEYS[0], 3):
            replica.merge(proven)
    assert world.run(2)
    world.messages = 0
    for _ in range(10 * EQUAL_TICKS):
        assert world.run(1)
    assert world.messages == 2 * 10
    world.replicas[0].merge(make_chain(KEYS[1], 1)[0])
    assert world.run(2)  # what is new is told at once
    assert world.replicas[1].get_count(KEYS[1].public) == 1


def make_crowd(count: int) -> list[ProvenEntry]:
    """The first entries of `count` authors."""
    keys = [PrivateKey(hashlib.sha256(b"crowd%d" % i).digest()) for i in range(count)]
    return [proven for key in keys for proven in make_chain(key, 1)]


def test_few_authors_are_listed_at_once() -> None:
    world = World(2, 0, loss=0)
    for proven in make_crowd(10):
        world.replicas[0].merge(proven)
    assert world.run(2)
    kinds = [kind.__name__ for kind in world.kinds]
    assert kinds.count("LogAsk") == kinds.count("LogRanges") == 1
    assert len(kinds) < 20


@pytest.mark.parametrize("loss", [0.0, 0.2])
def test_many_authors_that_differ_in_some_both_ways(loss: float) -> None:
    world = World(2, 3, loss=loss)
    for index, proven in enumerate(make_crowd(1_000)):
        for number, replica in enumerate(world.replicas):
            if index % 100 != number:
                replica.merge(proven)
    assert world.run(60)
    assert len(world.replicas[0].heads()) == 1_000
    if not loss:
        # Both ways: fingerprints where they differ, and only the lines around what is missing.
        assert world.lines < 200


def test_every_bound_at_its_lowest_still_converges(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIST_ALWAYS", "RANGES_MAX", "WANTS_MAX", "WANTS_OPEN_MIN", "PULLS_MAX"):
        monkeypatch.setattr(antientropy, name, 1)
    monkeypatch.setattr(antientropy, "STACK_MAX", 4)
    monkeypatch.setattr(antientropy, "LINES_MAX", 1)
    monkeypatch.setattr(antientropy, "WANTS_OPEN_MAX", 1)
    world = World(3, 0, loss=0.2)
    for index, proven in enumerate(make_crowd(30)):
        world.replicas[index % 3].merge(proven)
    for node in world.nodes:
        for peer in node._peers.values():
            peer.open_max = 1
    assert world.run(400)
    assert len(world.replicas[0].heads()) == 30


def test_whoever_holds_more_descends_when_the_other_does_not() -> None:
    world = World(2, 0, loss=0)
    for proven in make_chain(KEYS[0], 1):
        world.replicas[0].merge(proven)
    for proven in make_chain(KEYS[1], 5):
        world.replicas[1].merge(proven)
    _, theirs = world.names
    lighter, heavier = world.nodes
    for _ in range(antientropy.PATIENCE_TICKS):
        heavier.tick()
    ((_, heads),) = [each for each in lighter.tick() if each[0] == theirs]
    ((_, ask),) = heavier.handle(world.names[0], heads)
    assert isinstance(ask, LogAsk)


def start_descent(count: int) -> tuple[World, LogAsk]:
    """A replica that knows nothing asks one that holds `count` authors."""
    world = World(2, 0, loss=0)
    for proven in make_crowd(count):
        world.replicas[1].merge(proven)
    (_, heads), *_ = world.nodes[1].tick()
    ((_, ask),) = world.nodes[0].handle(b"\x01", heads)
    assert isinstance(ask, LogAsk)
    return world, ask


def test_answers_that_nobody_asked_for_or_that_do_not_fit_are_refused() -> None:
    world, _ = start_descent(20)
    node = world.nodes[0]
    stray = LogRanges((Range("ab", bytes(SHORTS_BYTES), ()),))
    assert node.handle(b"\x01", stray) == []
    line = HeadLine(KEYS[0].public, 1, (bytes(32),))
    with pytest.raises(InvalidBytes):
        node.handle(b"\x01", LogRanges((Range("", b"\0", ()),)))
    world, _ = start_descent(20)
    sends = world.nodes[0].handle(b"\x01", LogRanges((Range("", b"", (line,)),)))
    assert [type(message) for _, message in sends] == [LogWant]


def test_a_line_outside_of_its_range_is_refused() -> None:
    world, _ = start_descent(20)
    node = world.nodes[0]
    place = locate(KEYS[0].public)
    shorts = bytes(SHORTS_BYTES)
    ((_, ask),) = node.handle(b"\x01", LogRanges((Range("", shorts, ()),)))
    assert isinstance(ask, LogAsk)
    other = next(each.prefix for each in ask.ranges if each.prefix != place[0])
    line = HeadLine(KEYS[0].public, 1, (bytes(32),))
    with pytest.raises(InvalidBytes):
        node.handle(b"\x01", LogRanges((Range(other, b"", (line,)),)))


def test_a_peer_that_makes_up_differences_is_held_within_bounds() -> None:
    """Fingerprints that never match and lines of entries that it does not have."""
    world, _ = start_descent(20)
    node, state = world.nodes[0], world.nodes[0]._peers[b"\x01"]
    shorts = bytes(SHORTS_BYTES)
    for _ in range(2_000):
        asks = [ask.prefix for ask in (RangeAsk(p, 0) for p in state.asked)]
        if not asks or len(asks[0]) == PLACE_DIGITS:
            break
        node.handle(b"\x01", LogRanges(tuple(Range(p, shorts, ()) for p in asks)))
        assert len(state.stack) <= antientropy.STACK_MAX + RANGES_MAX
    for number in range(20):
        lines = tuple(
            HeadLine(hashlib.sha256(b"%d-%d" % (number, i)).digest(), 9, (bytes(32),))
            for i in range(LINES_MAX)
        )
        node.handle(b"\x01", LogHeads(bytes(32), 1 << 60, lines))
    assert len(state.pulls) <= antientropy.PULLS_MAX
    assert state.open <= antientropy.WANTS_OPEN_MAX
    assert world.replicas[0].get_authors() == []
    for _ in range(antientropy.WANT_TICKS):
        node.tick()
    assert state.open <= WANTS_MAX


def test_answers_between_two_ticks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antientropy, "PEER_BYTES_TICK_MAX", 10_000)
    world, ask = start_descent(10)
    node = world.nodes[1]
    wants = LogWant(tuple(Want(a, 0) for a in world.replicas[1].get_authors()))
    for message in (ask, wants):
        answered = [bool(node.handle(b"\0", message)) for _ in range(50)]
        assert answered[0]
        assert not answered[-1]
        node.tick()


def test_the_question_how_much_of_one_log_is_held() -> None:
    world, _ = start_descent(300)
    held, absent = make_crowd(300)[7].entry.header.author, KEYS[0].public
    for author, count in ((held, 1), (absent, 0)):
        ((_, answer),) = world.nodes[1].handle(b"\0", world.nodes[0].ask_for(author))
        assert isinstance(answer, LogRanges)
        assert read_count(answer, author) == count
        assert read_count(LogRanges((Range("", bytes(SHORTS_BYTES), ()),)), author) is None


def test_a_reply_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antientropy, "REPLY_BYTES_MAX", 2_000)
    replica: Replica = make_replica()
    for proven in make_chain(KEYS[0], 100):
        replica.merge(proven)
    node = AntiEntropy(replica, lambda change: None, b"")
    want = LogWant((Want(KEYS[0].public, 0),))
    ((_, reply),) = node.handle(b"p", want)
    assert isinstance(reply, LogEntries)
    assert 1 <= len(reply.entries) < 10
    assert reply.count == 100


def test_marks_halve_what_is_left() -> None:
    assert list_marks(0) == []
    assert list_marks(1) == [0]
    assert list_marks(10) == [9, 8, 6, 2]
    assert len(list_marks((1 << 63) - 1)) <= MARKS_MAX

"""Replicas that pull from each other over a lossy, reordering network reach one root."""

import random

import pytest

from crdt import antientropy
from crdt.antientropy import AntiEntropy, AntiEntropyMessage, LogEntries, list_marks
from crdt.replica import Change, ProvenEntry, Replica
from identity import schema
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
            AntiEntropy(replica, changes.append)
            for replica, changes in zip(self.replicas, self.changes, strict=True)
        ]
        self.queue: list[tuple[bytes, bytes, AntiEntropyMessage]] = []
        self.messages = 0
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


def test_equal_replicas_tell_only_their_roots() -> None:
    world = World(2, 0, loss=0)
    for replica in world.replicas:
        for proven in make_chain(KEYS[0], 3):
            replica.merge(proven)
    assert world.run(2)
    world.nodes[0].tick()
    assert all(message.lines == () for _, message in world.nodes[0].tick())  # type: ignore[union-attr]


def test_more_authors_than_a_page_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antientropy, "LINES_MAX", 2)
    monkeypatch.setattr(antientropy, "WANTS_MAX", 1)
    world = World(3, 0, loss=0.2)
    for index, key in enumerate(KEYS):
        for proven in make_chain(key, 5):
            world.replicas[index % 3].merge(proven)
    assert world.run(80)
    assert len(world.replicas[0].heads()) == len(KEYS)


def test_a_reply_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(antientropy, "REPLY_BYTES_MAX", 2_000)
    replica: Replica = make_replica()
    for proven in make_chain(KEYS[0], 100):
        replica.merge(proven)
    node = AntiEntropy(replica, lambda change: None)
    want = antientropy.LogWant((antientropy.Want(KEYS[0].public, 0),))
    ((_, reply),) = node.handle(b"p", want)
    assert isinstance(reply, LogEntries)
    assert 1 <= len(reply.entries) < 10
    assert reply.count == 100


def test_marks_halve_what_is_left() -> None:
    assert list_marks(0) == []
    assert list_marks(1) == [0]
    assert list_marks(10) == [9, 8, 6, 2]
    assert len(list_marks((1 << 63) - 1)) <= antientropy.MARKS_MAX

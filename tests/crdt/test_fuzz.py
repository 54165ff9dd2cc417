"""Mutated messages of anti-entropy, bytes and structure: no crash, no growth, no state from lies.

ECONODE_FUZZ_MESSAGES sets how many the long test sends (`make fuzz-nightly`: a million).
"""

import copy
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crdt.antientropy import AntiEntropy
from crdt.replica import ProvenEntry, Replica
from identity import cbor
from identity.errors import InvalidBytes
from node.router import decode_frame, encode_frame
from tests.crdt.logs import KEYS, make_chain, make_pool, make_replica

PEERS = [b"\0", b"\1", b"\2"]
ROUND = 500
"""Messages to one target before a fresh one takes its place."""
GROWTH_BYTES_MAX = 50 << 20
FORKERS = {key.public for key in KEYS[2:4]}
ODD: list[Any] = [
    *(0, 1, -1, 255, 1 << 32, (1 << 63) - 1, 1 << 63, -(1 << 63), None, True, False, 1.5),
    *(b"", bytes(16), bytes(31), bytes(32), bytes(128), bytes(5_000), "", "0", "f" * 64, "g"),
    *([], {}, [[]], [None] * 300, {"type": "log_ask"}, KEYS[0].public, KEYS[2].public),
]


def list_entries() -> list[ProvenEntry]:
    return [*make_pool(), *make_chain(KEYS[4], 20), *make_chain(KEYS[5], 3)]


def record_frames() -> list[bytes]:
    """Every message that two honest replicas exchange to become equal."""
    replicas = [make_replica(), make_replica()]
    nodes = [AntiEntropy(each, lambda change: None, bytes([i])) for i, each in enumerate(replicas)]
    for index, proven in enumerate(list_entries()):
        replicas[index % 3 != 0].merge(proven)
    frames: list[bytes] = []
    for i, node in enumerate(nodes):
        node.add_peer(PEERS[1 - i])
    queue = [(i, m) for i, node in enumerate(nodes) for _, m in node.tick()]
    for _ in range(60):
        while queue:
            source, message = queue.pop(0)
            frames.append(encode_frame(message))
            sends = nodes[1 - source].handle(PEERS[source], message)
            queue += [(1 - source, each) for _, each in sends]
        queue = [(i, m) for i, node in enumerate(nodes) for _, m in node.tick()]
    assert replicas[0].get_root() == replicas[1].get_root()
    return list(dict.fromkeys(frames))


def mutate_bytes(draw: random.Random, frame: bytes) -> bytes:
    data = bytearray(frame)
    for _ in range(draw.choice([1, 1, 1, 2, 8])):
        at = draw.randrange(len(data) + 1)
        match draw.randrange(5):
            case 0 if at < len(data):
                data[at] ^= 1 << draw.randrange(8)
            case 1 if at < len(data):
                data[at] = draw.randrange(256)
            case 2:
                del data[at : at + draw.randrange(1, 9)]
            case 3:
                data[at:at] = draw.randbytes(draw.randrange(1, 9))
            case 4:
                start = draw.randrange(len(data) + 1)
                data[at:at] = data[start : start + draw.randrange(1, 99)]
    return bytes(data)


def list_slots(value: Any) -> list[tuple[Any, Any]]:
    """Every place of a decoded message: (container, key or index)."""
    slots: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        here = stack.pop()
        pairs = here.items() if isinstance(here, dict) else enumerate(here)
        for key, child in pairs:
            slots.append((here, key))
            if isinstance(child, dict | list):
                stack.append(child)
    return slots


def mutate_structure(draw: random.Random, frame: bytes, other: bytes) -> bytes:
    value, donor = (cbor.decode(each, size_max=1 << 20) for each in (frame, other))
    for _ in range(draw.choice([1, 1, 2, 4])):
        slots = list_slots(value)
        container, key = draw.choice(slots)
        match draw.randrange(6):
            case 0 | 1:
                container[key] = copy.deepcopy(draw.choice(ODD))
            case 2:
                source, at = draw.choice(list_slots(donor))
                container[key] = copy.deepcopy(source[at])
            case 3 if isinstance(container, list):
                count = draw.choice([1, 2, 70, 300])
                container[key:key] = [copy.deepcopy(container[key]) for _ in range(count)]
            case 4 if len(slots) > 1:
                del container[key]
                if not value:
                    return b"\xa0"
            case _ if isinstance(container[key], int):
                container[key] += draw.choice([-1, 1])
        data = cbor.encode(value)
        if len(data) > 1 << 18:
            break
    return data


class Target:
    """A replica with half of the entries, in an exchange with peers that lie."""

    def __init__(self, draw: random.Random) -> None:
        self.entries = list_entries()
        self.replica: Replica = make_replica()
        self.node = AntiEntropy(self.replica, lambda change: None, draw.randbytes(8))
        for peer in PEERS:
            self.node.add_peer(peer)
        for proven in draw.sample(self.entries, len(self.entries) // 2):
            self.replica.merge(proven)
        self.known = {proven.entry.header.hash() for proven in self.entries}
        self.root = self.replica.get_root()

    def take(self, peer: bytes, frame: bytes) -> bool:
        """True when the message was one that an honest peer could send."""
        try:
            self.node.handle(peer, decode_frame(frame))  # type: ignore[arg-type]
        except InvalidBytes:
            return False
        finally:
            if self.replica.get_root() != self.root:
                self.check()
        return True

    def check(self) -> None:
        """Nothing is held that its author did not sign, and nobody honest is frozen."""
        self.root = self.replica.get_root()
        for author in self.replica.get_authors():
            for entry in self.replica.iterate(author):
                assert entry.header.hash() in self.known
            assert author in FORKERS or self.replica.get_fork(author) is None


def fuzz(count: int, seed: int) -> tuple[int, int]:
    """Send `count` mutated messages; how many were refused, and bytes of memory grown."""
    draw = random.Random(seed)
    frames = record_frames()
    mutators: list[Callable[[bytes], bytes]] = [
        lambda frame: mutate_bytes(draw, frame),
        lambda frame: mutate_structure(draw, frame, draw.choice(frames)),
    ]
    refused, began, target = 0, 0, Target(draw)
    for number in range(count):
        if number % ROUND == 0:
            target = Target(draw)
        if number == min(2 * ROUND, count // 2):
            began = read_memory_bytes()
        if number % 50 == 0:
            target.node.tick()
        frame = draw.choice(mutators)(draw.choice(frames))
        try:
            refused += not target.take(draw.choice(PEERS), frame)
        # Anything else is a defect, and whoever looks for it wants the message.
        except Exception as error:
            error.add_note(f"seed {seed}, message {number}: {frame.hex()}")
            raise
    return refused, read_memory_bytes() - began


def read_memory_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_mutated_messages_do_no_harm() -> None:
    refused, grown = fuzz(3_000, seed=1)
    assert 1_000 < refused < 3_000
    assert grown < GROWTH_BYTES_MAX


@pytest.mark.full
@pytest.mark.timeout(7_200)
def test_many_mutated_messages_do_no_harm() -> None:
    count = int(os.environ.get("ECONODE_FUZZ_MESSAGES", "50000"))
    refused, grown = fuzz(count, seed=2)
    assert count // 3 < refused < count
    assert grown < GROWTH_BYTES_MAX

"""Replicated data at size: what two replicas need to agree, and what the views cost.

Two replicas exchange in this process, through the product's anti-entropy, codec and signature
checks, without a network: bytes, messages and round trips are exact, seconds are CPU of both.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crdt import log
from crdt.antientropy import AntiEntropy
from crdt.exchange import LINES_MAX, HeadLine, LogEntries, LogHeads
from crdt.facts import COMMON, Minted, Move, Settled, decode_fact, encode_fact
from crdt.heads import Prover, Voters, get_head, sign_head
from crdt.items import Data, encode_item
from crdt.replica import ProvenEntry, Replica
from crdt.reputation import PPM, ReputationView
from crdt.stake import StakeView
from devnet.bench.report import Recorder, Report
from identity import envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context
from identity.keys import PrivateKey
from node.router import decode_frame, encode_frame

VALUE_BYTES = 64
DIFFERENT_PERCENT = 1
TICKS_MAX = 10_000
TICK_SECONDS = 1.0
UPDATES = 2_000
VERIFICATIONS = 100
SNAPSHOTS = 5
HEADER_BYTES_MAX = 1_024
_NETWORK = hashlib.sha256(b"econode bench data").digest()
_COMMITTEE = bytes(range(16))
_MEMBERS = [PrivateKey(hashlib.sha256(b"member %d" % i).digest()) for i in range(4)]
_MIB = 1 << 20


@dataclass(slots=True)
class Traffic:
    """What went over the wire: `overhead` are bytes of everything but entries, `deliveries` how
    often messages had to arrive one after the other: two make a round trip."""

    bytes: int = 0
    overhead: int = 0
    messages: int = 0
    deliveries: int = 0
    ticks: int = 0
    seconds: float = 0.0


class Pair:
    """Two replicas and their exchanges."""

    def __init__(self) -> None:
        self.replicas = [Replica(Prover(_NETWORK, {})) for _ in range(2)]
        self.nodes = [
            AntiEntropy(replica, lambda change: None, bytes([index]))
            for index, replica in enumerate(self.replicas)
        ]
        for index, node in enumerate(self.nodes):
            node.add_peer(bytes([1 - index]))

    def sync(self) -> Traffic:
        """Exchange until both roots are equal, with a tick each second of CPU or when nothing is
        under way. Raises RuntimeError after TICKS_MAX."""
        traffic, began = Traffic(), time.thread_time()
        flight: list[list[bytes]] = [[], []]
        while traffic.ticks < TICKS_MAX:
            traffic.ticks += 1
            for index, node in enumerate(self.nodes):
                flight[index] += self._pack(traffic, node.tick())
            ticked = time.thread_time()
            while any(flight) and time.thread_time() < ticked + TICK_SECONDS:
                traffic.deliveries += 1
                flight = [self._answer(traffic, index, flight[1 - index]) for index in range(2)]
            if self.replicas[0].get_root() == self.replicas[1].get_root():
                traffic.seconds = time.thread_time() - began
                self._settle()
                return traffic
        raise RuntimeError("the replicas do not agree")

    def _settle(self) -> None:
        """Both hear that they are equal, as at the next tick of a node; not counted."""
        uncounted = Traffic()
        flight = [self._pack(uncounted, node.tick()) for node in self.nodes]
        for index in range(2):
            self._answer(uncounted, index, flight[1 - index])

    def _pack(self, traffic: Traffic, sends: Sequence[tuple[bytes, object]]) -> list[bytes]:
        frames = []
        for _, message in sends:
            frame = encode_frame(message)  # type: ignore[arg-type]
            traffic.bytes += len(frame)
            traffic.messages += 1
            if not isinstance(message, LogEntries):
                traffic.overhead += len(frame)
            frames.append(frame)
        return frames

    def _answer(self, traffic: Traffic, index: int, frames: Iterable[bytes]) -> list[bytes]:
        node, peer = self.nodes[index], bytes([1 - index])
        answers: list[bytes] = []
        for frame in frames:
            message = decode_frame(frame)
            answers += self._pack(traffic, node.handle(peer, message))  # type: ignore[arg-type]
        return answers


class Writer:
    """An author of entries with one application value each."""

    def __init__(self, number: int) -> None:
        self.key = PrivateKey(hashlib.sha256(b"author %d" % number).digest())
        self._position, self._previous = 0, log.GENESIS_PREVIOUS

    def write(self) -> ProvenEntry:
        value = hashlib.sha256(self._previous).digest() * (VALUE_BYTES // 32)
        item = encode_item(Data(namespace="bench", key=f"{self._position}", value=value))
        me = self.key.public
        entry = log.append(me, self._position, self._previous, self._position, [item])
        self._position, self._previous = self._position + 1, entry.header.hash()
        return ProvenEntry(entry, sign_head(self.key, _NETWORK, entry.header))


def measure_data(
    authors: int, entries: int, progress: Callable[[str], None] = lambda _: None
) -> Report:
    """Sync replicas of `authors` logs with `entries` each, then measure the views."""
    recorder = Recorder("data", {"authors": authors, "entries": entries})
    pair, writers = Pair(), [Writer(number) for number in range(authors)]
    before = _read_memory_bytes()
    progress("writing")
    for writer in writers:
        for _ in range(entries):
            pair.replicas[0].merge(writer.write())
    grown = _read_memory_bytes() - before
    recorder.add("replica_memory", "MiB", [grown / _MIB])
    recorder.add("plain_heads", "bytes", [count_plain_heads(pair.replicas[0])])
    progress("cold sync")
    _record(recorder, "cold", pair.sync())
    progress("sync of a difference")
    chosen = writers[:: 100 // DIFFERENT_PERCENT]
    for index, writer in enumerate(chosen):
        for _ in range(entries):
            pair.replicas[index % 2].merge(writer.write())
    _record(recorder, "different", pair.sync())
    _record(recorder, "one_entry", _sync_one(pair, writers[-1]))
    _record(recorder, "equal", pair.sync())
    progress("views")
    _measure_views(recorder, authors)
    recorder.add("process_memory", "MiB", [_read_memory_bytes() / _MIB])
    return recorder.finish()


def _sync_one(pair: Pair, writer: Writer) -> Traffic:
    pair.replicas[0].merge(writer.write())
    return pair.sync()


def count_plain_heads(replica: Replica) -> int:
    """Bytes of all heads of a replica, told as plain lines in as many messages as that takes."""
    lines = [HeadLine(author, count, (tip,)) for author, (count, tip) in replica.heads().items()]
    pages = [tuple(lines[at : at + LINES_MAX]) for at in range(0, len(lines), LINES_MAX)]
    return sum(len(encode_frame(LogHeads(replica.get_root(), 0, page))) for page in pages)


def _record(recorder: Recorder, name: str, traffic: Traffic) -> None:
    recorder.add(f"{name}_bytes", "bytes", [traffic.bytes])
    recorder.add(f"{name}_overhead", "bytes", [traffic.overhead])
    recorder.add(f"{name}_messages", "messages", [traffic.messages])
    recorder.add(f"{name}_round_trips", "round trips", [traffic.deliveries / 2])
    recorder.add(f"{name}_ticks", "ticks", [traffic.ticks])
    recorder.add(f"{name}_seconds", "s CPU", [traffic.seconds])


def _measure_views(recorder: Recorder, accounts: int) -> None:
    """Facts about `accounts` accounts: a settlement's effect on reputation, a snapshot, and the
    check of a stake from its bytes: certificate, path, fact, balance."""
    keys = [hashlib.sha256(b"account %d" % i).digest() for i in range(accounts)]
    minted = [
        Minted(account=key, moves=(Move(COMMON, "minted", key, "free", 1_000),)) for key in keys
    ]
    reputation, stake = ReputationView(), StakeView()
    for fact in minted:
        stake.apply(fact)
    for key in keys:
        reputation.apply(_settle(key))
    updates = [
        _time(lambda key=key: reputation.apply(_settle(key)))  # type: ignore[misc]
        for key in _spread(keys, UPDATES)
    ]
    recorder.add("reputation_update_p99", "ms CPU", [_p99(updates)])
    snapshots = [
        _time(lambda: reputation.apply(reputation.compute_snapshot())) for _ in range(SNAPSHOTS)
    ]
    recorder.add("reputation_snapshot", "ms CPU", snapshots)
    check = _make_check([encode_fact(fact) for fact in minted])
    recorder.add(
        "stake_verification_p99", "ms CPU", [_p99([check(i) for i in range(VERIFICATIONS)])]
    )


def _settle(executor: bytes) -> Settled:
    return Settled(
        task=executor,
        round=0,
        executor=executor,
        grade="excellent",
        price=1,
        rater=_COMMITTEE * 2,
        allowance=PPM,
    )


def _make_check(items: Sequence[bytes]) -> Callable[[int], float]:
    """A function that verifies fact number i against a certified head; milliseconds."""
    entry = log.append(_COMMITTEE, 0, log.GENESIS_PREVIOUS, 0, items)
    context = Context(_NETWORK, _COMMITTEE, 0, log.HEAD_KIND)
    payload = schema.encode(get_head(entry.header))
    signatures = {
        member.public: envelope.sign(member, context, payload).signature for member in _MEMBERS[:3]
    }
    proof = Certificate.collect(context, payload, signatures).encode()
    voters = Voters(0, frozenset(member.public for member in _MEMBERS), 3)
    prover = Prover(_NETWORK, {_COMMITTEE: [voters]})
    header = entry.header

    def check(number: int) -> float:
        index = number * 7_919 % len(items)
        path, wire = log.compute_path(items, index), schema.encode(header)
        began = time.thread_time()
        told = schema.decode(wire, log.Header, size_max=HEADER_BYTES_MAX)
        prover.check(get_head(told), proof)
        fact = decode_fact(items[index])
        if not log.verify_path(items[index], index, len(items), path, told.root):
            raise RuntimeError("a path that proves nothing")
        StakeView().apply(fact)
        return (time.thread_time() - began) * 1e3

    return check


def _spread(keys: Sequence[bytes], count: int) -> list[bytes]:
    return [keys[i * 7_919 % len(keys)] for i in range(count)]


def _time(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return (time.thread_time() - began) * 1e3


def _read_memory_bytes() -> int:
    """Resident memory of this process (proc(5), /proc/self/statm: the second field, in pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _p99(times: Sequence[float]) -> float:
    return sorted(times)[len(times) * 99 // 100]

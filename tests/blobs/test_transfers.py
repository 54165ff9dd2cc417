"""Cores joined in memory, over a network that loses, repeats and reorders, with lying holders."""

import hashlib
import random
from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols import blobs
from protocols.blob_messages import (
    CHUNK_BYTES,
    Action,
    Answer,
    Begin,
    BlobChunk,
    BlobHave,
    BlobMissing,
    BlobOffer,
    BlobWant,
    Complete,
    Failed,
    Lookup,
    Message,
    Misbehaved,
    OfferEnded,
    Read,
    Send,
    Write,
)
from protocols.blobs import BlobTransfers
from protocols.economy.operations import BLOB_BYTES_MAX

A, B, C, D = b"a", b"b", b"c", b"d"
BLOB = random.Random(1).randbytes(11 * CHUNK_BYTES + 17)
DIGEST = hashlib.sha256(BLOB).digest()


@dataclass
class Host:
    """A node's side of the core: a store in memory."""

    name: bytes
    held: dict[bytes, bytes] = field(default_factory=dict)
    lies: bool = False
    mute: bool = False
    core: BlobTransfers = field(default_factory=BlobTransfers)
    open: dict[bytes, bytearray] = field(default_factory=dict)
    events: list[Action] = field(default_factory=list)

    def act(self, actions: list[Action], now_ms: int) -> list[tuple[bytes, bytes, Message]]:
        """Do `actions`: what goes out, as (from, to, message)."""
        out = []
        todo = list(actions)
        while todo:
            action = todo.pop(0)
            if isinstance(action, Send):
                if not self.mute:
                    out.append((self.name, action.peer, action.message))
            else:
                todo = self.answer(action, now_ms) + todo
        return out

    def answer(self, action: Action, now_ms: int) -> list[Action]:
        match action:
            case Lookup(peer, digest):
                answer = Answer.HELD if digest in self.held else Answer.WANTED
                return self.core.looked_up(peer, digest, answer, now_ms)
            case Read(peer, digest, offset, size):
                data = self.held.get(digest)
                if data is not None:
                    data = data[offset : offset + size]
                    data = data[::-1] if self.lies else data
                return self.core.read_done(peer, digest, offset, size, data)
            case Begin(digest, size):
                self.open[digest] = bytearray(size)
            case Write(digest, offset, data):
                self.open[digest][offset : offset + len(data)] = data
            case Complete(digest):
                data = bytes(self.open.pop(digest))
                if hashlib.sha256(data).digest() != digest:
                    return self.core.corrupt(digest, now_ms)
                self.held[digest] = data
                self.events.append(action)
                return self.core.stored(digest)
            case _:
                self.events.append(action)
        return []


class World:
    def __init__(self, *hosts: Host, seed: int = 0, loss: float = 0.0, repeat: float = 0.0):
        self.hosts = {host.name: host for host in hosts}
        self.random = random.Random(seed)
        self.loss, self.repeat = loss, repeat
        self.reorder = bool(loss or repeat)
        self.now_ms = 0
        self.air: list[tuple[bytes, bytes, Message]] = []
        self.sent = 0

    def do(self, host: Host, actions: list[Action]) -> None:
        for item in host.act(actions, self.now_ms):
            self.sent += 1
            if self.random.random() >= self.loss:
                self.air.append(item)
            if self.random.random() < self.repeat:
                self.air.append(item)

    def run(self, steps_max: int = 20_000) -> None:
        """Until nothing is under way and no timer is set."""
        for _ in range(steps_max):
            if self.air:
                at = self.random.randrange(len(self.air)) if self.reorder else 0
                source, to, message = self.air.pop(at)
                host = self.hosts[to]
                self.do(host, host.core.handle(source, message, self.now_ms))
                continue
            due = [host.core.next_ms for host in self.hosts.values()]
            if all(each is None for each in due):
                return
            self.now_ms = min(each for each in due if each is not None)
            for host in self.hosts.values():
                self.do(host, host.core.on_timer(self.now_ms))
        raise AssertionError("the transfer never ends")


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, len(BLOB)])
def test_a_push_reaches_the_peer_and_says_so(size: int) -> None:
    data = BLOB[:size]
    digest = hashlib.sha256(data).digest()
    pusher, taker = Host(A, {digest: data}), Host(B)
    world = World(pusher, taker)
    world.do(pusher, pusher.core.offer(B, digest, size, 0))
    world.run()
    assert taker.held == {digest: data}
    assert pusher.events == [OfferEnded(B, digest, held=True)]
    chunks = -(-size // CHUNK_BYTES)
    assert world.sent == 1 + 2 * chunks + 1
    world.do(pusher, pusher.core.offer(B, digest, size, 0))
    world.run()
    assert world.sent == 1 + 2 * chunks + 1 + 2
    assert world.now_ms == 0


@settings(max_examples=25)
@given(st.integers(0, 1 << 32), st.floats(0, 0.3), st.floats(0, 0.3))
def test_loss_repeats_and_reordering_only_cost_time(seed: int, loss: float, repeat: float) -> None:
    pusher, other, taker = Host(A, {DIGEST: BLOB}), Host(C, {DIGEST: BLOB}), Host(B)
    world = World(pusher, other, taker, seed=seed, loss=loss, repeat=repeat)
    world.do(pusher, pusher.core.offer(B, DIGEST, len(BLOB), 0))
    world.do(taker, taker.core.fetch(DIGEST, len(BLOB), [A, C], 0))
    world.run()
    # Enough loss in a row may end a fetch, but then everybody is told.
    ended = [event for event in taker.events if isinstance(event, Complete | Failed)]
    assert ended
    assert (taker.held.get(DIGEST) == BLOB) == (Complete(DIGEST) in ended)
    if loss < 0.02:
        assert taker.held.get(DIGEST) == BLOB
    assert [type(event) for event in pusher.events] == [OfferEnded]


def test_a_mute_holder_is_left_and_the_fetch_resumes() -> None:
    mute, good, taker = Host(A, {DIGEST: BLOB}), Host(C, {DIGEST: BLOB}), Host(B)
    world = World(mute, good, taker)
    world.do(taker, taker.core.fetch(DIGEST, len(BLOB), [A, C], 0))
    for _ in range(12):  # some chunks arrive, then the holder falls silent
        source, to, message = world.air.pop(0)
        host = world.hosts[to]
        world.do(host, host.core.handle(source, message, 0))
    mute.mute = True
    got = sum(any(taker.open[DIGEST][at : at + 99]) for at in range(0, len(BLOB), CHUNK_BYTES))
    sent = world.sent
    world.run()
    assert taker.held == {DIGEST: BLOB}
    assert 0 < got < 12
    assert world.now_ms == blobs.CHUNK_TIMEOUT_MS
    assert world.sent - sent <= 2 * (12 - got) + blobs.WINDOW_CHUNKS


def test_holders_without_it_or_gone_are_left_at_once() -> None:
    empty, good, taker = Host(A), Host(C, {DIGEST: BLOB}), Host(B)
    world = World(empty, good, taker)
    world.do(taker, taker.core.fetch(DIGEST, len(BLOB), [A, D, C], 0))
    world.do(taker, taker.core.peer_gone(D, 0))
    world.run()
    assert taker.held == {DIGEST: BLOB}
    assert world.now_ms == 0


@pytest.mark.parametrize("liars", [1, 2, 3])
def test_liars_are_found_and_the_honest_holder_serves(liars: int) -> None:
    bad = [Host(bytes([index]), {DIGEST: BLOB}, lies=True) for index in range(liars)]
    good, taker = Host(C, {DIGEST: BLOB}), Host(B)
    world = World(*bad, good, taker)
    holders = [*(host.name for host in bad), C]
    world.do(taker, taker.core.fetch(DIGEST, len(BLOB), holders, 0))
    world.run()
    assert taker.held == {DIGEST: BLOB}
    blamed = {event.peer for event in taker.events if isinstance(event, Misbehaved)}
    assert blamed == {host.name for host in bad}


def test_after_mixed_sources_nobody_is_blamed_unheard() -> None:
    liar, good, taker = Host(A, {DIGEST: BLOB}, lies=True), Host(C, {DIGEST: BLOB}), Host(B)
    world = World(liar, good, taker)
    world.do(taker, taker.core.fetch(DIGEST, len(BLOB), [A, C], 0))
    for _ in range(9):  # the liar delivers one chunk and then nothing for a while
        source, to, message = world.air.pop(0)
        host = world.hosts[to]
        world.do(host, host.core.handle(source, message, 0))
    world.air.clear()
    assert taker.open[DIGEST][:CHUNK_BYTES] == BLOB[:CHUNK_BYTES][::-1]
    world.run()
    assert taker.held == {DIGEST: BLOB}
    assert world.sent > 2 * 2 * 12  # the mixture was fetched, found wrong, and fetched again
    blamed = {event.peer for event in taker.events if isinstance(event, Misbehaved)}
    assert C not in blamed


def test_no_holder_ends_in_failure_and_tells_who_offered() -> None:
    core = BlobTransfers()
    assert core.handle(A, BlobOffer(digest=DIGEST, size=9), 0) == [Lookup(A, DIGEST, 9)]
    actions = core.looked_up(A, DIGEST, Answer.WANTED, 0)
    assert actions[0] == Begin(DIGEST, 9)
    for _ in range(blobs.STRIKES_MAX):
        now_ms = core.next_ms
        assert now_ms is not None
        actions = core.on_timer(now_ms)
    assert actions == [
        Failed(DIGEST, "no holder delivers it"),
        Send(A, BlobMissing(digest=DIGEST)),
    ]
    assert core.next_ms is None


def test_a_drip_of_chunks_between_timeouts_does_not_go_on_for_ever() -> None:
    core, now_ms = BlobTransfers(), 0
    core.fetch(DIGEST, BLOB_BYTES_MAX, [A], now_ms)
    actions: list[Action] = []
    for _ in range(blobs.TIMEOUTS_MAX):
        now_ms = core.next_ms or 0
        actions = core.on_timer(now_ms)
        wants = [each.message for each in actions if isinstance(each, Send)]
        if wants and isinstance(wants[0], BlobWant):
            want = wants[0]
            core.handle(
                A, BlobChunk(digest=DIGEST, offset=want.offset, data=bytes(want.size)), now_ms
            )
    assert actions == [Failed(DIGEST, "no holder delivers it")]


def test_chunks_nobody_asked_for_or_of_a_wrong_size() -> None:
    core = BlobTransfers()
    chunk = BlobChunk(digest=DIGEST, offset=0, data=b"x" * 9)
    assert core.handle(A, chunk, 0) == []
    core.fetch(DIGEST, 10, [A, C], 0)
    assert core.handle(C, chunk, 0) == []
    bad, again = core.handle(A, chunk, 0)
    assert bad == Misbehaved(A, "a chunk of another size than asked for")
    assert again == Send(C, BlobWant(digest=DIGEST, offset=0, size=10))
    good = BlobChunk(digest=DIGEST, offset=0, data=b"x" * 10)
    assert core.handle(C, good, 0) == [Write(DIGEST, 0, b"x" * 10), Complete(DIGEST)]
    assert core.handle(C, good, 0) == []
    assert core.stored(DIGEST) == []


def test_everything_a_peer_can_start_is_bounded() -> None:
    core = BlobTransfers()

    def digest(index: int) -> bytes:
        return index.to_bytes(32, "big")

    offers = [core.handle(A, BlobOffer(digest=digest(i), size=9), 0) for i in range(99)]
    assert sum(map(len, offers)) == blobs.OFFERS_PEER_MAX
    for index in range(blobs.OFFERS_PEER_MAX):
        core.looked_up(A, digest(index), Answer.WANTED, 0)
    assert core.handle(A, BlobOffer(digest=digest(99), size=9), 0) == []
    reads = [core.handle(A, BlobWant(digest=DIGEST, offset=i, size=1), 0) for i in range(99)]
    assert sum(map(len, reads)) == blobs.READS_PEER_MAX
    assert core.read_done(A, DIGEST, 0, 1, b"x") == [
        Send(A, BlobChunk(digest=DIGEST, offset=0, data=b"x"))
    ]
    assert len(core.handle(A, BlobWant(digest=DIGEST, offset=99, size=1), 0)) == 1
    for index in range(100, 100 + blobs.FETCHES_MAX - blobs.OFFERS_PEER_MAX):
        core.fetch(digest(index), 9, [C], 0)
    assert isinstance(core.fetch(digest(999), 9, [C], 0)[0], Failed)
    assert isinstance(core.fetch(digest(999), BLOB_BYTES_MAX + 1, [C], 0)[0], Failed)
    for index in range(blobs.OFFERS_MAX):
        assert len(core.offer(D, digest(index), 9, 0)) == 1
    assert core.offer(D, digest(999), 9, 0) == [OfferEnded(D, digest(999), held=False)]
    core.peer_gone(A, 0)
    core.peer_gone(C, 0)
    ended = core.peer_gone(D, 0)
    assert len(ended) == blobs.OFFERS_MAX
    assert core.next_ms is None
    assert core.read_done(A, DIGEST, 5, 1, b"x") == []


def test_an_offer_is_repeated_and_then_given_up() -> None:
    core = BlobTransfers()
    offer = Send(B, BlobOffer(digest=DIGEST, size=9))
    assert core.offer(B, DIGEST, 9, 0) == [offer]
    assert core.offer(B, DIGEST, 9, 0) == []
    for _ in range(blobs.OFFER_ATTEMPTS_MAX - 1):
        assert core.on_timer(core.next_ms or 0) == [offer]
    assert core.on_timer(core.next_ms or 0) == [OfferEnded(B, DIGEST, held=False)]
    assert core.handle(B, BlobHave(digest=DIGEST), 0) == []


def test_an_offer_of_another_size_does_not_disturb_the_fetch() -> None:
    core = BlobTransfers()
    core.fetch(DIGEST, 9, [C], 0)
    core.handle(A, BlobOffer(digest=DIGEST, size=8), 0)
    assert core.looked_up(A, DIGEST, Answer.WANTED, 0) == []
    core.handle(A, BlobOffer(digest=DIGEST, size=9), 0)
    assert core.looked_up(A, DIGEST, Answer.REFUSED, 0) == [Send(A, BlobMissing(digest=DIGEST))]
    assert core.cancel(DIGEST) == []
    assert core.next_ms is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "blob-offer", "digest": bytes(31), "size": 1},
        {"type": "blob-offer", "digest": bytes(32), "size": BLOB_BYTES_MAX + 1},
        {"type": "blob-offer", "digest": bytes(32), "size": -1},
        {"type": "blob-want", "digest": bytes(32), "offset": 0, "size": CHUNK_BYTES + 1},
        {"type": "blob-want", "digest": bytes(32), "offset": 0, "size": 0},
        {"type": "blob-chunk", "digest": bytes(32), "offset": 0, "data": b""},
        {"type": "blob-chunk", "digest": bytes(32), "offset": 0, "data": bytes(CHUNK_BYTES + 1)},
        {"type": "blob-have"},
    ],
)
def test_messages_out_of_bounds_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Message)


def test_unknown_fields_are_tolerated() -> None:
    fields = {"type": "blob-have", "digest": DIGEST, "later": 1}
    assert msgspec.convert(fields, Message) == BlobHave(digest=DIGEST)

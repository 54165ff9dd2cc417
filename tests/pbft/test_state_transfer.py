"""Fetching a state: from several members, some of which lie, and across restarts."""

import hashlib
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from identity import envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context
from identity.errors import InvalidBytes
from node.router import decode_frame, encode_frame
from protocols.messages import (
    CHECKPOINT_KIND,
    CHUNKS_PER_FETCH_MAX,
    FRAME_BYTES_MAX,
    Checkpoint,
    FetchState,
    GiveState,
    Hop,
    OfferState,
)
from protocols.pbft.catch_up import TRANSFER_WINDOWS_MIN
from protocols.pbft.checkpoint import SNAPSHOT_CHECKPOINTS, Diverged
from protocols.pbft.state_server import BURST_CHUNKS
from protocols.pbft.state_transfer import CHUNK_TIMEOUT_MS, OFFER_WAIT_MS
from protocols.state_tree import (
    CHUNKS_MAX,
    PATH_MAX,
    STATE_BYTES_MAX,
    STATE_CHUNK_BYTES,
    StateTree,
    compute_digest,
    cut,
    digest_state,
    hash_chunks,
    is_chunk,
)
from protocols.step import Step
from tests.pbft.world import CHECKPOINT_BATCHES, COMMITTEE, NETWORK, Node, World

PERIOD = SNAPSHOT_CHECKPOINTS * CHECKPOINT_BATCHES
FAR = TRANSFER_WINDOWS_MIN * 2 * CHECKPOINT_BATCHES
LARGE = 20 * STATE_CHUNK_BYTES
"""Larger than a frame."""


# --- the tree ---------------------------------------------------------------------------------


@given(
    size=st.integers(0, 5 * STATE_CHUNK_BYTES),
    seed=st.binary(min_size=1, max_size=8),
    data=st.data(),
)
def test_every_chunk_is_proven_alone_and_nothing_else_is(size, seed, data):
    state = (seed * (size // len(seed) + 1))[:size]
    chunks = cut(state)
    assert b"".join(chunks) == state
    assert all(len(chunk) <= STATE_CHUNK_BYTES for chunk in chunks)
    tree = StateTree(hash_chunks(chunks))
    assert digest_state(state) == compute_digest(size, tree.root)
    index = data.draw(st.integers(0, len(chunks) - 1))
    path = tree.get_path(index)
    assert len(path) <= PATH_MAX
    assert is_chunk(chunks[index], index, path, size, tree.root)
    assert not is_chunk(chunks[index] + b"x", index, path, size, tree.root)
    assert not is_chunk(chunks[index], index, (*path, bytes(32)), size, tree.root)
    assert not is_chunk(chunks[index], len(chunks), path, size, tree.root)
    assert compute_digest(size + 1, tree.root) != digest_state(state)
    assert not is_chunk(chunks[index], index, path, size, bytes(32))
    if chunks[index]:
        position = data.draw(st.integers(0, len(chunks[index]) - 1))
        flipped = bytearray(chunks[index])
        flipped[position] ^= 1
        assert not is_chunk(bytes(flipped), index, path, size, tree.root)


def test_the_largest_state_has_a_path_that_the_message_takes():
    leaves = b"".join(hashlib.sha256(b"%d" % i).digest() for i in range(CHUNKS_MAX))
    tree = StateTree(leaves)
    assert max(len(tree.get_path(i)) for i in (0, 1, CHUNKS_MAX - 1)) == PATH_MAX
    give = GiveState(
        committee=COMMITTEE,
        position=1,
        chunk=CHUNKS_MAX - 1,
        data=bytes(STATE_CHUNK_BYTES),
        path=tree.get_path(CHUNKS_MAX - 1),
    )
    assert decode_frame(encode_frame(give)) == give
    assert STATE_BYTES_MAX == CHUNKS_MAX * STATE_CHUNK_BYTES


# --- a world with one member that was away ----------------------------------------------------


def order(world: World, count: int) -> None:
    """`count` batches of one operation."""
    for _ in range(count):
        world.submit()
        world.settle()


def make_world(n: int = 4, *, batches: int = FAR + PERIOD, padding: int = 0) -> tuple[World, Node]:
    """A world in which one backup slept through `batches`."""
    world = World(n, padding=padding)
    order(world, 3)
    sleeper = world.nodes[-1]
    sleeper.crash()
    order(world, batches)
    return world, sleeper


def intercept(node: Node, change: Callable[[Hop], list[Hop]]) -> None:
    """Have what `node` serves of states changed on its way."""
    answer = node.states.answer
    node.states.answer = lambda serve: [c for hop in answer(serve) for c in change(hop)]  # type: ignore[method-assign]


def assert_caught_up(world: World, node: Node) -> None:
    others = [other for other in world.nodes if other is not node]
    assert node.application.position == others[0].application.position
    assert node.application.head == others[0].application.head
    assert node.application.nonces == others[0].application.nonces


def get_gap(node: Node) -> list[int]:
    held = {done.seq for done in node.ledger}
    return [seq for seq in range(1, node.application.position + 1) if seq not in held]


def test_who_is_far_behind_fetches_the_state_and_goes_on_with_batches():
    world, sleeper = make_world()
    sleeper.start()
    world.tick(3_000)
    assert_caught_up(world, sleeper)
    gap = get_gap(sleeper)
    assert 3 < gap[0] < 30  # a first fetch of batches was under way
    assert gap[-1] % PERIOD == 0
    assert max(seq for _, kind, seq in sleeper.rows if kind == "stable") >= gap[-1]
    order(world, 2 * CHECKPOINT_BATCHES)
    assert_caught_up(world, sleeper)
    assert sleeper.seat.core.checkpoints.low > gap[-1]
    assert not world.faults
    assert not world.evidence


def test_who_is_a_little_behind_fetches_batches():
    world, sleeper = make_world(batches=FAR // 2)
    sleeper.start()
    world.tick(6_000)
    assert_caught_up(world, sleeper)
    assert get_gap(sleeper) == []


def test_batches_that_nobody_holds_any_more_are_replaced_by_a_state():
    world, sleeper = make_world(batches=PERIOD + 10)
    for node in world.nodes[:-1]:
        node.ledger = [done for done in node.ledger if done.seq > 20]
    sleeper.start()
    world.tick(6_000)
    assert_caught_up(world, sleeper)
    assert get_gap(sleeper)[-1] == PERIOD


def test_one_member_that_lacks_batches_opens_no_gap():
    world, sleeper = make_world(batches=PERIOD + 10)
    world.nodes[0].ledger = world.nodes[0].ledger[20:]
    sleeper.start()
    world.tick(30_000)
    assert_caught_up(world, sleeper)
    assert get_gap(sleeper) == []


def test_a_member_that_got_its_state_serves_it_and_restarts_from_it():
    world, sleeper = make_world()
    sleeper.start()
    world.tick(3_000)
    sleeper.crash()
    sleeper.start()
    world.tick(1_000)
    assert_caught_up(world, sleeper)
    position = max(sleeper.states.snapshots)
    fetch = FetchState(committee=COMMITTEE, position=position, chunks=(0,))
    world.deliver(world.keys[0].public, sleeper, encode_frame(fetch))
    given = decode_frame(world.queues[sleeper.key.public, world.keys[0].public].pop())
    assert isinstance(given, GiveState)
    assert given.data == cut(sleeper.states.snapshots[position].state)[0]


def test_a_state_larger_than_a_frame_comes_from_all_members():
    world, sleeper = make_world(padding=LARGE)
    assert LARGE > FRAME_BYTES_MAX
    served: dict[bytes, int] = {}

    def count(node: Node) -> None:
        def note(hop: Hop) -> list[Hop]:
            if isinstance(hop, GiveState):
                served[node.key.public] = served.get(node.key.public, 0) + 1
            return [hop]

        intercept(node, note)

    for node in world.nodes[:-1]:
        count(node)
    sleeper.start()
    world.tick(5_000)
    assert_caught_up(world, sleeper)
    assert len(served) == 3
    assert sum(served.values()) == len(cut(bytes(LARGE))) + 1


WRONG: dict[str, Callable[[GiveState], dict[str, object]]] = {
    "another chunk": lambda give: {"chunk": (give.chunk + 1) % 20},
    "changed": lambda give: {"data": bytes(len(give.data) - 1) + b"x"},
    "truncated": lambda give: {"data": give.data[:-1]},
    "wrong path": lambda give: {"path": (bytes(32), *give.path[1:])},
    "longer path": lambda give: {"path": (*give.path, bytes(32))},
    "no path": lambda give: {"path": ()},
}


@pytest.mark.parametrize("kind", WRONG)
def test_who_sends_a_wrong_chunk_is_asked_no_more(kind):
    world, sleeper = make_world(padding=LARGE)
    liar = world.nodes[0]
    lies = 0

    def lie(hop: Hop) -> list[Hop]:
        nonlocal lies
        if not isinstance(hop, GiveState):
            return [hop]
        lies += 1
        return [msgspec.structs.replace(hop, **WRONG[kind](hop))]

    intercept(liar, lie)
    sleeper.start()
    world.tick(5_000)
    assert_caught_up(world, sleeper)
    assert 0 < lies <= CHUNKS_PER_FETCH_MAX
    assert {fault.peer for fault in world.faults} == {liar.key.public}


def test_two_liars_among_six_sources_stop_nothing():
    world, sleeper = make_world(7, padding=LARGE)
    silent, liar = world.nodes[0], world.nodes[1]
    intercept(silent, lambda hop: [] if isinstance(hop, GiveState) else [hop])
    intercept(
        liar,
        lambda hop: (
            [GiveState(committee=COMMITTEE, position=hop.position, chunk=0, data=b"no", path=())]
            if isinstance(hop, GiveState)
            else [hop]
        ),
    )
    sleeper.start()
    world.tick(CHUNK_TIMEOUT_MS + 5_000)
    assert_caught_up(world, sleeper)


def test_a_silent_member_costs_one_time_out():
    world, sleeper = make_world(padding=LARGE)
    intercept(world.nodes[0], lambda hop: [] if isinstance(hop, GiveState) else [hop])
    sleeper.start()
    world.tick(OFFER_WAIT_MS + CHUNK_TIMEOUT_MS + 2_000)
    assert_caught_up(world, sleeper)


def test_a_member_that_changes_its_mind_is_left_out():
    """It offers a state, and then has made room for a newer one."""
    world, sleeper = make_world(padding=LARGE)
    fickle = world.nodes[0]
    intercept(
        fickle,
        lambda hop: (
            [
                GiveState(
                    committee=COMMITTEE, position=hop.position, chunk=hop.chunk, data=b"", path=()
                )
            ]
            if isinstance(hop, GiveState)
            else [hop]
        ),
    )
    sleeper.start()
    world.tick(3_000)
    assert_caught_up(world, sleeper)
    assert not world.faults


def test_if_nobody_holds_the_state_any_more_a_newer_one_is_fetched():
    world, sleeper = make_world(padding=LARGE)
    for node in world.nodes[:-1]:
        intercept(node, lambda hop: [] if isinstance(hop, GiveState) else [hop])
    sleeper.start()
    world.tick(1_000)
    assert sleeper.states.coming is not None
    former = sleeper.states.coming.position
    for node in world.nodes[:-1]:
        del node.states.answer  # type: ignore[method-assign]
    sleeper.is_up = False
    order(world, 3 * PERIOD)
    for node in world.nodes[:-1]:
        node.ledger = node.ledger[-PERIOD:]
    sleeper.is_up = True
    world.tick(20_000)
    assert_caught_up(world, sleeper)
    assert get_gap(sleeper)[-1] > former


def test_after_a_restart_only_the_missing_chunks_are_fetched():
    world, sleeper = make_world(padding=LARGE)
    left = 7
    asked: list[int] = []

    def give_some(hop: Hop) -> list[Hop]:
        nonlocal left
        if not isinstance(hop, GiveState):
            return [hop]
        asked.append(hop.chunk)
        left -= 1
        return [hop] if left >= 0 else []

    for node in world.nodes[:-1]:
        intercept(node, give_some)
    sleeper.start()
    world.tick(1_000)
    held = set(sleeper.states.chunks)
    assert len(held) == 7
    sleeper.crash()
    left = 1_000
    asked.clear()
    sleeper.start()
    world.tick(3_000)
    assert_caught_up(world, sleeper)
    assert held.isdisjoint(asked)
    assert held | set(asked) == set(range(len(cut(bytes(LARGE))) + 1))


def test_chunks_that_the_disk_damaged_are_fetched_anew():
    world, sleeper = make_world(padding=LARGE)
    for node in world.nodes[:-1]:
        intercept(
            node, lambda hop: [hop] if not isinstance(hop, GiveState) or hop.chunk < 5 else []
        )
    sleeper.start()
    world.tick(1_000)
    assert set(sleeper.states.chunks) == set(range(5))
    sleeper.states.chunks[3] = bytes(STATE_CHUNK_BYTES)
    sleeper.crash()
    for node in world.nodes[:-1]:
        del node.states.answer  # type: ignore[method-assign]
    sleeper.start()
    world.tick(4_000)
    assert_caught_up(world, sleeper)


def make_offer(world: World, *, committee: bytes = COMMITTEE, signers: int = 3) -> OfferState:
    state = b"state"
    root = StateTree(hash_chunks(cut(state))).root
    checkpoint = Checkpoint(1_000_000, bytes(32), digest_state(state))
    place = Context(NETWORK, committee, 0, CHECKPOINT_KIND)
    payload = schema.encode(checkpoint)
    signatures = {
        key.public: envelope.sign(key, place, payload).signature for key in world.keys[:signers]
    }
    certificate = Certificate.collect(place, payload, signatures).encode()
    return OfferState(committee=COMMITTEE, certificate=certificate, size=len(state), root=root)


def test_offers_that_are_not_proven_are_refused():
    world, sleeper = make_world(batches=1)
    sleeper.start()
    core, transfer = sleeper.seat.core, sleeper.seat.catch_up.transfer
    transfer.seek(1, world.now_ms, Step())
    good = make_offer(world)
    peer = world.keys[0].public
    replace = msgspec.structs.replace
    for bad in (
        make_offer(world, signers=2),
        make_offer(world, committee=bytes(16)),
        replace(good, size=good.size + 1),
        replace(good, root=bytes(32)),
        replace(good, certificate=good.certificate[:-1]),
    ):
        with pytest.raises(InvalidBytes):
            transfer.on_offer(peer, bad, world.now_ms)
    stranger = world.client.public
    assert not transfer.on_offer(stranger, good, world.now_ms).sends
    step = transfer.on_offer(peer, good, world.now_ms)
    transfer.on_timer(world.now_ms + OFFER_WAIT_MS, step)
    assert any(isinstance(send.message, FetchState) for send in step.sends)
    give = GiveState(committee=COMMITTEE, position=1_000_000, chunk=0, data=b"state", path=())
    with pytest.raises(Diverged, match="cannot be loaded"):
        transfer.on_chunk(peer, give, world.now_ms)
    assert core.executed < 10


def test_serving_is_bounded_for_each_peer():
    world, _ = make_world(batches=PERIOD + 10)
    server, peer = world.nodes[0].seat.catch_up.server, world.keys[1].public
    fetch = FetchState(
        committee=COMMITTEE, position=PERIOD, chunks=tuple(range(CHUNKS_PER_FETCH_MAX))
    )
    served = [len(server.on_fetch(peer, fetch, world.now_ms).serve) for _ in range(100)]
    assert sum(served) * CHUNKS_PER_FETCH_MAX == BURST_CHUNKS
    other = world.keys[2].public
    assert server.on_fetch(other, fetch, world.now_ms).serve
    assert server.on_fetch(peer, fetch, world.now_ms + 1_000).serve

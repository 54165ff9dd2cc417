"""Replacing a primary: with it down, mute to some, equivocating; and what survives."""

import hashlib

import pytest

from protocols.messages import GiveBody, compute_batch_digest
from protocols.step import Step
from tests.pbft.world import COMMITTEE, World


def submit_and_wait(world: World, count: int, elapsed_ms: int = 12_000) -> None:
    for _ in range(count):
        world.submit()
    world.tick(elapsed_ms)


def orders(world: World) -> set[tuple[bytes, ...]]:
    return {tuple(node.application.order) for node in world.nodes if node.is_up}


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
def test_a_dead_primary_is_replaced(n: int) -> None:
    world = World(n)
    submit_and_wait(world, 3, 3_000)
    world.nodes[0].crash()
    submit_and_wait(world, 5)
    assert len(orders(world)) == 1
    assert len(orders(world).pop()) == 8
    assert {node.seat.core.view for node in world.nodes if node.is_up} == {1}
    assert not world.evidence
    assert not world.faults


def test_two_dead_primaries_in_a_row_are_replaced_at_n_7() -> None:
    world = World(7)
    submit_and_wait(world, 3, 3_000)
    world.nodes[0].crash()
    world.nodes[1].crash()
    submit_and_wait(world, 5, 30_000)
    assert len(orders(world).pop()) == 8
    assert {node.seat.core.view for node in world.nodes if node.is_up} == {2}


def test_the_old_primary_comes_back_and_follows() -> None:
    world = World(4)
    submit_and_wait(world, 3, 3_000)
    world.nodes[0].crash()
    submit_and_wait(world, 3)
    world.nodes[0].start()
    submit_and_wait(world, 3)
    assert len(orders(world)) == 1
    assert len(orders(world).pop()) == 9
    assert {node.seat.core.view for node in world.nodes} == {1}


def test_what_one_member_committed_survives_the_view_change() -> None:
    world = World(4)
    submit_and_wait(world, 2, 3_000)
    keys = [node.key.public for node in world.nodes]
    # Members 0, 1, 2 prepare; only member 2 hears all COMMITs and executes. Then 0 dies.
    world.submit()
    for _ in range(3):
        for pair, queue in world.queues.items():
            if pair[1] != keys[3] and queue:
                frame = queue.popleft()
                world.deliver(pair[0], world.get(pair[1]), frame)
    world.cut = {(a, b) for a in keys for b in keys if b in (keys[0], keys[1], keys[3])}
    world.settle()
    assert len(world.nodes[2].application.order) >= len(world.nodes[1].application.order)
    kept = list(world.nodes[2].application.order)
    world.nodes[0].crash()
    world.cut.clear()
    submit_and_wait(world, 2, 20_000)
    assert len(orders(world)) == 1
    assert list(orders(world).pop())[: len(kept)] == kept
    assert len(orders(world).pop()) == 5


def test_without_a_quorum_nothing_moves_and_later_everything_does() -> None:
    world = World(4)
    submit_and_wait(world, 2, 3_000)
    world.nodes[0].crash()
    world.nodes[1].crash()
    submit_and_wait(world, 2, 10_000)
    assert {len(node.application.order) for node in world.nodes if node.is_up} == {2}
    world.nodes[1].start()
    world.tick(40_000)
    assert len(orders(world).pop()) == 4
    world.nodes[0].start()
    submit_and_wait(world, 1, 20_000)
    assert len(orders(world)) == 1
    assert len(orders(world).pop()) == 5


def test_a_member_on_its_own_does_not_lock_itself_out() -> None:
    world = World(4)
    submit_and_wait(world, 2, 3_000)
    lonely = world.nodes[3].key.public
    keys = [node.key.public for node in world.nodes]
    world.cut = {(a, b) for a in keys for b in keys if lonely in (a, b)}
    submit_and_wait(world, 3, 30_000)
    assert world.nodes[3].seat.core.view == 0
    world.cut.clear()
    submit_and_wait(world, 1, 5_000)
    assert len(orders(world)) == 1
    assert len(orders(world).pop()) == 6


def test_a_primary_that_starves_one_client_is_replaced() -> None:
    world = World(4)
    submit_and_wait(world, 2, 3_000)
    primary = world.nodes[0].seat.core
    primary.pool.take = lambda *_: []  # type: ignore[method-assign]
    submit_and_wait(world, 2)
    assert len(orders(world).pop()) == 4
    assert {node.seat.core.view for node in world.nodes} == {1}


def test_everybody_restarts_in_the_middle_of_a_view_change() -> None:
    world = World(4)
    submit_and_wait(world, 2, 3_000)
    world.nodes[0].crash()
    world.submit()
    world.tick(2_400)
    for node in world.nodes[1:]:
        node.crash()
    for node in world.nodes:
        node.start()
    submit_and_wait(world, 2, 30_000)
    assert len(orders(world)) == 1
    assert len(orders(world).pop()) == 5
    assert not world.evidence


def test_a_primary_that_left_its_view_proposes_nothing_of_it_any_more() -> None:
    world = World(4)
    submit_and_wait(world, 2, 3_000)
    node = world.nodes[0]
    core = node.seat.core
    statement = world.make_operation()
    digest = compute_batch_digest(5, [hashlib.sha256(statement.data).digest()])
    core.views.expected = {core.executed + 1: digest}
    core.again.begin()
    assert not core.again.is_done()
    step = Step()
    core.views._leave(1, world.now_ms, step)
    answer = GiveBody(
        committee=COMMITTEE, seq=core.executed + 1, time_ms=5, operations=(statement.data,)
    )
    step = node.router.handle(world.nodes[1].key.public, answer, world.now_ms)
    assert not step.votes
    assert not step.sends


def test_one_that_went_on_and_two_that_forgot_its_view_change_find_together() -> None:
    """Three of four are left, all of which must be in one view; VIEW-CHANGEs of others are not
    durable, and who went on repeats its newest only."""
    world = World(4)
    submit_and_wait(world, 2, 3_000)
    world.nodes[3].crash()
    for node, views in zip(world.nodes, ((1, 2), (1,), (1,)), strict=False):
        for view in views:
            step = Step()
            node.seat.core.views._leave(view, world.now_ms, step)
            step.sends.clear()
            node.drive(step)
    submit_and_wait(world, 2, 30_000)
    assert len(orders(world)) == 1
    assert len(orders(world).pop()) == 4

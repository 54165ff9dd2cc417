"""Primaries that are replaced before the timer ends: gone from the network, or too slow."""

import random

import pytest

from protocols.messages import Status
from protocols.pbft.pace import DEBT_MS_MAX, GAP_MS_ALLOWED, Pace
from protocols.pbft.suspicion import EARLY_PAUSE_MS, LINK_GRACE_MS
from protocols.pbft.view_change import TIMEOUT_MS
from tests.pbft.world import COMMITTEE, Node, World

STEP_MS = 10
SLOW_MS = TIMEOUT_MS - 100
BATCHES_MAX = 6
"""A primary that delays each proposal by SLOW_MS is gone after so many of its batches."""


def ready(n: int) -> World:
    """A committee that has ordered a little in view 0."""
    world = World(n)
    for _ in range(3):
        world.submit()
    world.tick(3_000)
    return world


def set_link(world: World, node: Node, peer: Node, is_up: bool) -> None:
    node.drive(node.seat.on_link(peer.key.public, is_up, world.now_ms))


def break_links(world: World, peer: Node) -> None:
    for node in world.nodes:
        if node is not peer and node.is_up:
            set_link(world, node, peer, False)


def die(world: World, index: int) -> None:
    world.nodes[index].crash()
    break_links(world, world.nodes[index])


def pass_time(world: World, elapsed_ms: int) -> None:
    """Timers run in small steps: what is early is to be seen."""
    for _ in range(elapsed_ms // STEP_MS):
        world.tick(STEP_MS)


def get_views(world: World) -> set[int]:
    return {node.seat.core.view for node in world.nodes if node.is_up}


def count_executed(world: World) -> set[int]:
    return {len(node.application.order) for node in world.nodes if node.is_up}


@pytest.mark.parametrize("n", [4, 5, 6, 7, 10])
def test_a_dead_primary_is_left_as_soon_as_its_links_stay_broken(n):
    world = ready(n)
    die(world, 0)
    world.submit()
    pass_time(world, LINK_GRACE_MS + 10 * STEP_MS)
    assert get_views(world) == {1}
    assert count_executed(world) == {4}
    assert not world.faults


def test_two_dead_primaries_in_a_row_are_left_at_once_at_n_7():
    world = ready(7)
    die(world, 0)
    die(world, 1)
    world.submit()
    pass_time(world, 2 * LINK_GRACE_MS + 10 * STEP_MS)
    assert get_views(world) == {2}
    assert count_executed(world) == {4}


def test_nobody_is_blamed_while_nothing_waits_and_the_next_request_waits_for_nobody():
    world = ready(4)
    die(world, 0)
    pass_time(world, 3_000)
    assert get_views(world) == {0}
    world.submit()
    pass_time(world, 5 * STEP_MS)
    assert get_views(world) == {1}
    assert count_executed(world) == {4}


def test_a_link_that_comes_back_in_time_was_never_lost():
    world = ready(4)
    world.nodes[0].seat.core.pool.take = lambda *_: []
    world.submit()
    for _ in range(3):
        break_links(world, world.nodes[0])
        pass_time(world, LINK_GRACE_MS - 2 * STEP_MS)
        for node in world.nodes[1:]:
            set_link(world, node, world.nodes[0], True)
        pass_time(world, 5 * STEP_MS)
    assert get_views(world) == {0}


def test_a_member_whose_own_link_is_broken_does_not_lock_itself_out():
    world = ready(4)
    lonely = world.nodes[3]
    set_link(world, lonely, world.nodes[0], False)
    world.cut = {(world.keys[0].public, lonely.key.public)}
    for _ in range(5):
        world.submit()
        pass_time(world, 600)
    assert {node.seat.core.view for node in world.nodes} == {0}
    assert count_executed(world) == {8}


def test_liars_that_complain_replace_nobody():
    world = ready(4)
    core = world.nodes[2].seat.core
    set_link(world, world.nodes[2], world.nodes[0], False)
    world.nodes[0].seat.core.pool.take = lambda *_: []
    world.submit()
    lie = Status(
        committee=COMMITTEE,
        view=0,
        active=True,
        stable=0,
        executed=core.executed,
        certified=core.executed,
        waiting=False,
        complains=True,
        epoch=0,
    )
    for _ in range(20):
        for node in (world.nodes[1], world.nodes[2]):
            node.drive(node.router.handle(world.keys[3].public, lie, world.now_ms))
        pass_time(world, 2 * STEP_MS)
    assert get_views(world) == {0}


def test_whoever_breaks_every_primarys_links_changes_views_only_so_often():
    world = ready(4)
    rounds = 3
    for _ in range(rounds * EARLY_PAUSE_MS // 200):
        view = max(get_views(world))
        for node in world.nodes:
            for other in world.nodes:
                if node is not other:
                    set_link(world, node, other, other is not world.nodes[view % 4])
        world.submit()
        pass_time(world, 200)
    assert max(get_views(world)) <= rounds + 1
    pass_time(world, 1_000)
    assert count_executed(world) == {3 + rounds * EARLY_PAUSE_MS // 200}


# --- slow primaries -------------------------------------------------------------------------------


def delay_proposals(node: Node, late_ms: int) -> None:
    """From now on the node holds every proposal back."""
    core = node.seat.core
    propose = core.propose

    def propose_late(now_ms, step):
        since_ms = core.pool.get_oldest_ms()
        in_flight = core.next_seq - 1 - core.executed
        if since_ms is not None and not in_flight and now_ms - since_ms < late_ms:
            return
        propose(now_ms, step)

    core.propose = propose_late


def count_batches(node: Node) -> int:
    return sum(bool(executed.operations) for executed in node.ledger)


def test_a_primary_just_under_the_timer_is_replaced():
    world = ready(4)
    before = count_batches(world.nodes[1])
    delay_proposals(world.nodes[0], SLOW_MS)
    while get_views(world) == {0} and count_batches(world.nodes[1]) < 20:
        world.submit()
        pass_time(world, 500)
    assert get_views(world) == {1}
    assert count_batches(world.nodes[1]) - before <= BATCHES_MAX
    for _ in range(20):
        world.submit()
        pass_time(world, 500)
    assert get_views(world) == {1}
    assert len(count_executed(world)) == 1
    assert not world.evidence


@pytest.mark.parametrize("seed", range(4))
def test_an_honest_primary_under_bursts_and_pauses_stays(seed):
    world, source = ready(4), random.Random(seed)
    for _ in range(60):
        for _ in range(source.choice((0, 1, 1, 5, 40))):
            world.submit()
        pass_time(world, source.choice((10, 10, 50, 400, 3_000)))
    assert get_views(world) == {0}
    assert len(count_executed(world)) == 1


def test_an_honest_primary_that_was_not_told_of_a_request_stays():
    """A client that hides its requests from the primary: they are passed on to it."""
    world = ready(4)
    for _ in range(30):
        world.submit(to=[1, 2, 3])
        pass_time(world, 600)
    assert get_views(world) == {0}
    assert count_executed(world) == {33}


class Clock:
    """Feeds a Pace with batches."""

    def __init__(self, views: int = 4) -> None:
        self.now_ms = 1_000_000
        self.pace = Pace(views)
        self.pace.begin_view(self.now_ms)

    def run(self, gap_ms: int, count: int, operations: int = 1, *, backlog: bool = False) -> int:
        """Batches with `gap_ms` between them; how many until the primary was too slow."""
        for number in range(1, count + 1):
            since_ms, self.now_ms = self.now_ms, self.now_ms + gap_ms
            left_ms = self.now_ms - 2 * GAP_MS_ALLOWED if backlog else None
            self.pace.on_batch(operations, since_ms, left_ms, self.now_ms)
            if self.pace.is_too_slow():
                return number
        return 0

    def begin_view(self) -> None:
        self.pace.begin_view(self.now_ms)


def test_nothing_is_measured_while_nothing_waits():
    clock = Clock()
    for _ in range(100):
        clock.now_ms += 60_000
        clock.pace.on_batch(0, None, None, clock.now_ms)
        clock.now_ms += 60_000
        clock.pace.on_batch(1, clock.now_ms - GAP_MS_ALLOWED, None, clock.now_ms)
    assert not clock.pace.is_too_slow()


def test_a_stall_now_and_then_is_forgiven():
    clock = Clock()
    for _ in range(50):
        assert not clock.run(DEBT_MS_MAX // 2, 1)
        assert not clock.run(20, 200)


def test_quick_batches_between_long_waits_do_not_hide_them():
    clock = Clock()
    assert any(clock.run(SLOW_MS, 1) or clock.run(1, 10) for _ in range(BATCHES_MAX))


def test_where_everybody_is_slow_the_primary_changes_at_most_once_a_member():
    clock = Clock(views=4)
    for _ in range(4):
        assert clock.run(1_500, 100)
        clock.begin_view()
    assert not clock.run(1_500, 1_000)


def test_a_slow_primary_does_not_press_down_what_is_allowed_to_others():
    clock = Clock(views=4)
    for _ in range(3):
        clock.run(1_500, 100)
        clock.begin_view()
    for _ in range(100):  # the fourth is quick in between, and as slow as the others all the same
        clock.run(1_500, 1)
        clock.run(1, 20)
    clock.begin_view()
    assert not clock.run(1_500, 1_000)


def test_small_batches_under_backlog_are_too_slow_where_larger_ones_were_seen():
    clock = Clock()
    assert not clock.run(50, 400, 100, backlog=True)
    clock.begin_view()
    assert not clock.run(50, 400, 50, backlog=True)
    clock.begin_view()
    assert clock.run(50, 1_000, 1, backlog=True)


def test_small_batches_are_all_there_is_under_low_load():
    clock = Clock()
    clock.run(50, 400, 100, backlog=True)
    clock.begin_view()
    assert not clock.run(50, 1_000, 1)


def test_empty_batches_end_no_wait():
    clock = Clock()
    for _ in range(BATCHES_MAX):
        since_ms = clock.now_ms
        for _ in range(10):
            clock.now_ms += SLOW_MS // 10
            clock.pace.on_batch(0, since_ms, since_ms, clock.now_ms)
        clock.pace.on_batch(1, since_ms, None, clock.now_ms)
    assert clock.pace.is_too_slow()

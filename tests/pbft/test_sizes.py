"""Committees of every size that a network may have: n = 1 to 7, 10, 31, with true signatures.

f silent members stop nothing, f+1 stop everything without a second history and everything goes on
when they are back; dead leaders in a row are passed over. n < 4 has f = 0: one silent member
halts n = 2 and 3.
"""

import itertools

import pytest

from protocols.committee import compute_faults
from tests.pbft.world import World

SIZES = (4, 5, 6, 7, 10, 31)
TINY = (1, 2, 3)
STEP_MS = 1_000
"""Between timers; less than what makes a silent member count as unconnected."""


def submit(world: World, count: int) -> None:
    for _ in range(count):
        world.submit()
    world.settle()


def let_pass(world: World, elapsed_ms: int, until: int | None = None) -> None:
    """Time in long steps, for at n = 31 each one is some thousand messages; no more of it than it
    takes to execute `until` operations everywhere."""
    for _ in range(elapsed_ms // STEP_MS):
        if count_executed(world) == {until}:
            return
        world.now_ms += STEP_MS
        for node in world.nodes:
            if node.is_up:
                node.drive(node.seat.on_timer(world.now_ms))
        world.settle()
        assert is_one_history(world)


def histories(world: World) -> set[tuple[bytes, ...]]:
    return {tuple(node.application.order) for node in world.nodes if node.is_up}


def is_one_history(world: World) -> bool:
    """True when, of any two members' histories, one is the beginning of the other."""
    by_length = sorted(histories(world), key=len)
    return all(
        longer[: len(shorter)] == shorter for shorter, longer in itertools.pairwise(by_length)
    )


def count_executed(world: World) -> set[int]:
    return {len(history) for history in histories(world)}


def crash_last(world: World, count: int) -> None:
    for node in world.nodes[len(world.nodes) - count :]:
        node.crash()


@pytest.mark.parametrize("n", [*TINY, *SIZES])
def test_everybody_executes_the_same_and_has_it_certified(n: int) -> None:
    world = World(n)
    submit(world, 3)
    let_pass(world, 2 * STEP_MS)
    assert count_executed(world) == {3}
    assert len(histories(world)) == 1
    assert {node.certified for node in world.nodes} == {world.nodes[0].application.position}
    assert not world.evidence
    assert not world.faults


@pytest.mark.parametrize("n", SIZES)
def test_f_silent_members_stop_nothing(n: int) -> None:
    world = World(n)
    submit(world, 1)
    crash_last(world, compute_faults(n))
    submit(world, 3)
    assert count_executed(world) == {4}
    assert {node.seat.core.view for node in world.nodes if node.is_up} == {0}


@pytest.mark.parametrize("n", [2, 3, *SIZES])
def test_f_plus_1_silent_members_halt_everything_until_they_are_back(n: int) -> None:
    world = World(n)
    submit(world, 1)
    crash_last(world, n - (n + compute_faults(n)) // 2)  # one fewer than a quorum is left
    submit(world, 3)
    let_pass(world, 3 * STEP_MS)
    assert count_executed(world) == {1}
    assert {node.seat.core.view for node in world.nodes if node.is_up} == {0}
    for node in world.nodes:
        if not node.is_up:
            node.start()
    let_pass(world, 60 * STEP_MS, until=4)
    assert count_executed(world) == {4}
    assert len(histories(world)) == 1
    assert not world.evidence


def pass_over(n: int, leaders: int) -> None:
    """f members are dead, the first `leaders` leaders among them."""
    world = World(n)
    submit(world, 1)
    for node in world.nodes[:leaders]:
        node.crash()
    crash_last(world, compute_faults(n) - leaders)
    submit(world, 2)
    let_pass(world, 1_000_000, until=3)
    assert count_executed(world) == {3}
    assert {node.seat.core.view for node in world.nodes if node.is_up} == {leaders}
    assert not world.evidence
    assert not world.faults


@pytest.mark.parametrize(("n", "leaders"), [(4, 1), (5, 1), (6, 1), (7, 2), (10, 3), (31, 2)])
def test_dead_leaders_in_a_row_are_passed_over(n: int, leaders: int) -> None:
    pass_over(n, leaders)


@pytest.mark.full
@pytest.mark.timeout(600)
def test_ten_dead_leaders_in_a_row_are_passed_over_at_n_31() -> None:
    pass_over(31, 10)

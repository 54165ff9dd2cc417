"""The router of a node: one seat for each committee, and frames to the right one."""

import pytest

from node.router import Router
from protocols.messages import AskMemory, FetchBatches
from protocols.step import ServeBatches, Step
from tests.pbft.world import World


def test_a_second_seat_in_a_committee_is_refused() -> None:
    """Two cores with one key could vote for two batches at one place."""
    router = World(4).nodes[0].router
    (seat,) = router.seats.values()
    with pytest.raises(ValueError, match="has a seat already"):
        router.add(seat)


def test_messages_of_other_committees_change_nothing() -> None:
    node, other = World(4).nodes[:2]
    router = Router()
    step = router.handle(other.seat.core.me, AskMemory(committee=bytes(16), epoch=0), 0)
    assert step == type(step)()
    router.add(node.seat)
    assert list(router.seats) == [node.seat.core.committee.id]


def test_a_halted_seat_signs_and_executes_nothing_and_still_serves_history() -> None:
    world = World(4)
    world.settle()
    world.submit()
    world.settle()
    halted, others = world.nodes[3], world.nodes[:3]
    executed = halted.seat.core.executed
    assert executed > 0
    halted.seat.halt()
    world.submit(to=[0, 1, 2])
    world.settle()
    assert [node.seat.core.executed for node in others] == [executed + 1] * 3
    assert halted.seat.core.executed == executed
    peer, committee = world.keys[0].public, world.committee.id
    now_ms = world.now_ms + 60_000
    for step in (
        halted.router.on_timer(now_ms),
        halted.router.on_link(peer, False, now_ms),
        halted.router.handle(peer, AskMemory(committee=committee, epoch=0), now_ms),
        halted.seat.on_durable(executed, now_ms),
        halted.seat.on_own_requests([], now_ms),
    ):
        assert step == Step()
    fetch = FetchBatches(committee=committee, start=1)
    (served,) = halted.router.handle(peer, fetch, now_ms).serve
    assert served == ServeBatches(committee, peer, 1)

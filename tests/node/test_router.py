"""The router of a node: one seat for each committee, and frames to the right one."""

import pytest

from node.router import Router
from protocols.messages import AskMemory
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

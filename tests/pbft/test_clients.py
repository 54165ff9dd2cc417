"""What clients and members can do to the order of others' operations: nothing."""

from identity.keys import PrivateKey
from tests.pbft.world import World


def test_an_operation_kept_from_the_primary_is_passed_on_to_it() -> None:
    world = World(4)
    world.submit(to=[1, 2, 3])
    world.tick(4_000)
    assert {len(node.application.order) for node in world.nodes} == {1}
    assert {node.seat.core.view for node in world.nodes} == {0}


def test_one_backups_operation_does_not_make_it_leave_the_view() -> None:
    world = World(4)
    world.submit(to=[2])
    world.tick(4_000)
    assert {len(node.application.order) for node in world.nodes} == {1}
    assert all(node.seat.core.views.is_active for node in world.nodes)


def test_requests_that_can_never_be_paid_keep_nobody_waiting() -> None:
    world = World(4)
    for _ in range(2):
        world.submit()
    for node in world.nodes:
        application = node.application
        application.admit = (  # type: ignore[method-assign]
            lambda signer, operation, a=application: "not_funded" if a.order else None
        )
    world.submit()
    world.settle()
    world.tick(20_000)
    assert {len(node.seat.core.pool) for node in world.nodes} == {0}
    assert {node.seat.core.view for node in world.nodes} == {0}


def test_a_client_that_is_left_out_under_load_brings_another_primary() -> None:
    world = World(4)
    starved, busy = world.client, PrivateKey(bytes(32))
    for node in world.nodes[:1]:
        pool = node.seat.core.pool
        take = pool.take
        pool.take = (  # type: ignore[method-assign]
            lambda *bounds, take=take: [r for r in take(*bounds) if r.signer == busy.public]
        )
    world.submit()
    world.client, nonce, world.nonce = busy, world.nonce, 0
    for _ in range(60):
        world.submit()
        world.tick(200)
    world.tick(5_000)
    assert {node.seat.core.view for node in world.nodes} == {1}
    assert world.nodes[1].application.nonces[starved.public] == nonce

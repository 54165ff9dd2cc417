"""A member that forgot what it signed: put back from a backup, or a copy of a running one."""

from protocols.step import Persist
from tests.pbft.world import World


def run(world: World, count: int) -> None:
    for _ in range(count):
        world.submit()
        world.settle()


def test_a_member_put_back_from_a_backup_observes_until_it_has_passed_its_old_slots() -> None:
    world = World(4)
    member = world.nodes[2]
    run(world, 5)
    rows, ledger = dict(member.rows), list(member.ledger)
    run(world, 30)
    member.crash()
    member.rows, member.ledger = rows, ledger
    member.start()
    world.tick(1_000)
    assert member.seat.core.memory.is_observing()
    assert not member.seat.core.memory.may_sign()
    voted = sum(key[0] == member.key.public for key in world.signed)
    run(world, 10)
    world.tick(3_000)
    assert sum(key[0] == member.key.public for key in world.signed) == voted
    assert member.application.head == world.nodes[0].application.head
    run(world, 150)
    world.tick(1_000)
    run(world, 5)
    assert not member.seat.core.memory.is_observing()
    assert sum(key[0] == member.key.public for key in world.signed) > voted
    assert not world.evidence


def test_a_primary_put_back_from_a_backup_proposes_nothing_and_is_replaced() -> None:
    world = World(4)
    primary = world.nodes[0]
    run(world, 5)
    rows, ledger = dict(primary.rows), list(primary.ledger)
    run(world, 10)
    primary.crash()
    primary.rows, primary.ledger = rows, ledger
    primary.start()
    for _ in range(3):
        world.submit()
    world.tick(15_000)
    assert {node.seat.core.view for node in world.nodes[1:]} == {1}
    assert {len(node.application.order) for node in world.nodes} == {18}
    assert not world.evidence


def test_an_honest_restart_does_not_observe() -> None:
    world = World(4)
    run(world, 5)
    world.nodes[1].crash()
    world.nodes[1].start()
    world.tick(1_000)
    assert world.nodes[1].seat.core.memory.may_sign()
    assert not world.nodes[1].seat.core.memory.is_observing()


def test_a_member_alone_keeps_silent_until_others_answer() -> None:
    world = World(4)
    for other in (1, 2, 3):
        world.nodes[other].crash()
    world.nodes[0].crash()
    world.nodes[0].start()
    world.tick(3_000)
    assert not world.nodes[0].seat.core.memory.may_sign()
    for other in (1, 2):
        world.nodes[other].start()
    world.submit()
    world.tick(10_000)
    assert {len(node.application.order) for node in world.nodes[:3]} == {1}


def test_a_member_marked_as_restored_observes_even_where_nobody_remembers_more() -> None:
    world = World(4)
    member = world.nodes[2]
    run(world, 5)
    member.crash()
    mark = (0, "restored", 0)
    member.rows[mark] = Persist(world.committee.id, "restored", 0, 0, b"", 0)
    member.start()
    world.tick(1_000)
    assert member.seat.core.memory.is_settled
    assert member.seat.core.memory.is_observing()
    voted = sum(key[0] == member.key.public for key in world.signed)
    run(world, 10)
    assert sum(key[0] == member.key.public for key in world.signed) == voted
    run(world, 150)
    world.tick(3_000)
    assert "passed" in {kind for _, kind, _ in member.rows}
    run(world, 5)
    assert not member.seat.core.memory.is_observing()
    assert sum(key[0] == member.key.public for key in world.signed) > voted
    assert not world.evidence

"""The normal case of PBFT on a small world of cores, restarts and catching up included."""

import pytest

from node.router import encode_frame
from protocols.messages import Batches, CommittedBatch
from protocols.pbft.pool import GATHER_MS, GATHER_OPERATIONS_MAX
from tests.pbft.world import COMMITTEE, Node, World


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 10])
def test_operations_execute_once_in_one_order_and_are_certified(n: int) -> None:
    world = World(n)
    for _ in range(30):
        world.submit()
    world.settle()
    world.tick(1_000)
    orders = {tuple(node.application.order) for node in world.nodes}
    assert len(orders) == 1
    assert len(orders.pop()) == 30
    assert len({node.application.head for node in world.nodes}) == 1
    assert {node.certified for node in world.nodes} == {world.nodes[0].application.position}
    assert not world.evidence
    assert not world.faults


def test_a_member_that_was_down_catches_up_from_proven_batches() -> None:
    world = World(4)
    world.nodes[2].crash()
    for _ in range(60):
        world.submit()
        world.settle()
    assert world.nodes[0].application.position >= 60
    world.nodes[2].start()
    world.tick(6_000)
    assert world.nodes[2].application.head == world.nodes[0].application.head
    world.submit()
    world.tick(1_000)
    assert len(world.nodes[2].application.order) == 61
    assert not world.faults


def test_the_primary_goes_on_after_a_restart_with_the_proposals_it_signed() -> None:
    world = World(4)
    world.submit()
    world.settle()
    primary = world.nodes[0]
    for other in world.nodes[1:]:
        world.cut.add((primary.key.public, other.key.public))
    world.submit()
    world.settle()
    proposed = primary.seat.core.slots[max(primary.seat.core.slots)].proposal
    assert proposed is not None
    primary.crash()
    world.cut.clear()
    primary.start()
    world.submit()
    world.tick(6_000)
    assert {len(node.application.order) for node in world.nodes} == {3}
    done = primary.ledger[proposed.message.seq - 1]
    assert done.digest == proposed.message.digest
    assert not world.evidence


def test_every_member_restarted_at_once_loses_nothing() -> None:
    world = World(4)
    for _ in range(25):
        world.submit()
    world.settle()
    before = list(world.nodes[0].application.order)
    for node in world.nodes:
        node.crash()
    for node in world.nodes:
        node.start()
    for _ in range(25):
        world.submit()
    world.tick(6_000)
    for node in world.nodes:
        assert node.application.order[:25] == before
        assert len(node.application.order) == 50


def test_lost_votes_are_repeated_until_everybody_has_executed() -> None:
    world = World(4)
    first = [node.key.public for node in world.nodes]
    world.cut = {(a, b) for a in first for b in first if {a, b} & {first[2], first[3]}}
    world.submit()
    world.settle()
    assert not any(node.application.order for node in world.nodes)
    world.cut.clear()
    world.tick(8_000)
    assert {len(node.application.order) for node in world.nodes} == {1}


def test_checkpoints_become_stable_and_slots_are_forgotten() -> None:
    world = World(4)
    for _ in range(60):
        world.submit()
        world.settle()
    for node in world.nodes:
        core = node.seat.core
        assert core.checkpoints.low >= 50
        assert core.checkpoints.certificate is not None
        core.checkpoints.certificate.check(world.committee.members, world.committee.q)
        assert all(seq > core.checkpoints.low for seq in core.slots)
        assert all(row.seq >= core.checkpoints.low for row in node.rows.values())


def test_agreed_time_is_the_median_and_ticks_come_when_a_deadline_falls_due() -> None:
    world = World(4)
    world.submit()
    world.tick(3_000)
    for node in world.nodes:
        node.application.deadline_ms = world.now_ms + 2_000
    before = world.nodes[0].application.position
    world.tick(1_000)
    assert world.nodes[0].application.position == before
    world.tick(3_000)
    assert all(node.application.deadline_ms is None for node in world.nodes)
    assert {len(node.application.order) for node in world.nodes} == {1}


def test_an_operation_after_a_long_silence_executes_at_a_fresh_time() -> None:
    world = World(4)
    world.submit()
    world.tick(1_000)
    world.now_ms += 3_600_000
    world.submit()
    world.tick(1_000)
    for node in world.nodes:
        assert len(node.application.order) == 2
        assert world.now_ms - node.application.time_ms < 2_000


def test_replayed_and_reordered_operations_execute_once() -> None:
    world = World(4)
    for nonce in (3, 1, 2, 2, 1, 4):
        world.submit(nonce=nonce)
    world.settle()
    world.tick(2_000)
    assert {len(node.application.order) for node in world.nodes} == {4}


def test_a_bad_batch_after_good_ones_loses_nothing() -> None:
    world = World(4)
    world.nodes[2].crash()
    for _ in range(5):
        world.submit()
        world.settle()
    honest = world.serve

    def lie(node: Node, to: bytes, start: int) -> None:
        done = [batch for batch in node.ledger if batch.seq >= start][:3]
        batches = [CommittedBatch(b.seq, b.time_ms, b.operations, b.proof) for b in done]
        if node is world.nodes[3] and len(batches) > 1:
            last = batches[-1]
            batches[-1] = CommittedBatch(last.seq, last.time_ms, last.operations, last.proof[:1])
        answer = Batches(committee=COMMITTEE, batches=tuple(batches))
        world.queues[node.key.public, to].append(encode_frame(answer))

    world.serve = lie  # type: ignore[method-assign]
    target = world.nodes[2].key.public
    world.cut = {(world.nodes[i].key.public, target) for i in (0, 1)}
    world.nodes[2].start()
    world.tick(3_000)
    assert world.faults
    world.cut, world.serve = set(), honest  # type: ignore[method-assign]
    world.tick(6_000)
    node = world.nodes[2]
    assert [done.seq for done in node.ledger] == list(range(1, node.application.position + 1))
    assert node.application.head == world.nodes[0].application.head


def expect_company(world: World, count: int) -> None:
    for node in world.nodes:
        node.application.company = count


def test_what_comes_in_company_shares_a_batch() -> None:
    world = World(4)
    expect_company(world, 3)
    for count in (1, 2, 3):
        assert not world.nodes[0].ledger
        world.submit()
        world.settle()
        assert len(world.nodes[0].core.pool) in (count, 0)
    for node in world.nodes:
        assert [len(batch.operations) for batch in node.ledger if batch.operations] == [3]


def test_company_that_stays_away_is_not_waited_for_long() -> None:
    world = World(4)
    expect_company(world, 3)
    world.submit()
    world.settle()
    primary = world.nodes[0]
    for ms in range(1, GATHER_MS):
        primary.drive(primary.seat.on_timer(world.now_ms + ms))
    world.settle()
    assert not any(batch.operations for batch in primary.ledger)
    world.now_ms += GATHER_MS
    primary.drive(primary.seat.on_timer(world.now_ms))
    world.settle()
    assert [len(batch.operations) for batch in primary.ledger if batch.operations] == [1]


def test_more_than_a_few_operations_wait_for_nobody() -> None:
    world = World(4)
    expect_company(world, 1_000)
    for _ in range(GATHER_OPERATIONS_MAX + 1):
        assert not any(batch.operations for batch in world.nodes[0].ledger)
        world.submit()
    world.settle()
    assert sum(len(b.operations) for b in world.nodes[0].ledger) == GATHER_OPERATIONS_MAX + 1

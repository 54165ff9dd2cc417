"""Changes of the members: an epoch ends, is certified by its quorum, and the next one begins."""

import pytest

from identity import envelope, schema
from identity.envelope import Context
from identity.errors import InvalidBytes
from node.router import encode_frame
from protocols.economy.operations import JoinCommittee, LeaveCommittee
from protocols.messages import COMMIT_KIND, PREPARE_KIND, Commit, Prepare, PrePrepare, Votes
from protocols.pbft.evidence import check_equivocation
from protocols.step import Step
from tests.pbft.world import COMMITTEE, NETWORK, World

JOIN = JoinCommittee(bond=0)


def run(world, rounds=20):
    """Time for a change of epoch, empty batches for clock readings included."""
    for _ in range(rounds):
        world.tick(300)


def check_agree(world, epoch, nodes=None):
    for node in world.nodes if nodes is None else nodes:
        assert node.core.committee.epoch == epoch
        assert node.application.head == world.nodes[0].application.head
    assert not world.faults


def submit_and_run(world, count=3):
    """Operations of the client get executed at every node that runs."""
    before = world.nodes[0].application.get_next_nonce(world.client.public)
    for _ in range(count):
        world.submit()
        run(world, 3)
    run(world, 5)
    for node in world.nodes:
        if node.is_up:
            assert node.application.get_next_nonce(world.client.public) == before + count


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7])
def test_a_joiner_becomes_a_member(n):
    world = World(n, spare=1)
    run(world, 3)
    world.submit_body(n, JOIN)
    run(world)
    check_agree(world, 1)
    assert all(node.core.committee.n == n + 1 for node in world.nodes)
    joiner = world.nodes[n]
    assert joiner.core.is_member
    assert joiner.core.memory.may_sign()
    submit_and_run(world)
    if n > 1:
        assert any(key[0] == 1 and key[1] == "prepared" for key in joiner.rows)


@pytest.mark.parametrize("n", [2, 3, 5, 6, 7])
def test_a_member_leaves(n):
    world = World(n)
    run(world, 3)
    world.submit_body(0, LeaveCommittee())
    run(world)
    check_agree(world, 1)
    assert not world.nodes[0].core.is_member
    submit_and_run(world)
    check_agree(world, 1)


def test_the_end_is_certified_by_the_former_quorum():
    world = World(4, spare=1)
    world.submit_body(4, JOIN)
    run(world)
    end = world.nodes[0].core.committee.start
    for node in world.nodes:
        row = next(row for (epoch, kind, _), row in node.rows.items() if kind == "epoch")
        assert (row.epoch, row.seq) == (1, end)
        assert row.data
        assert all(epoch == 1 for epoch, _, _ in node.rows)


def test_nobody_enters_before_its_ledger_is_durable():
    world = World(4, spare=1)
    run(world, 3)
    for node in world.nodes:
        node.is_durable_at_once = False
    world.submit_body(4, JOIN)
    run(world, 5)
    for node in world.nodes[:4]:
        assert node.core.end == node.application.position
        assert node.core.committee.epoch == 0
    for node in world.nodes:
        node.is_durable_at_once = True
    for node in world.nodes:
        if node.ledger:
            node.drive(node.seat.on_durable(node.ledger[-1].seq, world.now_ms))
    run(world)
    check_agree(world, 1)
    submit_and_run(world)


def test_what_is_pipelined_beyond_the_end_is_ordered_again():
    """Slots after the end may be committed in the old epoch: their operations wait and are
    executed once, in the next one."""
    world = World(4, spare=1)
    submit_and_run(world, 1)
    world.submit_body(4, JOIN)
    primary = world.get(world.committee.get_primary(0)).core
    for _ in range(3):  # the pipeline is filled at once, whatever adaptive batching would do
        world.submit()
        step = Step()
        reading = primary.clock.propose(primary.next_seq - primary.checkpoints.window)
        requests = primary.pool.take(8, 1 << 20)
        if requests and reading is not None:
            seq, primary.next_seq = primary.next_seq, primary.next_seq + 1
            primary.propose_at(seq, requests, *reading, world.now_ms, step)
        world.get(primary.me).drive(step)
    assert primary.next_seq > primary.executed + 2
    run(world)
    check_agree(world, 1)
    for node in world.nodes:
        assert node.application.get_next_nonce(world.client.public) == 5
        assert len(node.application.order) == len(set(node.application.order))
    submit_and_run(world)


def test_a_laggard_crosses_three_epochs():
    world = World(5, spare=2)
    submit_and_run(world, 1)
    laggard = world.nodes[4]
    laggard.crash()
    for index, body in ((5, JOIN), (6, JOIN), (0, LeaveCommittee())):
        world.submit_body(index, body)
        run(world)
        submit_and_run(world, 2)
    assert world.nodes[0].core.committee.epoch == 3
    laggard.start()
    run(world, 60)
    check_agree(world, 3)
    assert laggard.core.is_member
    assert {row.epoch for row in laggard.rows.values()} == {3}
    submit_and_run(world)


@pytest.mark.parametrize("at", ["accepted", "prepared", "epoch"])
@pytest.mark.parametrize("who", [0, 1, 4])
def test_a_crash_in_the_change(at, who):
    world = World(4, spare=1)
    submit_and_run(world, 1)
    world.nodes[who].crashes_at = at
    world.submit_body(4, JOIN)
    run(world, 15)
    if world.nodes[who].is_up:  # it has not voted in such a way yet: in the next epoch it will
        submit_and_run(world)
    assert not world.nodes[who].is_up
    world.nodes[who].start()
    run(world, 40)
    check_agree(world, 1)
    submit_and_run(world)


def test_all_crash_after_the_end_and_before_its_certificate():
    world = World(4, spare=1)
    submit_and_run(world, 1)
    for node in world.nodes:
        node.is_durable_at_once = False
    world.submit_body(4, JOIN)
    run(world, 5)
    for node in world.nodes:
        node.crash()
    for node in world.nodes:
        node.is_durable_at_once = True
    for node in world.nodes:
        node.start()
        assert node.core.committee.epoch == 0
    run(world, 40)
    check_agree(world, 1)
    submit_and_run(world)


def test_the_end_with_one_member_down():
    world = World(4, spare=1)
    submit_and_run(world, 1)
    world.nodes[2].crash()
    world.submit_body(4, JOIN)
    run(world, 40)
    check_agree(world, 1, [node for node in world.nodes if node.is_up])
    submit_and_run(world)
    world.nodes[2].start()
    run(world, 40)
    check_agree(world, 1)
    submit_and_run(world)


def test_votes_of_an_ended_epoch_count_no_more():
    world = World(4, spare=1)
    submit_and_run(world, 1)
    world.submit_body(4, JOIN)
    run(world)
    core = world.nodes[1].core
    seq, digest = core.next_seq, bytes(32)
    for kind, vote in (
        (PREPARE_KIND, Prepare(0, seq, digest)),
        (COMMIT_KIND, Commit(0, seq, digest, 0)),
    ):
        place = Context(NETWORK, COMMITTEE, 0, kind)
        statement = envelope.sign(world.keys[2], place, schema.encode(vote))
        frame = encode_frame(Votes(committee=COMMITTEE, statements=(statement.data,)))
        world.deliver(world.keys[2].public, world.nodes[1], frame)
    assert seq not in core.slots
    assert not world.faults


def test_a_member_that_forgot_its_votes_of_the_epoch_observes():
    """Put back to before the change, a member crosses into the epoch it had voted in: what the
    others show it of that epoch keeps it silent."""
    world = World(4, spare=1)
    submit_and_run(world, 1)
    member = world.nodes[1]
    backup = dict(member.rows), list(member.ledger)
    world.submit_body(4, JOIN)
    run(world)
    submit_and_run(world, 2)
    member.crash()
    member.rows, member.ledger = dict(backup[0]), list(backup[1])
    member.start()
    assert member.core.committee.epoch == 0
    run(world, 30)
    assert member.core.committee.epoch == 1
    assert member.core.executed == world.nodes[0].core.executed
    assert member.core.memory.is_observing()
    submit_and_run(world)


def test_a_ledger_that_was_lost_does_not_lose_the_votes_of_later_epochs():
    world = World(4, spare=1)
    submit_and_run(world, 1)
    world.submit_body(4, JOIN)
    run(world)
    submit_and_run(world, 2)
    member = world.nodes[1]
    rows = {key: row for key, row in member.rows.items() if key[1] != "epoch"}
    member.crash()
    member.ledger = []
    member.start()
    assert member.core.committee.epoch == 0
    run(world, 40)
    check_agree(world, 1)
    low = member.core.checkpoints.low
    assert {key for key in rows if key[2] > low} <= member.rows.keys()
    submit_and_run(world)


def test_an_ended_member_still_helps_to_end_the_epoch():
    """Only one member has executed the end when the primary dies: with it the others change the
    view, reach the same end and certify it."""
    world = World(4, spare=1)
    submit_and_run(world, 1)
    world.submit_body(4, JOIN)
    run(world, 1)
    primary = world.get(world.committee.get_primary(0))
    primary.crash()
    run(world, 60)
    check_agree(world, 1, [node for node in world.nodes if node.is_up])
    submit_and_run(world)


def test_a_vote_for_a_slot_is_another_one_in_another_epoch():
    world = World(4)
    place = [Context(NETWORK, COMMITTEE, epoch, "pre_prepare") for epoch in (0, 1)]
    votes = [
        envelope.sign(world.keys[0], each, schema.encode(PrePrepare(0, 5, bytes([i]) * 32)))
        for i, each in enumerate(place)
    ]
    with pytest.raises(InvalidBytes):
        check_equivocation(world.committee, votes[0].data, votes[1].data)

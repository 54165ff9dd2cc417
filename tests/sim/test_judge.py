"""Every invariant fails on a history that is bent to break it, and holds before."""

import dataclasses

import msgspec
import pytest

from crdt.facts import COMMON, Charged, EpochBegan, Move, Paid, Slashed
from crdt.log import HEAD_KIND, Head
from devnet.sim.epochs import Epochs
from devnet.sim.memo import shortcuts
from devnet.sim.plan import Plan
from devnet.sim.world import World
from identity import envelope, schema
from identity.certificate import Certificate
from identity.envelope import Context
from protocols.messages import (
    CHECKPOINT_KIND,
    COMMIT_KIND,
    NEW_VIEW_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    VIEW_CHANGE_KIND,
    Assigned,
    CarryNewView,
    CarryViewChange,
    Checkpoint,
    Commit,
    NewView,
    Prepare,
    PrePrepare,
    ViewChange,
    Votes,
)
from protocols.pbft.view_change import ViewRow
from protocols.step import Certified, Equivocation, Fault, Persist

OTHER = bytes(range(32))


@pytest.fixture
def world():
    """Four honest members after a few quiet seconds; nothing is wrong."""
    with shortcuts() as memory:
        made = World(Plan(seed=1, n=4, safety_ms=6_000, healed_ms=6_000), memory)
        for member in made.members:
            member.start()
        made.clients[0].start()
        made.run_until(30_000)
        assert made.judge.violations == []
        yield made


def names(world):
    return {violation.invariant for violation in world.judge.violations}


def last(world, member=0):
    return world.members[member].disk.batches[-1]


def again(world, executed, member=0):
    """Let a member execute `executed` as if it had not executed it before."""
    judge = world.judge
    judge._reached[world.members[member].id] = executed.seq - 1
    judge.on_executed(world.members[member], executed)


def sign(world, index, kind, payload):
    committee = world.committee
    place = Context(committee.network, committee.id, committee.epoch, kind)
    return envelope.sign(world.foundation.keys[index], place, schema.encode(payload))


def send(world, index, kind, payload):
    data = sign(world, index, kind, payload).data
    message = Votes(committee=world.committee.id, statements=(data,))
    world.judge.on_sent(world.members[index], message)


def test_the_same_batch_again_breaks_nothing(world):
    again(world, last(world))
    assert names(world) == set()


def test_s1_another_digest(world):
    again(world, dataclasses.replace(last(world), digest=OTHER))
    assert "S1 one digest per position" in names(world)


def test_s1_another_outcome(world):
    done = last(world)
    header = msgspec.structs.replace(done.entry.header, root=OTHER)
    again(
        world, dataclasses.replace(done, entry=msgspec.structs.replace(done.entry, header=header))
    )
    assert names(world) == {"S1 one digest per position"}


def test_s2_two_prepared_digests(world):
    send(world, 0, COMMIT_KIND, Commit(9, 900, OTHER, 1))
    send(world, 1, COMMIT_KIND, Commit(9, 900, bytes(32), 1))
    assert names(world) == {"S2 one prepared digest per view and seq"}


@pytest.mark.parametrize("bend", [lambda p: p[:-1], lambda p: p[:1] * len(p), lambda p: ()])
def test_s3_no_quorum(world, bend):
    done = last(world)
    again(world, dataclasses.replace(done, proof=bend(done.proof)))
    assert names(world) == {"S3 executed means q votes"}


def test_s3_a_certificate_of_another_head(world):
    certificate = world.members[0].core.heads.certificate
    bent = dataclasses.replace(certificate, signatures=certificate.signatures[:2])
    position = world.members[0].core.heads.certified
    world.judge.on_certified(world.members[0], Certified(world.committee.id, position, bent))
    assert certificate.context.kind == HEAD_KIND
    assert names(world) == {"S3 executed means q votes"}


def test_s4_two_digests_for_a_slot(world):
    send(world, 2, PREPARE_KIND, Prepare(9, 900, OTHER))
    assert names(world) == set()
    send(world, 2, PREPARE_KIND, Prepare(9, 900, bytes(32)))
    assert names(world) == {"S4 one digest per slot and key"}


def test_s4_a_vote_in_a_view_that_was_left(world):
    member, committee = world.members[0], world.committee.id
    left = schema.encode(ViewRow(view=5, view_change=b"", new_view=b"", support=()))
    world.judge.on_persisted(member, [Persist(committee, "view", 5, 0, left, 0)])
    world.judge.on_persisted(member, [Persist(committee, "accepted", 4, 900, b"", 0)])
    assert names(world) == {"S4 no vote in a view that was left"}


def test_s5_two_checkpoints(world):
    committee = world.committee
    place = Context(committee.network, committee.id, 0, CHECKPOINT_KIND)
    for state in (OTHER, bytes(32)):
        payload = schema.encode(Checkpoint(900, OTHER, state))
        signatures = {
            key.public: envelope.sign(key, place, payload).signature
            for key in world.foundation.keys
        }
        data = Certificate.collect(place, payload, signatures).encode()
        row = Persist(committee.id, "stable", 0, 900, data, 0)
        world.judge.on_persisted(world.members[0], [row])
    assert names(world) == {"S5 stable checkpoints agree"}


def test_s7_a_position_is_skipped(world):
    world.judge.on_executed(world.members[0], dataclasses.replace(last(world), seq=900))
    assert "S7 nothing is lost" in names(world)


def bend_books(world, *facts):
    """A further batch with these facts, which nobody executed."""
    entry = world.judge.entries[-1]
    proven = last(world).entry
    bent = dataclasses.replace(entry, position=entry.position + 1, operations=(), facts=facts)
    world.judge._books.apply(world.members[0], bent, proven)
    return names(world)


def test_an_entry_holds_other_facts(world):
    assert "S1 one digest per position" in bend_books(world)


def test_s6_two_outcomes_of_an_operation(world):
    assert "S6 executes once" in bend_books(world, Charged(OTHER), Charged(OTHER))


def test_s6_an_operation_twice(world):
    entry = world.judge.entries[-1]
    assert entry.operations
    (operation,) = entry.operations
    next_one = dataclasses.replace(operation, nonce=operation.nonce + 1)
    bent = dataclasses.replace(entry, operations=(next_one,), facts=())
    world.judge._books.apply(world.members[0], bent, last(world).entry)
    assert "S6 executes once" in names(world)


def test_c1_credits_out_of_nothing(world):
    key = world.committee.members[0]
    move = Move(COMMON, "minted", key, "free", 5)
    assert "C1 conservation" in bend_books(world, Paid(key, key, 5, moves=(move,)))


def test_c2_more_than_there_is(world):
    one, two = world.committee.members[:2]
    move = Move(one, "free", two, "free", 1 << 60)
    assert "C2 nothing negative" in bend_books(world, Paid(one, two, 1, moves=(move,)))


def test_c3_a_fee_without_a_nonce(world):
    key = world.committee.members[0]
    move = Move(key, "free", COMMON, "treasury", 1)
    assert "C3 one debit per nonce" in bend_books(world, Charged(OTHER, moves=(move,)))


def test_c5_an_honest_member_is_blamed(world):
    world.judge.on_blamed(world.members[0], Fault(world.committee.members[1], "why"))
    assert names(world) == {"C5 nobody honest is blamed"}


def test_c5_evidence_against_an_honest_member(world):
    two = [sign(world, 1, PREPARE_KIND, Prepare(9, 900, d)) for d in (OTHER, bytes(32))]
    world.judge.on_evidence(world.members[0], Equivocation(*two))
    assert names(world) == {"C5 nobody honest is blamed"}


def test_agreed_time_beyond_every_clock(world):
    world.plan = msgspec.structs.replace(world.plan, skews_ms=(-3_600_000,) * 4)
    world.run_until(world.now_ms + 5_000)
    assert "agreed time" in names(world)


def test_a_core_that_fails(world):
    def fail(now_ms):
        raise RuntimeError("on purpose")

    world.members[0].router.on_timer = fail
    world.run_until(world.now_ms + 5_000)
    assert names(world) == {"a core never fails"}
    assert "on purpose" in str(world.judge.violations[0])


def test_l1_an_operation_waits(world):
    world.heal()
    world.clients[0].submitted[10_000] = 0
    world.run_until(world.now_ms + 20_000)
    world.judge.finish()
    assert names(world) == {"L1 every operation executes"}


def test_l2_views_go_on_rising(world):
    world.heal()
    world.run_until(world.now_ms + 20_000)
    world.members[0].core.view += 4
    world.judge.finish()
    assert names(world) == {"L2 views stop rising"}


def test_l3_a_laggard(world):
    world.heal()
    world.run_until(world.now_ms + 20_000)
    world.judge._reached[world.members[2].id] = 3
    world.judge.finish()
    assert names(world) == {"L3 laggards catch up"}


def test_l4_slots_without_bound(world):
    member = world.members[0]
    for seq in range(1_000, 1_200):
        member.core.get_slot(seq)
    again(world, last(world))
    assert names(world) == {"L4 everything is bounded"}


def tell(world, kind, payload):
    """An honest member says something."""
    member, committee = world.members[0], world.committee
    place = Context(committee.network, committee.id, 0, kind)
    data = envelope.sign(member.key, place, schema.encode(payload)).data
    if kind == VIEW_CHANGE_KIND:
        message = CarryViewChange(committee=committee.id, statement=data)
    elif kind == NEW_VIEW_KIND:
        message = CarryNewView(committee=committee.id, statement=data)
    else:
        message = Votes(committee=committee.id, statements=(data,))
    world.judge.on_sent(member, message)


def test_s1_another_batch_is_prepared_in_a_later_view(world):
    seq = last(world).seq
    tell(world, COMMIT_KIND, Commit(7, seq, OTHER, 0))
    assert names(world) == {"S1 one digest per position"}


def test_s7_a_view_change_hides_a_certificate(world):
    tell(world, COMMIT_KIND, Commit(0, 900, OTHER, 0))
    tell(world, VIEW_CHANGE_KIND, ViewChange(1, 0, b"", ()))
    assert "S7 a VIEW-CHANGE hides nothing" in names(world)


def test_s7_a_head_that_may_be_lost(world):
    member = world.members[0]
    tell(world, HEAD_KIND, Head(world.committee.id, member.disk.durable + 1, OTHER))
    assert names(world) == {"S7 a head covers what is durable"}


def test_s2_a_proposal_that_was_not_announced(world):
    tell(world, NEW_VIEW_KIND, NewView(9, (), (Assigned(900, OTHER),)))
    tell(world, PRE_PREPARE_KIND, PrePrepare(9, 900, bytes(32)))
    assert names(world) == {"S2 a primary proposes what its NEW-VIEW says"}


def test_s2_a_view_without_a_quorum(world):
    member, committee = world.members[0], world.committee.id
    begun = schema.encode(ViewRow(view=5, view_change=b"", new_view=b"x", support=()))
    world.judge.on_persisted(member, [Persist(committee, "view", 5, 0, begun, 0)])
    assert names(world) == {"S2 a view begins with q VIEW-CHANGEs"}


def test_an_offender_stays(world):
    member = world.members[0].public
    slashed = Slashed(offender=member, offence=OTHER, task=None, amount=1, moves=())
    epochs = Epochs(world.committee)
    assert "stays a member" in epochs.note(3, (slashed,))
    others = tuple(sorted(set(world.committee.members) - {member}))
    began = EpochBegan(epoch=1, members=others, joined=(), left=(), expelled=(member,), moves=())
    assert Epochs(world.committee).note(3, (slashed, began)) is None
    assert Epochs(world.committee).note(3, (began, slashed)) is not None

"""Versions of the semantics beyond the text scenarios: batches of several changes, what a program
that lacks a version does, and operations that came later."""

import msgspec
import pytest

from identity import cbor
from identity.errors import InvalidSchema
from protocols.economy import semantics
from protocols.economy.chain import Chain
from protocols.economy.operations import JoinCommittee, Operation, Transfer
from protocols.economy.operations_upgrades import AnnounceSemantics, ConsentUpgrade
from protocols.economy.semantics import Added, UnsupportedSemantics, check_operation
from tests.economy.world import World, check_receipt


def announce(world, version, *names):
    world.run(*world.sign_all([(name, AnnounceSemantics(version, "")) for name in names]))


def agree(world, version, *names):
    return [(name, ConsentUpgrade(version)) for name in names]


def test_a_state_without_upgrades_says_nothing_of_them():
    plain = cbor.decode(World(n=4).state.dump(), size_max=1 << 20)
    assert not {"announced", "consents", "switches"} & plain.keys()


def test_it_waits_for_a_quorum_of_the_next_epochs_members():
    world = World(n=4)
    announce(world, 2, "m1", "m2", "m3")
    world.run(world.sign("alice", Transfer(world.keys["bob"], 20_000)))
    join = ("bob", JoinCommittee(12_000))
    world.run(*world.sign_all([*agree(world, 2, "m1", "m2", "m3"), join]))
    assert (world.state.committee.n, world.state.committee.semantics) == (5, 1)
    announce(world, 2, "m4")
    assert world.state.committee.semantics == 1
    facts = world.run(*world.sign_all(agree(world, 2, "m4")))
    assert facts[-1].semantics == world.state.committee.semantics == 2


def test_versions_may_be_skipped_and_each_epoch_keeps_its_own():
    world = World(n=4)
    announce(world, 3, "m1", "m2", "m3", "m4")
    world.run(*world.sign_all(agree(world, 2, "m1", "m2", "m3")))
    world.run(*world.sign_all(agree(world, 3, "m1", "m2", "m4")))
    world.state.restore(world.state.dump(), world.state.position)
    held = [world.state.find_committee(epoch).semantics for epoch in range(3)]
    assert held == [1, 2, 3]


def make_chain(world):
    return Chain(world.genesis, world.committee, check_receipt)


def test_a_program_that_lacks_the_version_executes_nothing_after_the_switch():
    world = World(n=4)
    announce(world, 2, "m1", "m2", "m3")
    world.run(*world.sign_all(agree(world, 2, "m1", "m2", "m3")))
    chain, position = make_chain(world), world.state.position
    chain.load_state(world.state.dump(), position, bytes(32))
    with pytest.raises(UnsupportedSemantics, match="install a release of Econode that supports"):
        chain.execute(position + 1, chain.get_time_ms(), bytes(32), [])
    assert chain.get_position() == position


def test_a_state_in_a_form_of_later_names_the_program_that_is_needed():
    world = World(n=4)
    later = cbor.decode(world.state.dump(), size_max=1 << 20)
    later |= {"switches": [[1, 2]], "weather": 1}
    with pytest.raises(UnsupportedSemantics, match="version 2"):
        make_chain(world).load_state(cbor.encode(later), 0, bytes(32))
    del later["switches"]
    with pytest.raises(InvalidSchema, match="weather"):
        make_chain(world).load_state(cbor.encode(later), 0, bytes(32))


class Wish(msgspec.Struct, frozen=True, tag_field="type", tag="wish"):
    """A kind of operation that comes with version 2."""

    text: str = ""


def test_what_came_later_is_refused_until_its_version_holds(monkeypatch):
    added = (Added(JoinCommittee, "semantics", 2), Added(Wish, None, 3))
    monkeypatch.setattr(semantics, "ADDED", added)
    check_operation(Operation(1, JoinCommittee(5)), 1)
    check_operation(Operation(1, JoinCommittee(5, 7)), 2)
    with pytest.raises(InvalidSchema, match=r"join_committee\.semantics: since version 2"):
        check_operation(Operation(1, JoinCommittee(5, 7)), 1)
    with pytest.raises(InvalidSchema, match="wish: since version 3"):
        check_operation(Operation(1, Wish()), 2)
    check_operation(Operation(1, Wish()), 3)

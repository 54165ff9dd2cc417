"""The edges of the state: what the schema refuses, what is not loaded, what `dump` leaves out."""

import msgspec
import pytest

from crdt.facts import (
    AuctionOpened,
    Minted,
    Rejected,
    Settled,
    Slashed,
    TaskOpened,
    decode_fact,
    encode_fact,
)
from crdt.reputation import InvalidSnapshot, ReputationView
from identity import cbor, envelope, keys, schema
from identity.envelope import Context
from identity.errors import InvalidBytes, InvalidCbor, InvalidSchema
from identity.schema import U63_MAX
from protocols.economy import lifecycle
from protocols.economy.operations import (
    Accuse,
    Bond,
    LeaveCommittee,
    Operation,
    Transfer,
    decode_operation,
)
from protocols.economy.state import EconomyState
from protocols.messages import PREPARE_KIND, Prepare
from tests.economy.world import BOND, FREE, World, check_receipt, digest


def load(world: World, data: bytes) -> EconomyState:
    return EconomyState.load(data, world.genesis, world.committee, check_receipt)


@pytest.mark.parametrize("amount", [-1, 0, U63_MAX + 1, 1.5, True, "5", None])
def test_amounts_out_of_bounds_never_become_operations(amount: object) -> None:
    body = {"type": "transfer", "to": bytes(32), "amount": amount}
    with pytest.raises(InvalidBytes):
        decode_operation(cbor.encode({"nonce": 1, "body": body}))


def test_genesis_mints_and_nothing_else_does() -> None:
    world = World(4)
    facts = world.state.genesis_facts()
    assert all(isinstance(fact, Minted) for fact in facts)
    totals = world.state.stake.totals()
    assert (totals["bonded"], totals["free"]) == (4 * BOND, 5 * FREE)
    assert totals["minted"] == 4 * BOND + 5 * FREE
    assert world.state.position == 0


def test_positions_follow_each_other_and_time_never_goes_back() -> None:
    world = World(4)
    for position in (0, 2):
        with pytest.raises(ValueError, match="does not follow"):
            world.state.execute(position, world.time_ms, digest("x"), ())
    world.run(wait_ms=5_000)
    now_ms = world.state.time_ms
    world.run(wait_ms=-3_000)
    assert world.state.time_ms == now_ms


def test_facts_survive_their_encoding() -> None:
    world = World(4, snapshot_settlements=1)
    world.run(*world.offer(*world.members))
    world.run(world.open("alice", count=2))
    world.play({"m1": "wrong", "m2": "right", "m3": "right", "m4": "fail"})
    kinds = {type(fact) for fact in world.log}
    assert len(kinds) >= 15
    assert [decode_fact(encode_fact(fact)) for fact in world.log] == world.log


def test_only_what_cannot_be_derived_is_dumped() -> None:
    """The dump shrinks to its former size once the tasks have ended."""
    world = World(4)
    world.run(*world.offer(*world.members))
    before = len(world.state.dump())
    world.run(world.open("alice", count=20))
    assert len(world.state.dump()) > before + 20 * 200
    world.play(dict.fromkeys(world.members, "right"))
    assert len(world.state.dump()) < before + 20 * 100  # receipts behind the scores
    assert len(world.state._books._due) < 1_000


def test_the_heap_of_deadlines_stays_small() -> None:
    world = World(4)
    world.run(*world.offer(*world.members))
    for _ in range(12):
        world.run(world.open("alice", count=10, budget=200))
        world.play(dict.fromkeys(world.members, "right"))
    assert sum(isinstance(fact, Settled) for fact in world.log) == 120
    assert len(world.state._books._due) <= 256 + 2 * 10 + 1


@pytest.mark.parametrize(
    "damage",
    [
        lambda plain: plain | {"version": 1},
        lambda plain: plain | {"surplus": 1},
        lambda plain: plain | {"balances": [[bytes(32), "gold", 5]]},
        lambda plain: plain | {"agents": []},
        lambda plain: plain | {"queued": [bytes(32)]},
        lambda plain: plain | {"reputation": [1]},
    ],
)
def test_a_damaged_state_is_refused(damage: object) -> None:
    world = World(4)
    world.run(*world.offer(*world.members))
    world.run(world.open("alice", count=20))
    says = dict.fromkeys(world.members, "right")
    for _ in range(2):
        world.run(*world.sign_all(world.plan(says)))
    plain = cbor.decode(world.state.dump(), size_max=1 << 20)
    assert load(world, cbor.encode(plain)).dump() == world.state.dump()
    assert callable(damage)
    with pytest.raises(InvalidSchema):
        load(world, cbor.encode(damage(plain)))
    with pytest.raises(InvalidCbor):
        load(world, world.state.dump()[:-1])


def test_the_last_snapshot_weighs_the_next_auction() -> None:
    world = World(4, snapshot_settlements=1)
    world.run(*world.offer(*world.members))
    world.run(world.sign("alice", Bond(2_000)))
    world.run(world.open("alice"))
    world.play({"m1": "fail", "m2": "right", "m3": "right", "m4": "right"})
    world.run(world.open("alice"))
    auction = [fact for fact in world.log if isinstance(fact, AuctionOpened)][-1]
    weights = dict(zip(auction.bidders, auction.weights_ppm, strict=True))
    view = world.state.reputation
    assert weights == {key: view.weight_ppm(key) for key in weights}
    assert [key for key in weights if weights[key] < 985_000] == [world.keys["m1"]]
    assert [receipt.grade for receipt in view.explain(world.keys["m1"])] == ["poor"]
    assert view.explain(world.keys["bob"]) == ()


def test_snapshots_keep_their_distance_in_time() -> None:
    world = World(4, snapshot_settlements=1, snapshot_ms_min=50_000)
    world.run(*world.offer(*world.members))
    says = dict.fromkeys(world.members, "right")
    for waits_ms, number in ((0, 0), (49_000, 0), (1_000, 1), (0, 1), (50_000, 2)):
        world.run(world.open("alice"), wait_ms=waits_ms)
        world.play(says)
        assert world.state.reputation.number == number
        assert load(world, world.state.dump()).dump() == world.state.dump()
    assert world.state.reputation.settled_since == 1


def test_settlements_do_not_wait_for_a_snapshot_without_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lifecycle, "SETTLED_MAX", 3)
    world = World(4, snapshot_settlements=1, snapshot_ms_min=50_000)
    world.run(*world.offer(*world.members))
    world.run(world.open("alice", count=7))
    world.play(dict.fromkeys(world.members, "right"))
    assert world.state.reputation.number >= 1
    assert world.state.reputation.settled_since < 3 + 7


def test_a_snapshot_that_does_not_follow_is_refused() -> None:
    view = ReputationView()
    view.apply(Minted(account=digest("x"), founder=True))
    snapshot = view.compute_snapshot()
    with pytest.raises(InvalidSnapshot):
        view.apply(msgspec.structs.replace(snapshot, root=bytes(32)))
    view.apply(snapshot)
    assert view.number == 1
    with pytest.raises(InvalidSnapshot):
        view.apply(snapshot)


def test_bad_is_forgotten_more_slowly_than_good() -> None:
    view = ReputationView()
    key = digest("x")
    view.apply(Minted(account=key, founder=True))
    assert view.score_ppm(key) == 800_000
    lease = {"task": digest("t"), "round": 1, "executor": key, "price": 1}
    lease |= {"rater": digest("y"), "allowance": 1_000_000}
    view.apply(Settled(grade="poor", **lease))
    scores = []
    for _ in range(200):
        view.apply(view.compute_snapshot())
        scores.append(view.score_ppm(key))
    assert scores[0] < 800_000
    assert scores == sorted(scores, reverse=True)
    assert view.scores()[0].good < view.scores()[0].bad


def test_task_ids_differ_by_network_requester_nonce_and_index() -> None:
    world = World(4)
    world.run(*world.offer(*world.members))
    world.run(world.open("alice", count=3))
    world.run(world.open("m1", count=3))
    world.run(world.open("alice", count=3))
    tasks = {fact.task for fact in world.log if isinstance(fact, TaskOpened)}
    assert len(tasks) == 9


def test_an_operation_is_what_was_signed() -> None:
    operation = Operation(7, Transfer(digest("x"), 5))
    assert decode_operation(schema.encode(operation)) == operation


def test_contradicting_votes_cost_a_member_its_bond_once() -> None:
    world = World()
    key = next(
        secret
        for secret in (keys.PrivateKey(digest(f"m{i}")) for i in range(4))
        if secret.public == world.keys["m2"]
    )
    committee = world.committee
    place = Context(committee.network, committee.id, committee.epoch, PREPARE_KIND)
    first, second = (
        envelope.sign(key, place, schema.encode(Prepare(0, 7, digest(text)))).data
        for text in ("one", "other")
    )
    (refused,) = world.run(world.sign("alice", Accuse(first, first)))
    assert isinstance(refused, Rejected)
    assert refused.reason == "no_evidence"
    facts = world.run(world.sign("alice", Accuse(first, second)))
    (slashed,) = [fact for fact in facts if isinstance(fact, Slashed)]
    assert (slashed.offender, slashed.amount, slashed.task) == (key.public, BOND, None)
    assert world.state.is_banned(key.public)
    assert world.state.stake.get(key.public, "bonded") == 0
    (again,) = world.run(world.sign("alice", Accuse(second, first)))
    assert isinstance(again, Rejected)
    assert again.reason == "already_punished"
    assert world.state.stake.is_conserved()
    assert load(world, world.state.dump()).dump() == world.state.dump()


def test_contradicting_votes_of_an_ended_epoch_are_punished_once() -> None:
    """Also by whoever has left since; of an epoch that nobody remembers they prove nothing."""
    world = World(5)
    key = next(
        secret
        for secret in (keys.PrivateKey(digest(f"m{i}")) for i in range(5))
        if secret.public == world.keys["m2"]
    )

    def sign_both(epoch: int) -> list[bytes]:
        place = Context(world.committee.network, world.committee.id, epoch, PREPARE_KIND)
        votes = (Prepare(0, 7, digest(text)) for text in ("one", "other"))
        return [envelope.sign(key, place, schema.encode(vote)).data for vote in votes]

    world.run(world.sign("m2", LeaveCommittee()))
    assert world.state.committee.epoch == 1
    for epoch in (1, 2):  # it is no member of the first, and nobody is of the second
        (refused,) = world.run(world.sign("alice", Accuse(*sign_both(epoch))))
        assert isinstance(refused, Rejected)
        assert refused.reason == "no_evidence"
    first, second = sign_both(0)
    mixed = world.run(world.sign("alice", Accuse(first, sign_both(1)[1])))
    assert isinstance(mixed[0], Rejected)
    facts = world.run(world.sign("alice", Accuse(first, second)))
    assert [type(fact) for fact in facts] == [Slashed]  # the members stay: it had left
    (again,) = world.run(world.sign("alice", Accuse(second, first)))
    assert isinstance(again, Rejected)
    assert again.reason == "already_punished"
    assert world.state.committee.epoch == 1
    assert load(world, world.state.dump()).dump() == world.state.dump()

"""Agents: what they submit follows from the state and their secret alone."""

from crdt.facts import Awarded, BidCommitted, Paused
from protocols.agents.plan import Failure, Output, Planner, list_work, plan_offer
from protocols.agents.strategies import (
    Cost,
    SeededChance,
    Strategy,
    cost_plus,
    get_price,
    truthful,
    underbid,
    view_duty,
)
from protocols.economy.operations import ITEMS_MAX, CommitBids, CommitWork, Inventory, Transfer
from tests.economy.world import CAPABILITY, OFFERED, World, digest


def start(**parameters: int) -> World:
    world = World(4, **parameters)
    world.run(*world.offer(*world.members))
    return world


def test_a_tasks_price() -> None:
    world = start()
    world.run(world.open("alice", budget=1_000))
    duty = world.state.duties(world.keys["m1"])[0]

    def ask(strategy: Strategy, cost: Cost) -> int | None:
        return get_price(strategy.decide(view_duty(duty, cost), SeededChance(b"0")))

    assert ask(cost_plus, Cost(100)) == 100
    assert ask(cost_plus, Cost(100, per_kib=7, margin_ppm=100_000)) == 125
    assert ask(truthful, Cost(100, per_kib=7, margin_ppm=100_000)) == 114
    assert ask(cost_plus, Cost(1_001)) is None
    assert ask(underbid, Cost(900)) == 1


def test_a_capability_has_a_strategy_of_its_own() -> None:
    world = start()
    world.run(world.open("alice", budget=1_000))
    old = world.planners["m1"]
    costs = {CAPABILITY: Cost(5_000)}
    dear = Planner(old.committee, old.me, old.secret, cost_plus, costs)
    (body,) = dear.plan_operations(world.state, {})
    assert isinstance(body, CommitBids)
    assert body.bids[0].commitment is None
    own = {CAPABILITY: underbid}
    cheap = Planner(old.committee, old.me, old.secret, cost_plus, costs, own)
    (body,) = cheap.plan_operations(world.state, {})
    assert isinstance(body, CommitBids)
    assert body.bids[0].commitment is not None
    none = Planner(old.committee, old.me, old.secret, cost_plus, {})
    (body,) = none.plan_operations(world.state, {})
    assert isinstance(body, CommitBids)
    assert body.bids[0].commitment is None


def test_many_duties_are_few_operations() -> None:
    world = start(awards_active_max=ITEMS_MAX)
    for _ in range(4):
        world.run(world.open("alice", count=50, budget=100))
    bodies = world.planners["m1"].plan_operations(world.state, {})
    assert [len(body.bids) for body in bodies if isinstance(body, CommitBids)] == [ITEMS_MAX]
    assert len(bodies) == 1


def test_nothing_is_said_twice() -> None:
    world = start()
    world.run(world.open("alice"))
    planner = world.planners["m1"]
    bodies = planner.plan_operations(world.state, {})
    pending = [world.sign("m1", body).operation for body in bodies]
    assert len(pending) == 1
    assert planner.plan_operations(world.state, {}, pending) == []
    other = world.sign("m1", Transfer(world.keys["bob"], 1)).operation
    assert planner.plan_operations(world.state, {}, [other]) == bodies


def test_an_agent_passes_on_what_it_cannot_deposit() -> None:
    world = start()
    world.run(world.sign("m1", Transfer(world.keys["bob"], 99_000)))
    world.run(world.open("alice", count=3, budget=1_000))
    facts = world.run(*world.sign_all(world.plan({"m1": "right"})))
    seals = [fact.commitment for fact in facts if isinstance(fact, BidCommitted)]
    assert [seal is None for seal in seals] == [False, True, True]


def test_a_restarted_agent_opens_what_it_sealed() -> None:
    world = start()
    world.run(world.open("alice"))
    world.run(*world.sign_all(world.plan(dict.fromkeys(world.members, "right"))))
    old = world.planners["m1"]
    world.planners["m1"] = Planner(old.committee, old.me, old.secret, old.strategy, old.costs)
    facts = world.play(dict.fromkeys(world.members, "right"))
    assert [fact.winner for fact in facts if isinstance(fact, Awarded)] == [world.keys["m1"]]
    assert not [fact for fact in facts if isinstance(fact, Paused)]
    # with another secret its salts are others: it keeps silent and does not waste a fee
    world.run(world.open("alice"))
    world.run(*world.sign_all(world.plan(dict.fromkeys(world.members, "right"))))
    stranger = Planner(old.committee, old.me, b"other", old.strategy, old.costs)
    assert stranger.plan_operations(world.state, {}) == []


def test_work_waits_for_its_outcome() -> None:
    world = start()
    world.run(world.open("alice"))
    says = dict.fromkeys(world.members, "right")
    while not list_work(world.state, world.keys["m1"], {}):
        world.run(*world.sign_all(world.plan(says)))
    me, planner = world.keys["m1"], world.planners["m1"]
    (duty,) = list_work(world.state, me, {})
    assert planner.plan_operations(world.state, {}) == []
    failed, done = {duty.task: Failure("crashed")}, {duty.task: Output(digest("right"), 7)}
    assert list_work(world.state, me, failed) == list_work(world.state, me, done) == []
    (body,) = planner.plan_operations(world.state, failed)
    assert isinstance(body, CommitWork)
    assert (body.works[0].commitment, body.works[0].failure) == (None, "crashed")
    (body,) = planner.plan_operations(world.state, done)
    assert isinstance(body, CommitWork)
    assert body.works[0].commitment is not None


def test_an_inventory_names_who_could_be_ordered() -> None:
    world = start()
    world.run(world.open("alice"))
    world.run(*world.sign_all(world.plan(dict.fromkeys(("m1", "m2"), "right"))))
    (late,) = world.planners["m3"].plan_operations(world.state, {})
    (gap,) = world.planners["m4"].plan_operations(world.state, {})
    held = [
        (world.keys["m3"], world.sign("m3", late).operation),
        (world.keys["m4"], world.sign("m4", gap, nonce=9).operation),
    ]
    assert world.planners["m1"].plan_operations(world.state, {}, (), held) == []
    world.run(wait_ms=4_000)
    (body,) = world.planners["m1"].plan_operations(world.state, {}, (), held)
    assert isinstance(body, Inventory)
    # m4 left a gap in its nonces: nobody could have ordered it
    assert [item.parties for item in body.held] == [(world.keys["m3"],)]


def test_offers_come_back_after_a_pause() -> None:
    world = World(4)
    me = world.keys["m1"]
    assert plan_offer(world.state, me, (OFFERED,)) is not None
    assert plan_offer(world.state, me, ()) is None
    assert plan_offer(world.state, world.keys["alice"], (OFFERED,)) is None
    operation = world.offer("m1")
    assert plan_offer(world.state, me, (OFFERED,), [operation[0].operation]) is None
    world.run(*world.offer(*world.members))
    assert plan_offer(world.state, me, (OFFERED,)) is None
    assert plan_offer(world.state, me, ()) is not None
    world.run(world.open("alice"))
    world.run(wait_ms=4_000)
    world.play(dict.fromkeys(("m2", "m3", "m4"), "right"))
    agent = world.state.get_agent(me)
    assert agent is not None
    assert agent.paused
    assert plan_offer(world.state, me, (OFFERED,)) is not None

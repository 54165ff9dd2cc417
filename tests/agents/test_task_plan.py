"""What tasks would come to, against what they then come to."""

import msgspec

from crdt.facts import AuctionOpened, TaskOpened, VerifiersDrawn
from protocols.agents.task_plan import Demand, plan_tasks
from tests.economy.world import CAPABILITY, World


def make_demand(**changes):
    plain = {"capability": CAPABILITY, "count": 1, "budget": 1_000, "duration_ms": 600_000}
    return Demand(**(plain | changes))


def start(**parameters):
    world = World(4, **parameters)
    world.run(*world.offer(*world.members))
    return world


def test_a_plan_is_what_happens_then():
    world = start()
    alice = world.keys["alice"]
    plan = plan_tasks(world.state, alice, make_demand(count=2))
    assert plan.obstacles == ()
    facts = [*world.run(world.open("alice", count=2))]
    facts += world.play(dict.fromkeys(world.members, "right"))
    opened = [fact for fact in facts if isinstance(fact, TaskOpened)]
    moves = [move for fact in opened for move in fact.moves]
    put_aside = sum(move.amount for move in moves if move.target_bucket == "escrow")
    assert put_aside == plan.escrow
    invited = {fact.bidders for fact in facts if isinstance(fact, AuctionOpened)}
    assert invited == {plan.bidders}
    drawn = [fact for fact in facts if isinstance(fact, VerifiersDrawn)]
    assert {len(fact.verifiers) for fact in drawn} <= {plan.verifiers, plan.verifiers - 1}
    assert plan.waves == 1
    assert plan.deposit == 500


def test_one_item_in_each_operation_is_the_most():
    plan = plan_tasks(start().state, bytes(32), make_demand(count=100))
    assert plan.operations_min < plan.operations_max
    # 100 tasks, 4 bidders that hold 8 each
    assert plan.waves == 4
    assert plan.fees == 2


def test_what_stands_in_the_way():
    world = start()
    alice, bob = world.keys["alice"], world.keys["bob"]

    def list_obstacles(requester, **changes):
        return plan_tasks(world.state, requester, make_demand(**changes)).obstacles

    assert list_obstacles(bob) == ("insufficient_credits",)
    assert list_obstacles(alice, duration_ms=1) == ("duration_too_short",)
    assert list_obstacles(alice, duration_ms=1 << 62) == ("duration_too_long",)
    assert list_obstacles(alice, capability=bytes(32)) == ("too_few_verifiers",)
    assert "too_many_tasks" in list_obstacles(alice, count=100_000)
    nobody = plan_tasks(world.state, alice, make_demand(capability=bytes(32)))
    assert (nobody.bidders, nobody.waves, nobody.price) == ((), 0, None)


def test_the_expected_price():
    world = start()
    alice = world.keys["alice"]
    recent = plan_tasks(world.state, alice, make_demand(), (7, 900, 50))
    assert (recent.price, recent.price_from) == (50, "recent")
    world.run(world.open("alice"))
    world.play(dict.fromkeys(world.members, "right"))
    posted = plan_tasks(world.state, alice, make_demand(), (7, 900, 50))
    market = world.state.get_market(CAPABILITY)
    assert (posted.price, posted.price_from) == (market.price, "posted")
    assert not any("halted" in line for line in posted.why)
    assert msgspec.json.encode(posted)

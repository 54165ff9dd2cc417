"""What taking part was worth to somebody: credits, less the real costs of work, plus results."""

from collections.abc import Iterable

from crdt.facts import Awarded, TaskEnded, TaskOpened, VerifiersDrawn
from devnet.sim.market.party import Party
from devnet.sim.market.plan import BOND, FREE
from devnet.sim.market.world import MarketWorld


def compute_gain(world: MarketWorld, names: Iterable[str]) -> int:
    """What these accounts have more than if they had stayed out, all together.

    Bonds that burned are lost, runs cost what they cost, and a result is worth its value to who
    asked for it, once.
    """
    return sum(_compute_one(world, world.parties[name]) for name in set(names))


def _compute_one(world: MarketWorld, party: Party) -> int:
    fold = world.referee.fold
    began = FREE + (BOND if party.name in world.plan.members else 0)
    value = sum(
        errand.value for blob, errand in party.opened.items() if blob in world.referee.accepted
    )
    value += world.referee.sales.gains.get(party.key, 0)
    value += world.referee.terms.gains.get(party.key, 0)
    return fold.compute_wealth(party.key) - began - party.work_spent + value


def compute_verifying(world: MarketWorld, names: Iterable[str]) -> int:
    """What these accounts earned by running again what others had executed: fees, less the cost of
    those runs."""
    parties = {world.parties[name].key: world.parties[name] for name in names}
    inputs: dict[bytes, bytes] = {}
    drawn: set[tuple[bytes, bytes]] = set()
    executed: set[tuple[bytes, bytes]] = set()
    earned = 0
    for fact in world.log:
        match fact:
            case TaskOpened():
                inputs[fact.task] = fact.input
            case VerifiersDrawn():
                drawn |= {(fact.task, key) for key in fact.verifiers if key in parties}
            case Awarded():
                executed.add((fact.task, fact.winner))
            case TaskEnded():
                earned += sum(m.amount for m in fact.moves if (fact.task, m.target) in drawn)
    return earned - sum(
        party.trader.compute_cost(inputs[task])
        for task, key in drawn - executed
        if (party := parties[key]).trader is not None and task in party.worked
    )


def count_fees(world: MarketWorld, name: str) -> int:
    """What the account paid for its operations."""
    fee = world.state.parameters.operation_fee
    return fee * (world.state.next_nonce(world.parties[name].key) - 1)

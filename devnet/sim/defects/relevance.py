"""Which plans can show a defect at all: the others are passed over in the search.

A defect that forgets what it wrote shows only where power is lost, one that believes a lie only
beside a liar. Passing over the rest changes no seed that is found, only the time until it is.
"""

from collections.abc import Callable

from devnet.sim.plan import BEFORE_LOAD, PRIMARY, Behaviour, FaultKind, Habit, Plan

Relevance = Callable[[Plan], bool]


def lies(*behaviours: Behaviour) -> Relevance:
    """A member behaves so."""
    return lambda plan: any(liar.behaviour in behaviours for liar in plan.byzantine)


def habit(*habits: Habit) -> Relevance:
    return lambda plan: any(liar.habit in habits for liar in plan.byzantine)


def lies_alike(plan: Plan) -> bool:
    """A member that mutates tells everybody the same."""
    return any(liar.alike for liar in plan.byzantine)


def faults(*kinds: FaultKind) -> Relevance:
    return lambda plan: any(fault.kind in kinds for fault in plan.faults)


def deaf_to(*kinds: str) -> Relevance:
    """Some member does not hear one of these kinds of messages for some time."""
    return lambda plan: any(fault.detail in kinds for fault in plan.faults)


def hides_clients(plan: Plan) -> bool:
    """Clients reach f+1 members only."""
    return bool(plan.hearers)


def pipelines(plan: Plan) -> bool:
    return plan.pipelines


def starts_again(plan: Plan) -> bool:
    return faults("power_loss", "disk_full")(plan)


def changes_views(plan: Plan) -> bool:
    """A primary is kept from leading: it is hit itself, or most members do not hear the rest."""
    return any(
        PRIMARY in fault.nodes or (fault.kind == "deaf" and len(fault.nodes) >= plan.n - 1)
        for fault in plan.faults
    )


def changes_members(plan: Plan) -> bool:
    """Somebody joins, leaves or is expelled."""
    return bool(plan.changes) or plan.accuses


def transfers(plan: Plan) -> bool:
    """A member that was away for long fetches a state in many chunks."""
    return plan.chunk_bytes > 0


def interrupts_loads(plan: Plan) -> bool:
    """A member loses power when it has fetched a state and not yet loaded it."""
    return any(fault.detail == BEFORE_LOAD for fault in plan.faults)


def seeks_states(plan: Plan) -> bool:
    """Who is a little behind asks for a state already."""
    return plan.transfer_batches_min > 0


def no_plan(plan: Plan) -> bool:
    """Only Twins scenarios show it."""
    return False


def both(*parts: Relevance) -> Relevance:
    return lambda plan: all(part(plan) for part in parts)

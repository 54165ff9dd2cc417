"""Bidding strategies: what an agent asks for a task, or None to pass.

A strategy depends on nothing but the auction and the agent's own costs, so an agent that was
restarted between sealing and opening finds the same price again. Under the payment rule of
`protocols/auction/mechanisms.py` no price earns more than the true cost with the margin wanted.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from protocols.economy.model import Duty
from protocols.genesis import PPM

KIB = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What running a capability costs its agent: credits per run and per KiB of input begun."""

    base: int
    per_kib: int = 0
    margin_ppm: int = 0


Costs = Mapping[bytes, Cost]
"""By capability id; an agent passes on what it has no cost for."""

Strategy = Callable[[Duty, Costs], int | None]


def cost_plus(duty: Duty, costs: Costs) -> int | None:
    """The own cost with the margin; a pass when that is above the budget."""
    cost = costs.get(duty.capability)
    if cost is None:
        return None
    spent = cost.base + cost.per_kib * -(-duty.input_bytes // KIB)
    price = max(1, spent + spent * cost.margin_ppm // PPM)
    return price if price <= duty.budget else None


def underbid(duty: Duty, costs: Costs) -> int | None:
    """The least price there is: wins every auction it can, whatever the work costs."""
    return 1 if duty.capability in costs else None

"""What it would take to have tasks done now: which auctions, why, what they cost, what is missing.

A pure function of a committee's state; nothing is promised, the state goes on meanwhile. Messages
are counted as the protocol sends them when nothing fails and everybody speaks in time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from crdt.facts import TaskTerms, Verification
from protocols.economy.market_model import Market
from protocols.economy.model import compute_share
from protocols.economy.operations import ITEMS_MAX
from protocols.economy.state import EconomyState
from protocols.economy.terms import DURATION_MS_MAX, compute_escrow

STAGES = 6
"""Batches of a task at least: opening, sealed bids, their opening, the sealed result, the sealed
ones of the verifiers, the opening of all results."""


@dataclass(frozen=True, slots=True)
class Demand:
    """`count` tasks of one capability with the usual terms; `budget` credits each, `duration_ms`
    from opening to deadline, results checked by `verification`."""

    capability: bytes
    count: int
    budget: int
    duration_ms: int
    verification: Verification = "exact"


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """See `docs/market.md` for how to read it. Amounts are credits.

    - `bidders`: agents that would be invited; `verifiers`: how many of the `verifiers_eligible`
      are drawn for each result: members that run it again, or judges; nobody for `accepted`.
    - `escrow`: put aside for all tasks at their opening; what is not spent comes back.
      `deposit`: what each bid locks.
    - `operations_min`, `operations_max`: signed statements, with as much as possible in each, and
      with one item in each. `messages_min`: frames between peers for the former, in as few batches
      as there can be.
    - `waves`: how many times agents fill up, each of which may hold `awards_active_max` agreements.
    - `price`: what a task is expected to cost, and `price_from`: "posted", "recent" or "unknown".
    - `shortest_ms`: the least duration that is taken; `round_ms_max`: how long one round can take.
    - `obstacles`: why it would be refused now, as reasons of docs/protocol-economy.md.
    """

    kind: str
    direction: str
    why: tuple[str, ...]
    bidders: tuple[bytes, ...]
    verifiers: int
    verifiers_eligible: int
    escrow: int
    deposit: int
    fees: int
    operations_min: int
    operations_max: int
    messages_per_batch: int
    messages_min: int
    waves: int
    price: int | None
    price_from: str
    shortest_ms: int
    round_ms_max: int
    obstacles: tuple[str, ...]


def plan_tasks(
    state: EconomyState,
    requester: bytes,
    demand: Demand,
    recent_prices: Sequence[int] = (),
) -> TaskPlan:
    """What opening `demand` would come to. `recent_prices` are those of the last awards, for
    where no price is posted."""
    market = state.get_market(demand.capability)
    rules, committee = state.parameters, state.committee
    bidders = list_bidders(state, demand.capability, requester)
    terms = TaskTerms(verification=demand.verification)
    eligible = [
        key for key in bidders if demand.verification != "exact" or committee.is_member(key)
    ]
    needed = _count_needed(demand.verification, terms, committee.f)
    verifiers = min(needed, max(0, len(eligible) - 1))
    packs = -(-demand.count // ITEMS_MAX)
    speakers = 1 + 2 * len(bidders) + 1 + verifiers + (verifiers + 1)
    n = committee.n
    per_batch = (n - 1) + (n - 1) ** 2 + 2 * n * (n - 1)
    escrow = demand.count * compute_escrow(rules, n, demand.budget, terms)
    price, source = _expect_price(recent_prices, market)
    return TaskPlan(
        kind="vickrey",
        direction="reverse",
        why=_explain(demand.verification, len(bidders), verifiers, needed, market),
        bidders=tuple(bidders),
        verifiers=verifiers,
        verifiers_eligible=len(eligible),
        escrow=escrow,
        deposit=compute_share(demand.budget, rules.deposit_ppm),
        fees=packs * rules.operation_fee,
        operations_min=packs * speakers,
        operations_max=packs + demand.count * (speakers - 1),
        messages_per_batch=per_batch,
        messages_min=packs * speakers * (n - 1) + STAGES * packs * per_batch,
        waves=-(-demand.count // (len(bidders) * rules.awards_active_max)) if bidders else 0,
        price=price,
        price_from=source,
        shortest_ms=2 * rules.bid_phase_ms + rules.work_phase_ms,
        round_ms_max=2 * rules.bid_phase_ms + 2 * rules.work_phase_ms + rules.reveal_phase_ms,
        obstacles=tuple(_list_obstacles(state, requester, demand, escrow, len(eligible), needed)),
    )


def list_bidders(state: EconomyState, capability: bytes, requester: bytes) -> list[bytes]:
    """Agents that an auction for this capability would invite now, ascending."""
    return [
        key
        for key, offered in state.offers()
        if key != requester
        and any(item.id == capability for item in offered)
        and state.get_standing_bond(key) >= state.parameters.bond_min
    ]


def _expect_price(recent: Sequence[int], market: Market | None) -> tuple[int | None, str]:
    if market is not None:
        return market.price, "posted"
    if recent:
        return sorted(recent)[len(recent) // 2], "recent"
    return None, "unknown"


def _count_needed(verification: Verification, terms: TaskTerms, faults: int) -> int:
    """Whoever has to say what a result is: equal results, or judges."""
    match verification:
        case "exact":
            return max(2, faults + 1)
        case "judged":
            return terms.panel
        case "accepted":
            return 0


def _explain(
    verification: Verification, bidders: int, verifiers: int, needed: int, market: Market | None
) -> tuple[str, ...]:
    checked = {
        "exact": f"{verifiers} members run it again beside the executor; {needed} equal results "
        "count",
        "judged": f"{verifiers} judges score the result under seal; the median decides",
        "accepted": "the requester says what the result is worth; its silence pays in full",
    }
    found = [
        "reverse: the requester buys; the lowest bid wins, weighed by reputation",
        "vickrey: sealed, the winner is paid the second price: asking for the true cost is best",
        f"{bidders} agents are invited; each phase ends as soon as all of them have spoken",
        checked[verification],
    ]
    if market is not None and market.halted_until_ms is not None:
        found.append("the market is halted: tasks wait until it reopens")
    return tuple(found)


def _list_obstacles(
    state: EconomyState,
    requester: bytes,
    demand: Demand,
    escrow: int,
    eligible: int,
    needed: int,
) -> list[str]:
    rules = state.parameters
    found = []
    if demand.verification == "exact" and eligible < needed:
        found.append("too_few_verifiers")
    if demand.verification == "judged" and eligible <= needed:
        found.append("too_few_judges")
    if demand.duration_ms < 2 * rules.bid_phase_ms + rules.work_phase_ms:
        found.append("duration_too_short")
    if demand.duration_ms > DURATION_MS_MAX:
        found.append("duration_too_long")
    packs = -(-demand.count // ITEMS_MAX)
    if state.stake.get(requester, "free") < escrow + packs * rules.operation_fee:
        found.append("insufficient_credits")
    if sum(1 for _ in state.tasks()) + demand.count > rules.tasks_open_max:
        found.append("too_many_tasks")
    return found

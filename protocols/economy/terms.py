"""What a task's terms come to under the rules of a network: times, escrow, bonds, refusals."""

from crdt.facts import TaskTerms, Verification
from identity.schema import U63_MAX
from protocols.economy.model import Refused, Task, compute_share
from protocols.genesis import MEMBERS_MAX, PPM, Parameters

DURATION_MS_MAX = 30 * 24 * 3_600_000
"""Longest life of a task, and longest time for its requester to answer."""
DRAWS_PER_ROUND = 2
"""Panels that may be drawn in one round: the first, and as many judges again."""
DEFAULT_TERMS = TaskTerms()


def compute_lease_ms(rules: Parameters, terms: TaskTerms) -> int:
    """How long an executor has, without its grace; a verifier of its result has as long."""
    return terms.lease_ms or rules.work_phase_ms


def compute_accept_ms(rules: Parameters, terms: TaskTerms) -> int:
    return terms.accept_ms or rules.accept_phase_ms


def compute_bonus(rules: Parameters, terms: TaskTerms, price: int) -> int:
    """The bonus of an excellent result for this price."""
    ppm = rules.bonus_ppm if terms.bonus_ppm is None else terms.bonus_ppm
    return compute_share(price, ppm)


def compute_draws_max(
    rules: Parameters, members: int, verification: Verification, terms: TaskTerms
) -> int:
    """Fees in escrow: one for each member that may verify, or for a panel in each round and one
    escalation."""
    match verification:
        case "exact":
            return members
        case "judged":
            return terms.panel * (rules.rounds_max + 1)
        case "accepted":
            return 0


def compute_escrow(
    rules: Parameters,
    members: int,
    budget: int,
    terms: TaskTerms = DEFAULT_TERMS,
    verification: Verification | None = None,
) -> int:
    """What a task puts into escrow: budget, bonus, and the fees of verifiers or judges. Without
    `verification` the most it can be by the terms."""
    fee = compute_share(budget, rules.verifier_fee_ppm)
    possible = {verification or terms.verification}
    if verification is None and terms.or_judged:
        possible.add("judged")
    draws = max(compute_draws_max(rules, members, mode, terms) for mode in sorted(possible))
    return budget + compute_bonus(rules, terms, budget) + fee * draws


def count_draws(rules: Parameters, members: int, task: Task) -> int:
    """Verifiers or judges that the escrow of a new task pays; where none is paid, the most that
    may be drawn."""
    fee = compute_share(task.budget, rules.verifier_fee_ppm)
    draws = compute_draws_max(rules, members, task.verification, task.terms)
    return draws if fee or task.verification != "exact" else MEMBERS_MAX


def compute_bond_min(rules: Parameters, terms: TaskTerms, budget: int) -> int:
    """The bond of whoever may work on a task.

    A result that is verified with probability p only must be a bad bet for a liar with all the
    agreements it may hold: p * bond > 2 * price * `awards_active_max`, the budget for the price.
    """
    if terms.audit_ppm == PPM:
        return rules.bond_min
    at_risk = 2 * budget * rules.awards_active_max * PPM // terms.audit_ppm + 1
    return min(max(rules.bond_min, at_risk), U63_MAX)


def check_terms(rules: Parameters, terms: TaskTerms, duration_ms: int) -> None:
    """Raises Refused for terms that contradict each other or the network's bounds."""
    lease_ms = compute_lease_ms(rules, terms)
    if duration_ms > DURATION_MS_MAX:
        raise Refused("duration_too_long")
    if terms.lease_ms > rules.lease_ms_max:
        raise Refused("lease_too_long")
    if terms.grace_ms > rules.lease_ms_max:
        raise Refused("grace_too_long")
    if duration_ms < 2 * rules.bid_phase_ms + lease_ms + terms.grace_ms:
        raise Refused("duration_too_short")
    if terms.heartbeat_ms and terms.heartbeat_ms < rules.heartbeat_ms_min:
        raise Refused("heartbeat_too_short")
    if terms.heartbeat_ms > lease_ms:
        raise Refused("heartbeat_too_long")
    if terms.accept_ms > DURATION_MS_MAX:
        raise Refused("answer_too_late")
    is_exact = terms.verification == "exact"
    if not is_exact and (terms.or_judged or terms.audit_ppm < PPM):
        raise Refused("terms_only_for_exact")

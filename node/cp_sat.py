"""CP-SAT's answer to which bundles win: a proposal, from a worker process alone.

OR-Tools is the extra `market`. It computes in 64 bits, and which of several best sets it finds
differs by machine, so nothing here is trusted: whoever uses a proposal checks that it may win and
compares it. The search ends by a count of its own steps, not by a clock.
"""

import importlib.util
from collections.abc import Sequence

from protocols.auction.combinatorial.bids import Problem, list_bits

DETERMINISTIC_TIME_MAX = 4.0
"""CP-SAT's measure of work; about as many seconds on a quiet machine."""
SUM_BITS_MAX = 62


def is_installed() -> bool:
    return importlib.util.find_spec("ortools") is not None


def propose(
    problem: Problem,
    values: Sequence[int],
    hint: Sequence[int],
    work: float = DETERMINISTIC_TIME_MAX,
) -> tuple[int, ...]:
    """Entries that may win together, ascending; `hint` at worst. Raises ImportError without the
    extra."""
    from ortools.sat.python import cp_model

    excess = max(0, sum(values).bit_length() - SUM_BITS_MAX)
    model = cp_model.CpModel()
    entries = [model.new_bool_var(str(j)) for j in range(len(values))]
    for mask in (*problem.holders, *problem.groups):
        members = list_bits(mask)
        if len(members) > 1:
            model.add_at_most_one(entries[j] for j in members)
    chosen = set(hint)
    for j, entry in enumerate(entries):
        model.add_hint(entry, j in chosen)
    weighed = zip(values, entries, strict=True)
    model.maximize(sum((value >> excess) * entry for value, entry in weighed))
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1
    solver.parameters.random_seed = 0
    solver.parameters.max_deterministic_time = work
    status = solver.solve(model)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return tuple(sorted(hint))
    found = tuple(j for j, entry in enumerate(entries) if solver.value(entry))
    return found if problem.is_feasible(found) else tuple(sorted(hint))

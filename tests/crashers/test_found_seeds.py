"""Seeds of the simulator that once broke an invariant; each names what it found.

A seed makes the same plan as long as `devnet/sim/plan.py` is the same: when that changes, the seed
stays a test like any other, and the unit test beside the fix keeps holding the bug itself.
"""

import pytest

from devnet.sim.run import run_seed

FOUND = {
    1230: "a head was certified that no ledger held after a common power loss: the log stopped",
    1600: "a member was blamed for passing on a proposal that its primary had announced otherwise",
    1786: "the same, and a new view put another batch at a certified position",
    1822: "an operation executed where the others' log had another one",
    1878: "an operation was never executed after a common power loss",
    3146: "a member never caught up with heads that nobody could hand on",
    3886: "an operation was never executed after a common power loss",
}


@pytest.mark.parametrize("seed", FOUND, ids=lambda seed: f"seed-{seed}")
def test_a_seed_that_found_a_bug_holds(seed: int) -> None:
    assert run_seed(seed, 4).violations == ()

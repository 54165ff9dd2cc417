"""The simulator itself: it is deterministic, its faults take place, and a few seeds hold."""

import os
import subprocess
import sys

from devnet.sim.run import run_seed

SEEDS = range(24)
SCRIPT = "from devnet.sim.run import run_seed; print(run_seed(3, 4).trace_hash)"


def test_a_few_seeds_hold_and_commit() -> None:
    results = [run_seed(seed, 4) for seed in SEEDS]
    assert [result.violations for result in results] == [()] * len(SEEDS)
    assert min(result.commits for result in results) >= 50
    assert sum(result.view_changes for result in results) > 0
    kinds = {kind for result in results for kind, count in result.faults.items() if count}
    assert {"loss", "cut", "corrupt", "duplicate", "equivocate", "mutate"} <= kinds


def test_committees_of_other_sizes_hold() -> None:
    for n in (1, 5, 7):
        assert run_seed(1, n).violations == ()


def test_a_seed_gives_one_trace_whatever_the_hash_seed() -> None:
    traces = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, check=True
        )
        traces.add(done.stdout)
    assert len(traces) == 1

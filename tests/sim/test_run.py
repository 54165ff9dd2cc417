"""Seeds hold every invariant; a failure is shrunk and can be replayed; the commands say so.

`make test` runs 60 seeds here and 940 Twins scenarios in test_twins.py, within 2 minutes on 2
cores; `make test-full` 1,541 seeds more and 20,000 scenarios, within an hour.
"""

import json

import pytest
from typer.testing import CliRunner

from devnet.sim.cli import app
from devnet.sim.defects.patch import applied
from devnet.sim.defects.search import DEFECTS
from devnet.sim.plan import COMMITS_MIN, make_plan
from devnet.sim.run import run_seeds, run_world, shrink


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("n", "count"), [(4, 40), (5, 6), (6, 5), (7, 5), (10, 2), (1, 2)])
def test_seeds_hold_every_invariant(n, count):
    done = []
    report = run_seeds(100, count, n, 2, done.append)
    assert [str(failure) for failure in report.failures] == []
    assert report.seeds == len(done) == count
    assert report.commits_min >= COMMITS_MIN
    assert report.faults > 0 or n == 1


@pytest.mark.full
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("n", "count"), [(4, 1_000), (5, 200), (6, 150), (7, 150), (10, 40), (31, 1)]
)
def test_many_seeds_hold_every_invariant(n, count):
    report = run_seeds(10_000, count, n, 2, lambda _: None)
    assert [str(failure) for failure in report.failures] == []


def test_a_failure_is_shrunk():
    """Here a plan fails that holds a cut and a liar, whatever else is in it."""

    def fails(plan):
        return bool(plan.byzantine) and any(fault.kind == "cut" for fault in plan.faults)

    plan = next(p for p in map(make_plan, range(500), [7] * 500) if fails(p) and len(p.faults) > 4)
    small = shrink(plan, is_failing=fails)
    assert ([f.kind for f in small.faults], len(small.byzantine)) == (["cut"], 1)
    assert (small.seed, small.n, small.link) == (plan.seed, plan.n, plan.link)


def test_shrinking_keeps_the_breach():
    defect = next(d for d in DEFECTS if d.name == "committed_too_early")
    with applied(defect):
        plan = shrink(make_plan(1, 4))
        assert run_world(plan).judge.violations
    assert plan.count_faults() == 0


def test_run_prints_one_document():
    done = CliRunner().invoke(app, ["run", "--seeds", "2", "--start", "3", "--json"])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["seeds"] == 2
    assert report["violations"] == 0
    assert {"sim_seconds_per_second", "trace_hash_all", "commits", "view_changes"} <= set(report)
    assert report["bound_p_95"] == 1.0  # 3/N, and two seeds say nothing


def test_a_failure_prints_its_seed_and_how_to_see_it_again():
    defect = next(d for d in DEFECTS if d.name == "committed_too_early")
    with applied(defect):
        done = CliRunner().invoke(app, ["run", "--seeds", "1"])
        assert done.exit_code == 1
        assert "econode sim replay 0 --nodes 4" in done.stdout
        again = CliRunner().invoke(app, ["replay", "0", "--nodes", "4"])
    assert again.exit_code == 1
    assert "VIOLATION S3" in again.stdout
    assert "pre_prepare(0, 1" in again.stdout


def test_two_processes_do_what_one_does():
    reports = [run_seeds(40, 4, 4, jobs, lambda _: None) for jobs in (1, 2)]
    assert reports[0].trace_hash_all == reports[1].trace_hash_all

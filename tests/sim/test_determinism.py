"""The same seed gives the same trace, whatever the process, the hash seed and the shortcuts."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from devnet.sim.cli import app
from devnet.sim.plan import Byzantine, Plan, make_plan
from devnet.sim.run import run_world

ROOT = Path(__file__).resolve().parents[2]
CODE = """
from devnet.sim.run import run_seed
from devnet.sim.twins import make_scenario, run_scenario
print(*[run_seed(seed, n).trace_hash for n in (4, 5) for seed in range(3)])
print(*[run_scenario(make_scenario(number)).trace_hash for number in range(5)])
"""


def run_process(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_two_processes_give_the_same_traces():
    first = run_process("1")
    assert first == run_process("4242")
    hashes = first.split()
    assert len(hashes) == len(set(hashes)) == 11


def test_the_command_compares_traces_across_processes():
    done = CliRunner().invoke(app, ["run", "--seeds", "3", "--check-determinism", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["same_traces"] == 3


@pytest.mark.full
@pytest.mark.timeout(3_600)
def test_a_thousand_seeds_give_the_same_traces():
    arguments = ["run", "--seeds", "1000", "--jobs", "2", "--check-determinism", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["same_traces"] == 1_000


@pytest.mark.parametrize("behaviour", [None, "mutate", "equivocate", "twins"])
def test_shortcuts_change_nothing(behaviour):
    """Every frame decoded and every statement verified anew, and with Ed25519 signatures. Without
    tasks: who wins a tie follows from the digests of batches, and those from signatures."""
    plan = msgspec.structs.replace(
        make_plan(3, 4, safety_ms=5_000),
        healed_ms=5_000,
        healed_ms_max=5_000,
        has_tasks=False,
        byzantine=(Byzantine(1, behaviour),) if behaviour else (),
    )
    quick = run_world(plan)
    exact = run_world(plan, shortcut="signatures")
    real = run_world(plan, shortcut="none")
    assert quick.judge.commits > 0
    assert quick.compute_trace_hash() == exact.compute_trace_hash()
    assert tell(quick) == tell(exact) == tell(real)


def tell(world):
    """What happened, but for digests: those of operations cover their signatures."""
    entries = [
        (e.position, e.time_ms, [(o.signer, o.nonce) for o in e.operations])
        for e in world.judge.entries
    ]
    return entries, world.now_ms, world.count_all_faults()


def test_a_plan_survives_json():
    plan = make_plan(7, 7)
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan

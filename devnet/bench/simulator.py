"""How fast the simulator simulates: seconds of a committee of four for one of processor time."""

import time
from collections.abc import Callable

import msgspec

from devnet.bench.report import Recorder, Report
from devnet.sim.plan import Plan, make_plan
from devnet.sim.run import run_world

NODES = 4


def measure_simulator(seeds: int, repetitions: int, tell: Callable[[str], None]) -> Report:
    """Worlds of the first `seeds` seeds, in this thread: as the plans are, and with one operation a
    second as their whole load, faults and liars left as they are."""
    recorder = Recorder("simulator", {"nodes": NODES, "seeds": seeds})
    plans = [make_plan(seed, NODES) for seed in range(seeds)]
    for name, worlds in (("drawn", plans), ("single", list(map(_thin_out, plans)))):
        speeds, commits = [], []
        for number in range(repetitions):
            tell(f"{name}, {number + 1} of {repetitions}")
            speed, ordered = _run(worlds)
            speeds.append(speed)
            commits.append(ordered)
        recorder.add(f"{name}_speed", "simulated s/s CPU", speeds)
        recorder.add(f"{name}_commits", "batches/simulated s", commits)
    return recorder.finish()


def _thin_out(plan: Plan) -> Plan:
    """One client that submits one operation each second, and nothing else to order."""
    return msgspec.structs.replace(
        plan, has_tasks=False, clients=1, operations_at_once=1, pipelines=False
    )


def _run(plans: list[Plan]) -> tuple[float, float]:
    """Simulated seconds for one of CPU, and batches for one of them."""
    began = time.thread_time()
    simulated_ms = batches = 0
    for plan in plans:
        world = run_world(plan)
        if world.judge.violations:
            raise AssertionError(f"seed {plan.seed}: {world.judge.violations[0]}")
        simulated_ms += world.now_ms
        batches += max(member.core.executed for member in world.members)
    spent = time.thread_time() - began
    return simulated_ms / 1000 / spent, batches / (simulated_ms / 1000)

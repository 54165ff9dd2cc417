"""Each kind of fault really takes place, and the committee survives it."""

import pytest

from devnet.sim.plan import BEHAVIOURS, POWER_LOSSES, Byzantine, Fault, Link, Plan
from devnet.sim.run import run_world


def run(**parts):
    plan = Plan(seed=5, n=4, safety_ms=14_000, healed_ms=8_000, commits_min=5, **parts)
    world = run_world(plan)
    assert world.judge.violations == []
    return world.count_all_faults()


@pytest.mark.parametrize("how", POWER_LOSSES)
def test_power_loss(how):
    fault = Fault(kind="power_loss", at_ms=2_000, until_ms=6_000, nodes=(0,), detail=how)
    counts = run(faults=(fault,))
    assert counts[f"power_loss_{how}"] == counts["restart"] == 1


def test_everybody_loses_power_at_once():
    nodes = (0, 1, 2, 3)
    fault = Fault(kind="power_loss", at_ms=2_000, until_ms=3_000, nodes=nodes, detail="idle")
    assert run(faults=(fault,))["power_loss_idle"] == 4


@pytest.mark.parametrize(
    ("kind", "nodes", "value", "counted"),
    [
        ("cut", (0, 1), 0, "cut"),
        ("partition", (0,), 0, "cut"),
        ("pause", (0,), 0, "pause"),
        ("clock_jump", (2,), 3_600_000, "clock_jump"),
        ("clock_jump", (0,), -3_600_000, "clock_jump"),
        ("disk_full", (1,), 0, "disk_full_stop"),
        ("loss_burst", (), 300_000, "loss"),
        ("corrupt_burst", (), 300_000, "corrupt"),
        ("delay_burst", (), 300_000, "delay_burst"),
    ],
)
def test_a_fault_for_some_time(kind, nodes, value, counted):
    fault = Fault(kind=kind, at_ms=2_000, until_ms=9_000, nodes=nodes, value=value)
    assert run(faults=(fault,))[counted] > 0


def test_a_rough_network():
    link = Link(loss_ppm=50_000, duplicate_ppm=50_000, reorder_ppm=300_000, corrupt_ppm=20_000)
    counts = run(link=link)
    assert min(counts[kind] for kind in ("loss", "duplicate", "reorder", "corrupt")) > 0


@pytest.mark.parametrize("node", [0, 2], ids=["primary", "backup"])
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_a_byzantine_member(behaviour, node):
    counts = run(byzantine=(Byzantine(node, behaviour),), clients=2)
    assert counts[behaviour] > 0 or (behaviour == "censor" and node == 2)


def test_an_equivocating_primary_is_seen():
    assert run(byzantine=(Byzantine(0, "equivocate"),))["evidence"] > 0


def test_tasks_are_settled_under_faults():
    plan = Plan(seed=3, n=4, safety_ms=30_000, has_tasks=True, byzantine=(Byzantine(3, "slow"),))
    world = run_world(plan)
    assert world.judge.violations == []
    kinds = {type(fact).__name__ for entry in world.judge.entries for fact in entry.facts}
    assert {"TaskOpened", "Awarded", "Accepted", "Settled"} <= kinds

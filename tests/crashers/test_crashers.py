"""Plans of worlds, and Twins scenarios, that broke an invariant once: they hold now.

`what` says what was found. Where a file names a seeded defect that puts the mistake back, the plan
must fail with it again, so it still bites.
"""

from pathlib import Path

import msgspec
import pytest

from devnet.sim.defects.patch import applied
from devnet.sim.defects.search import DEFECTS
from devnet.sim.plan import Plan
from devnet.sim.run import run_world
from devnet.sim.twins import load_scenarios, run_scenario

FILES = sorted(Path(__file__).parent.glob("*.json"))
TWINS = sorted(Path(__file__).parent.glob("twins/*.json"))


class Crasher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    what: str
    defect: str | None
    breach: str | None
    plan: Plan


def read(path):
    return msgspec.json.decode(path.read_bytes(), type=Crasher)


BITING = [path for path in FILES if read(path).defect is not None]

BITING_TWINS = {"batch_passed_on_under_another_new_view": "blames_whoever_passes_on"}
"""Scenario files and the seeded defect that each fails with."""


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_holds_now(path):
    assert run_world(read(path).plan).judge.violations == []


@pytest.mark.parametrize("path", BITING, ids=lambda path: path.stem)
def test_it_fails_with_its_defect(path):
    crasher = read(path)
    with applied(next(d for d in DEFECTS if d.name == crasher.defect)):
        violations = run_world(crasher.plan).judge.violations
    assert crasher.breach in {violation.invariant for violation in violations}


@pytest.mark.parametrize("path", TWINS, ids=lambda path: path.stem)
def test_a_twins_scenario_holds_now(path):
    for scenario in load_scenarios(path.read_bytes()):
        assert run_scenario(scenario).violations == ()


@pytest.mark.parametrize(("name", "defect"), BITING_TWINS.items())
def test_a_twins_scenario_fails_with_its_defect(name, defect):
    (path,) = [path for path in TWINS if path.stem == name]
    with applied(next(d for d in DEFECTS if d.name == defect)):
        results = [run_scenario(scenario) for scenario in load_scenarios(path.read_bytes())]
    assert any(result.violations for result in results)

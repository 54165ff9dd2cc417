"""Plans of worlds that broke an invariant once: they hold now, and still bite.

Each file names the seeded defect that puts the mistake back: with it the plan must fail again.
"""

from pathlib import Path

import msgspec
import pytest

from devnet.sim.defects.patch import applied
from devnet.sim.defects.search import DEFECTS
from devnet.sim.plan import Plan
from devnet.sim.run import run_world

FILES = sorted(Path(__file__).parent.glob("*.json"))


class Crasher(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    defect: str
    breach: str
    plan: Plan


def read(path):
    return msgspec.json.decode(path.read_bytes(), type=Crasher)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_holds_now(path):
    assert run_world(read(path).plan).judge.violations == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_fails_with_its_defect(path):
    crasher = read(path)
    with applied(next(d for d in DEFECTS if d.name == crasher.defect)):
        violations = run_world(crasher.plan).judge.violations
    assert crasher.breach in {violation.invariant for violation in violations}

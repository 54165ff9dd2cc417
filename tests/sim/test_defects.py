"""The tests of the tests: every seeded defect fits the core as it is, and is found."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from devnet.sim.cli import app
from devnet.sim.defects.patch import Defect, DefectDoesNotFit, Edit, applied, find_function
from devnet.sim.defects.search import DEFECTS, search

QUICK = (
    *("quorum_too_small", "quorum_literal_2f_1", "votes_without_digest", "duplicate_votes"),
    *("committed_too_early", "no_watermarks", "certificate_without_quorum", "forgets_stable_row"),
)


def test_there_are_enough():
    names = [defect.name for defect in DEFECTS]
    assert len(names) == len(set(names)) >= 30


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_a_defect_fits_and_leaves_no_trace(defect):
    functions = [find_function(edit.target) for edit in defect.edits]
    before = [function.__code__ for function in functions]
    with applied(defect):
        assert all(f.__code__ is not code for f, code in zip(functions, before, strict=True))
    assert [function.__code__ for function in functions] == before


def test_a_defect_that_does_not_fit_is_an_error():
    edit = Edit("protocols.committee:compute_quorum", "no such line", "")
    with pytest.raises(DefectDoesNotFit, match="no such line"), applied(Defect("x", "", (edit,))):
        pass


@pytest.mark.parametrize("name", QUICK)
def test_a_defect_is_found(name):
    defect = next(d for d in DEFECTS if d.name == name)
    assert search(defect, range(20)).first_seed is not None


def test_the_command_names_the_first_seed():
    done = CliRunner().invoke(app, ["defects", "quorum_too_small", "--json"])
    assert done.exit_code == 0, done.output
    (found,) = json.loads(done.stdout)["defects"]
    assert (found["name"], found["first_seed"]) == ("quorum_too_small", 0)


def test_an_unknown_defect_is_refused():
    assert CliRunner().invoke(app, ["defects", "no_such"]).exit_code == 2


def read_seeds():
    lines = (Path(__file__).parent / "defect_seeds.txt").read_text().splitlines()
    return {name: int(seed) for name, seed in (line.split() for line in lines if line[0] != "#")}


def test_a_seed_is_known_of_every_defect_that_is_not_equivalent():
    seeds = read_seeds()
    assert set(seeds) == {defect.name for defect in DEFECTS if not defect.equivalent_because}
    assert max(seeds.values()) < 10_000


@pytest.mark.full
@pytest.mark.parametrize("name", read_seeds())
def test_every_defect_is_found(name):
    """If its seed has lost its bite: `econode sim defects NAME` finds another one."""
    defect = next(d for d in DEFECTS if d.name == name)
    seed = read_seeds()[name]
    assert search(defect, range(seed, seed + 1)).first_seed == seed

"""The tests of the tests: every seeded defect fits the core as it is, and is found."""

import json

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


@pytest.mark.full
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(
    "defect", [d for d in DEFECTS if not d.equivalent_because], ids=lambda defect: defect.name
)
def test_every_defect_is_found(defect):
    assert search(defect, range(10_000)).first_seed is not None

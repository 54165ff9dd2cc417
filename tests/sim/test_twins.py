"""Twins: scenarios are files, at most f members have twins, and every scenario ends well."""

import json

import pytest
from typer.testing import CliRunner

from devnet.sim.cli import app
from devnet.sim.memo import shortcuts
from devnet.sim.twins import (
    InvalidScenario,
    Round,
    Scenario,
    TwinsWorld,
    dump_scenarios,
    load_scenarios,
    make_scenario,
    run_scenario,
    run_scenarios,
)


@pytest.mark.timeout(300)
def test_scenarios_commit_and_break_nothing():
    done = []
    report = run_scenarios((make_scenario(n) for n in range(940)), 2, done.append)
    assert [result.violations for result in report.failures] == []
    assert report.scenarios == len(done) == 940
    assert report.bound_p_95 == pytest.approx(3 / 940, rel=0.01)
    assert report.commits_min >= 1
    assert report.view_changes > 0


@pytest.mark.full
@pytest.mark.timeout(7_200)
def test_many_scenarios_commit_and_break_nothing():
    scenarios = (make_scenario(n) for n in range(100_000, 120_000))
    report = run_scenarios(scenarios, 2, lambda _: None)
    assert [result.violations for result in report.failures] == []
    assert report.scenarios == 20_000


def test_a_twin_leads_two_sides_to_nothing():
    """Both processes of the leader's key propose; neither side has a quorum."""
    groups = (("0", "1"), ("0'", "2", "3"))
    scenario = Scenario(seed=1, n=4, twins=(0,), rounds=(Round(0, groups),) * 2)
    result = run_scenario(scenario)
    assert result.violations == ()
    assert result.commits > 0


def test_leaders_and_groups_are_the_scenarios():
    groups = (("0", "1"), ("2", "3"))
    scenario = Scenario(seed=1, n=4, twins=(), rounds=(Round(2, groups), Round(1, ())))
    with shortcuts() as memory:
        world = TwinsWorld(scenario, memory)
        committee, members = world.committee, world.members
        leaders = [committee.members.index(committee.get_primary(view)) for view in range(4)]
        assert leaders == [2, 1, 2, 3]
        assert world.are_linked(members[0], members[1])
        assert not world.are_linked(members[1], members[2])


def test_files_are_read_back():
    scenarios = tuple(make_scenario(number) for number in range(20))
    assert load_scenarios(dump_scenarios(scenarios)) == scenarios


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"{", "truncated"),
        (b'{"format": 2, "scenarios": []}', "format"),
        (b'{"scenarios": [{"seed": 1, "n": 4, "twins": [0, 1], "rounds": []}]}', "at most 1"),
        (b'{"scenarios": [{"seed": 1, "n": 4, "twins": [4], "rounds": []}]}', "member 4 of 4"),
        (
            b'{"scenarios": [{"seed": 1, "n": 4, "twins": [], "rounds": [[0, []]]}]}',
            "Expected `object`",
        ),
    ],
)
def test_a_bad_file_is_refused(text, reason):
    with pytest.raises(InvalidScenario, match=reason):
        load_scenarios(text)


def test_the_command_writes_and_reads(tmp_path):
    path = tmp_path / "twins.json"
    first = CliRunner().invoke(app, ["twins", "--scenarios", "3", "--write", str(path), "--json"])
    again = CliRunner().invoke(app, ["twins", "--read", str(path), "--json"])
    assert first.exit_code == again.exit_code == 0, again.output
    assert json.loads(first.stdout) == json.loads(again.stdout)
    assert {"scenarios", "violations", "commits_min"} <= set(json.loads(first.stdout))

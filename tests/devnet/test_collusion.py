"""The experiment on collusion: its baselines, its attacks, and that it can be run again."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from crdt.facts import Settled
from crdt.reputation import PPM, ReputationView
from devnet.experiments import collusion
from devnet.experiments.attacks import (
    BOND_UNIT,
    SLOTS,
    TASKS,
    Scenario,
    TooLong,
    Town,
    get_control,
    list_scenarios,
)
from devnet.experiments.baselines import Rating, average, compute_local_trust, eigentrust
from devnet.experiments.collusion import Run, run_scenario, spread, summarize
from devnet.experiments.schemes import History, count_wins

A, B, C = b"a", b"b", b"c"
HONEST = 20
"""One for each capability, so that an auction has three bids."""
EPOCHS = 2
BY_NAME = {scenario.name: scenario for scenario in list_scenarios()}


def rate(rater: bytes, subject: bytes, value: float, times: int = 1) -> list[Rating]:
    return [Rating(rater, subject, value)] * times


def test_the_average_is_the_mean_whoever_rates() -> None:
    ratings = [*rate(A, C, 1.0), *rate(B, C, 0.5), *rate(B, A, 0.0)]
    assert average(ratings) == {C: 0.75, A: 0.0}


def test_local_trust_is_satisfied_less_unsatisfied() -> None:
    ratings = [
        *(*rate(A, B, 1.0, 4), *rate(A, B, 0.0)),  # 3
        *(*rate(A, C, 0.5, 1), *rate(B, C, 0.0, 2), *rate(C, C, 1.0, 9)),  # 1, below 0, itself
    ]
    assert compute_local_trust(ratings) == {A: {B: 0.75, C: 0.25}}


def test_eigentrust_of_three_peers_by_hand() -> None:
    """C = [[0, 1/2, 1/2], [1, 0, 0], [1, 0, 0]], p = (1, 0, 0), a = 1/10.

    By symmetry b = c, and b = 9/10 * a/2, so a + 2 * 9/20 * a = 1: a = 10/19, b = c = 9/38.
    """
    ratings = [*rate(A, B, 1.0), *rate(A, C, 1.0), *rate(B, A, 1.0), *rate(C, A, 1.0)]
    values = eigentrust(ratings, [A, B, C], [A], 0.1)
    assert values == pytest.approx({A: 10 / 19, B: 9 / 38, C: 9 / 38}, abs=1e-5)


def test_eigentrust_leaves_a_ring_out_that_nobody_trusts() -> None:
    ratings = [*rate(B, C, 1.0, 50), *rate(C, B, 1.0, 50)]
    assert eigentrust(ratings, [A, B, C], [A]) == pytest.approx({A: 1.0, B: 0.0, C: 0.0})


def test_a_spread_is_by_rank() -> None:
    found = spread([float(value) for value in range(101)])
    assert (found.low, found.median, found.high) == (5, 50, 95)


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    """Every scenario once, with few honest agents."""
    return {name: run_scenario(each, 7, EPOCHS, HONEST) for name, each in BY_NAME.items()}


def test_a_run_follows_from_its_seed(runs: dict[str, Run]) -> None:
    scenario = BY_NAME["ring-40"]
    assert run_scenario(scenario, 7, EPOCHS, HONEST) == runs["ring-40"]
    assert run_scenario(scenario, 8, EPOCHS, HONEST) != runs["ring-40"]


def test_agents_that_rate_each_other_gain_what_their_bonds_say(runs: dict[str, Run]) -> None:
    """One plain agreement each in an epoch: their bonds cover it, so the bound changes nothing."""
    ring, control = runs["ring-40"], runs["control-40"]
    assert ring.sybils["product"][-1] - control.sybils["product"][-1] > 0.3 * PPM
    assert ring.bonded == control.bonded == SLOTS * BOND_UNIT
    assert ring.spent > 0 == control.spent


def test_a_rater_without_a_bond_moves_no_score(runs: dict[str, Run]) -> None:
    wash, control = runs["wash-0"], runs["control-40"]
    assert wash.sybils["product"][-1] < control.sybils["product"][-1] + 0.01 * PPM
    assert wash.sybils["unweighted"][-1] > control.sybils["unweighted"][-1] + 0.3 * PPM
    assert wash.sybils["average"][-1] > control.sybils["average"][-1]
    slander = runs["slander-0"]
    lost = {s: runs["control-40"].honest[s][-1] - slander.honest[s][-1] for s in slander.honest}
    assert lost["product"] < 0.05 * PPM < 0.1 * PPM < min(lost["unweighted"], lost["average"])


def test_a_larger_bond_buys_more(runs: dict[str, Run]) -> None:
    gains = [runs[f"wash-{bond}"].sybils["product"][-1] for bond in (0, 10, 40)]
    assert gains == sorted(set(gains))
    honest = [runs[f"slander-{bond}"].honest["product"][-1] for bond in (0, 10, 40)]
    assert honest == sorted(set(honest), reverse=True)


def test_a_whitewasher_bonds_more(runs: dict[str, Run]) -> None:
    white, control = runs["whitewash"], runs["control-careless"]
    assert white.bonded > control.bonded


def test_a_new_name_gains_by_its_next_good_work_alone() -> None:
    """With one poor and then one excellent agreement the old name has
    10^6 * 10^6 // (10^6 + 255 * 10^6 // 256 + 10^6), a fresh one a half. Before, both have 0."""
    old, fresh = ReputationView(), ReputationView()
    told = {"task": bytes(32), "round": 1, "executor": B, "price": 1, "rater": C}
    old.apply(Settled(grade="poor", allowance=PPM, **told))
    old.apply(old.compute_snapshot())
    assert old.score_ppm(B) == fresh.score_ppm(B) == 0
    for view in (old, fresh):
        view.apply(Settled(grade="excellent", allowance=PPM, **told))
        view.apply(view.compute_snapshot())
    assert old.score_ppm(B) == PPM * PPM // (2 * PPM + 255 * PPM // 256) == 333_768
    assert fresh.score_ppm(B) == PPM // 2


def test_snapshots_without_a_distance_are_bought(runs: dict[str, Run]) -> None:
    assert runs["slander-0"].snapshots == EPOCHS < runs["hasty-slander-0"].snapshots


def test_the_masses_of_a_wash_are_its_allowance() -> None:
    """Ten bonds for 40 agreements: a quarter of each counts, whichever agent won it."""
    town = Town(replace(BY_NAME["wash-10"], failures=0.0), 3, honest=HONEST)
    washed = town.attack()
    town.end_epoch(washed)
    rated = [fact for fact in washed.facts if isinstance(fact, Settled)]
    assert len(rated) == SLOTS
    assert {fact.allowance for fact in rated} == {10 * PPM}
    goods = {score.agent: score.good for score in town.reputation.scores()}
    assert sum(goods.get(key, 0) for key in town.sybils) == 10 * PPM
    assert {good % (PPM // 4) for key, good in goods.items() if key in town.sybils} == {0}
    assert town.population.state.stake.is_conserved()


def test_wins_are_the_committees_own() -> None:
    """With the scores that ordered code reads the recomputed auctions have the real winners."""
    town = Town(BY_NAME["ring-40"], 5, honest=HONEST)
    for _ in range(2):
        history = History()
        history.add(town.population.facts, ())
        scores = {score.agent: score.score_ppm for score in town.reputation.scores()}
        worked = town.work()
        mine = sum(winner in town.attackers for winner in worked.winners)
        assert count_wins(worked.auctions, scores, town.attackers) == (mine, len(worked.winners))
        assert len(worked.winners) >= TASKS
        town.attack()
        town.end_epoch(worked)


def test_a_whitewasher_runs_out_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devnet.experiments.attacks.REPLACED_MAX", 0)
    town = Town(Scenario("whitewash", "whitewash", failures=1.0), 1, honest=HONEST)
    worked = town.work()
    while not any(winner in town.attackers for winner in worked.winners):
        worked = town.work()
    with pytest.raises(TooLong):
        town.end_epoch(worked)


def test_results_compare_with_the_control_of_the_same_seed(runs: dict[str, Run]) -> None:
    results = {(each.scenario, each.scheme): each for each in summarize(list(runs.values()))}
    assert {name for name, _ in results} == set(BY_NAME)
    for scenario in BY_NAME.values():
        found = results[scenario.name, "product"]
        control = runs[get_control(scenario)].sybils["product"][-1]
        gained = runs[scenario.name].sybils["product"][-1] - control
        assert found.gained.median == pytest.approx(gained, rel=1e-4)
        each = SLOTS * gained / runs[scenario.name].bonded
        assert found.gained_per_bonded.median == pytest.approx(each, rel=1e-4, abs=1e-6)


def test_the_plot_is_the_same_each_time(
    tmp_path: Path, runs: dict[str, Run], capsys: pytest.CaptureFixture[str]
) -> None:
    done = msgspec.json.encode({"runs": list(runs.values())})
    (tmp_path / "runs.json").write_bytes(done)
    for name in ("one.svg", "two.svg"):
        collusion.main(
            ["--load", str(tmp_path / "runs.json"), "--json", "--plot", str(tmp_path / name)]
        )
    out = json.loads(capsys.readouterr().out.split("\n}\n")[0] + "\n}")
    assert len(out["runs"]) == len(BY_NAME)
    svg = (tmp_path / "one.svg").read_bytes()
    assert svg == (tmp_path / "two.svg").read_bytes()
    assert b"Auctions won more" in svg
    with pytest.raises(SystemExit):
        collusion.main(["--scenario", "nonsense"])

"""How much reputation sybils gain, and what it costs: `python -m devnet.experiments.collusion`.

Every scenario of `attacks.py` runs with every seed through the product's economy; each scheme of
`schemes.py` scores the same history. What an attack gains is the difference to the control of the
same seed. docs/collusion.md tells what was found.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median

import msgspec

from devnet.experiments.attacks import HONEST, SLOTS, Scenario, Town, get_control, list_scenarios
from devnet.experiments.population import count_spent
from devnet.experiments.schemes import SCHEMES, History, Scores, count_wins

EPOCHS = 12
SEEDS = 30
STRIDE = 2
"""Epochs between two looks at the scores."""


class Run(msgspec.Struct, frozen=True):
    """One scenario with one seed. Scores are means in ppm at the end of every STRIDEth epoch."""

    scenario: str
    seed: int
    bonded: int
    spent: int
    """Credits that the attack cost: fees, and what others were paid."""
    snapshots: int
    sybils: dict[str, list[float]]
    """Of the attacker's agents, one for each slot, by scheme."""
    honest: dict[str, list[float]]
    wins: dict[str, float]
    """The attacker's share of honest auctions in the second half, by scheme."""


class Spread(msgspec.Struct, frozen=True):
    """A figure over the seeds."""

    median: float
    low: float
    """Of all seeds 5 % are below, and 5 % are above `high`."""
    high: float


class Result(msgspec.Struct, frozen=True):
    """What one attack does under one scheme, against its control. Scores are in ppm."""

    scenario: str
    scheme: str
    bonded: int
    rater_bond: int
    spent: Spread
    snapshots: Spread
    sybils: Spread
    gained: Spread
    """By the mean agent of the attacker."""
    gained_per_bonded: Spread
    """By all of its agents together, for each credit that it bonded."""
    gained_per_spent: Spread | None
    honest: Spread
    honest_lost: Spread
    wins: Spread
    wins_gained: Spread


def run_scenario(scenario: Scenario, seed: int, epochs: int = EPOCHS, honest: int = HONEST) -> Run:
    """Play a scenario from the genesis on."""
    town, history = Town(scenario, seed, honest=honest), History()
    history.add(town.population.facts, ())
    sybils: dict[str, list[float]] = {scheme: [] for scheme in SCHEMES}
    others: dict[str, list[float]] = {scheme: [] for scheme in SCHEMES}
    won, sold, spent = dict.fromkeys(SCHEMES, 0), dict.fromkeys(SCHEMES, 0), 0
    scores: Mapping[str, Scores] = {scheme: {} for scheme in SCHEMES}
    for epoch in range(epochs):
        worked = town.work()
        if 2 * epoch >= epochs:
            for scheme in SCHEMES:
                counts = count_wins(worked.auctions, scores[scheme], town.attackers)
                won[scheme] += counts[0]
                sold[scheme] += counts[1]
        attacked = town.attack()
        spent += count_spent(attacked.facts, town.attackers)
        for phase in (worked, attacked):
            history.add(phase.facts, phase.ratings)
        history.add(town.end_epoch(worked), ())
        if epoch % STRIDE == STRIDE - 1:
            scores = history.compute_scores(town)
            for scheme in SCHEMES:
                sybils[scheme].append(fmean(scores[scheme].get(key, 0) for key in town.slots))
                others[scheme].append(fmean(scores[scheme].get(key, 0) for key in town.honest))
    return Run(
        scenario=scenario.name,
        seed=seed,
        bonded=town.bonded,
        spent=spent,
        snapshots=town.reputation.number,
        sybils=sybils,
        honest=others,
        wins={scheme: won[scheme] / max(1, sold[scheme]) for scheme in SCHEMES},
    )


def summarize(runs: Sequence[Run]) -> list[Result]:
    """Each scenario under each scheme, beside the control of the same seed."""
    found = {(run.scenario, run.seed): run for run in runs}
    results = []
    for scenario in list_scenarios():
        mine = [run for run in runs if run.scenario == scenario.name]
        pairs = [(run, found[get_control(scenario), run.seed]) for run in mine]
        if pairs:
            results += [_compare(scenario, scheme, pairs) for scheme in SCHEMES]
    return results


def _compare(scenario: Scenario, scheme: str, pairs: Sequence[tuple[Run, Run]]) -> Result:
    def over(measure: Callable[[Run, Run], float]) -> Spread:
        return spread([measure(run, control) for run, control in pairs])

    def gain(run: Run, control: Run) -> float:
        return run.sybils[scheme][-1] - control.sybils[scheme][-1]

    is_paid = all(run.spent > 0 for run, _ in pairs)
    return Result(
        scenario=scenario.name,
        scheme=scheme,
        bonded=round(median(run.bonded for run, _ in pairs)),
        rater_bond=scenario.rater_bond,
        spent=over(lambda run, _: run.spent),
        snapshots=over(lambda run, _: run.snapshots),
        sybils=over(lambda run, _: run.sybils[scheme][-1]),
        gained=over(gain),
        gained_per_bonded=over(lambda run, c: SLOTS * gain(run, c) / run.bonded),
        gained_per_spent=(
            over(lambda run, c: SLOTS * gain(run, c) / run.spent) if is_paid else None
        ),
        honest=over(lambda run, _: run.honest[scheme][-1]),
        honest_lost=over(lambda run, c: c.honest[scheme][-1] - run.honest[scheme][-1]),
        wins=over(lambda run, _: run.wins[scheme]),
        wins_gained=over(lambda run, c: run.wins[scheme] - c.wins[scheme]),
    )


def spread(values: Sequence[float]) -> Spread:
    """Median and the 5th and 95th percentile (nearest rank) of some values."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return Spread(
        median=_round(median(ordered)),
        low=_round(ordered[round(0.05 * last)]),
        high=_round(ordered[round(0.95 * last)]),
    )


def _round(value: float) -> float:
    return float(f"{value:.6g}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, print a table or JSON, and draw."""
    parser = argparse.ArgumentParser(
        prog="python -m devnet.experiments.collusion",
        description="What sybils gain in reputation by rating each other, and what it costs them.",
    )
    parser.add_argument("--seeds", type=int, default=SEEDS, help="runs of each scenario [30]")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="of each run [12]")
    parser.add_argument("--first-seed", type=int, default=1, help="the first seed [1]")
    parser.add_argument("--scenario", action="append", help="this one and its control; repeatable")
    parser.add_argument("--json", action="store_true", help="print runs and results as JSON")
    parser.add_argument(
        "--load", type=Path, nargs="+", help="runs of former --json files instead of new ones"
    )
    parser.add_argument("--plot", type=Path, help="draw this SVG (needs `make setup-dev`)")
    given = parser.parse_args(arguments)
    if given.seeds < 1 or given.epochs < STRIDE:
        parser.error(f"at least 1 seed and {STRIDE} epochs")
    if given.load:
        runs = [run for path in given.load for run in _load(path)]
    else:
        seeds = range(given.first_seed, given.first_seed + given.seeds)
        runs = _run_all(_choose(given.scenario, parser), seeds, given.epochs)
    results = summarize(runs)
    if given.plot:
        from devnet.experiments.plot import draw_results

        draw_results(runs, results, given.plot)
    if given.json:
        text = msgspec.json.encode({"runs": runs, "results": results})
        print(msgspec.json.format(text, indent=1).decode())
    else:
        print("\n".join(render(results)))


def _choose(names: Sequence[str] | None, parser: argparse.ArgumentParser) -> tuple[Scenario, ...]:
    scenarios = list_scenarios()
    if names is None:
        return scenarios
    known = {scenario.name: scenario for scenario in scenarios}
    if unknown := sorted(set(names) - known.keys()):
        parser.error(f"no scenario {unknown[0]!r}; there are {', '.join(known)}")
    wanted = {*names, *(get_control(known[name]) for name in names)}
    return tuple(scenario for scenario in scenarios if scenario.name in wanted)


def _load(path: Path) -> list[Run]:
    return msgspec.convert(json.loads(path.read_text(encoding="utf-8"))["runs"], list[Run])


def _run_all(scenarios: Sequence[Scenario], seeds: range, epochs: int) -> list[Run]:
    runs = []
    for seed in seeds:
        print(f"... seed {seed} of {seeds[0]} to {seeds[-1]}", file=sys.stderr)
        runs += [run_scenario(scenario, seed, epochs) for scenario in scenarios]
    return runs


def render(results: Sequence[Result]) -> list[str]:
    """A row for each scenario and scheme: medians, with 5 % and 95 % where it matters."""
    titles = f"{'scenario':17}{'scheme':11}{'bonded':>8}{'spent':>7}{'snaps':>6}{'agents':>8}"
    titles += f"{'gained (5 % to 95 %)':>28}{'per bonded':>11}{'honest lost':>12}"
    lines = [titles + f"{'wins':>7}{'won more':>9}"]
    for each in results:
        gained = f"{_points(each.gained.median)} ({_points(each.gained.low)} to "
        gained += f"{_points(each.gained.high)})"
        lines.append(
            f"{each.scenario:17}{each.scheme:11}{each.bonded:8}{each.spent.median:7.0f}"
            f"{each.snapshots.median:6.0f}{_points(each.sybils.median):>8}{gained:>28}"
            f"{each.gained_per_bonded.median:11.1f}{_points(each.honest_lost.median):>12}"
            f"{each.wins.median:7.1%}{each.wins_gained.median:9.1%}"
        )
    return lines


def _points(ppm: float) -> str:
    return f"{ppm / 1e6:.3f}"


if __name__ == "__main__":
    main()

"""econode sim: the product's own code in a simulated world, by the thousand seeds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from devnet.sim.market.command import market
from node.commands.common import JsonOption, make_app, render_pairs, render_table, show

if TYPE_CHECKING:  # these take long to import, and `econode --help` needs none of them
    from devnet.sim.defects.search import DefectReport
    from devnet.sim.plan import Plan
    from devnet.sim.run import RunReport, SeedResult
    from devnet.sim.twins import TwinsReport

app = make_app("Simulate committees with faults.")

NodesOption = Annotated[
    int, typer.Option("--nodes", min=1, max=31, metavar="N", help="Members of the committee.")
]
JobsOption = Annotated[int, typer.Option(min=1, max=64, help="Processes.")]


@app.command("run")
def run(
    seeds: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many.")] = 100,
    start: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    nodes: NodesOption = 4,
    jobs: JobsOption = 1,
    check_determinism: Annotated[
        bool,
        typer.Option(
            "--check-determinism", help="Run all again, with other hashes: the traces are the same."
        ),
    ] = False,
    json: JsonOption = False,
) -> None:
    """Run seeds: a safety phase with faults, a healed phase, every invariant after each step.

    Ends with 1 if a seed breaks an invariant; the seed is shrunk, and the command that shows it
    again is printed.

    \b
    Example:
      econode sim run --seeds 1000 --nodes 7 --jobs 2
    """
    import msgspec

    from devnet.sim.determinism import hash_again
    from devnet.sim.run import run_seeds

    hashes: list[str] = []
    with open_progress("seeds", seeds, json) as advance:

        def on_done(result: "SeedResult") -> None:
            hashes.append(result.trace_hash)
            advance(result)

        report = run_seeds(start, seeds, nodes, jobs, on_done)
    if check_determinism:
        again = hash_again(start, seeds, nodes, jobs)
        same = sum(one == other for one, other in zip(hashes, again, strict=True))
        report = msgspec.structs.replace(report, same_traces=same)
    show(report, json, lambda: _render_run(report))
    differs = check_determinism and report.same_traces != seeds
    raise typer.Exit(1 if report.violations or differs else 0)


@app.command("replay")
def replay(
    seed: Annotated[int, typer.Argument(min=0, help="The seed.")],
    nodes: NodesOption = 4,
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Leave out the faults that the breach does not need.")
    ] = False,
    lines: Annotated[int, typer.Option(min=0, help="Lines of the trace's end; 0 is all.")] = 0,
    json: JsonOption = False,
) -> None:
    """Run one seed again and print everything that happened in it.

    \b
    Example:
      econode sim replay 4711 --nodes 4 --lines 100
    """
    import msgspec

    from devnet.sim import run as runner
    from devnet.sim.plan import make_plan

    plan = make_plan(seed, nodes)
    if shrink:
        plan = runner.shrink(plan)
    trace: list[str] = []
    world = runner.run_world(plan, lines=trace)
    result = runner.summarise(world)
    document = {
        "plan": msgspec.to_builtins(plan),
        "result": msgspec.to_builtins(result),
        "trace": trace[-lines:],
    }
    show(document, json, lambda: [*_render_plan(plan), *trace[-lines:], *_render_seed(result)])
    raise typer.Exit(1 if result.violations else 0)


@app.command("twins")
def twins(
    scenarios: Annotated[int, typer.Option(min=1, max=100_000_000, help="How many.")] = 100,
    start: Annotated[int, typer.Option(min=0, help="The number of the first.")] = 0,
    nodes: Annotated[
        int | None,
        typer.Option(min=1, max=31, metavar="N", help="Members. [4, 5, 6, 7 or 10]"),
    ] = None,
    read: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, metavar="FILE", help="Run these instead."),
    ] = None,
    write: Annotated[
        Path | None,
        typer.Option(dir_okay=False, metavar="FILE", help="Write the scenarios that were run."),
    ] = None,
    jobs: JobsOption = 1,
    json: JsonOption = False,
) -> None:
    """Run Twins scenarios: Byzantine members are two processes of one key each.

    A scenario fixes the leader and the partition of each round; afterwards everything is healed
    and must commit. Ends with 1 if one breaks an invariant.

    \b
    Example:
      econode sim twins --scenarios 1000 --write twins.json
      econode sim twins --read twins.json
    """
    from devnet.sim import twins as runner
    from node.problem import Problem

    if read is not None:
        try:
            chosen = runner.load_scenarios(read.read_bytes())
        except runner.InvalidScenario as error:
            raise Problem(
                "scenario-file", str(error), where=str(read), remedy="see docs/simulator.md"
            ) from None
    else:
        numbers = range(start, start + scenarios)
        chosen = tuple(runner.make_scenario(number, nodes) for number in numbers)
    if write is not None:
        write.write_bytes(runner.dump_scenarios(chosen))
    with open_progress("scenarios", len(chosen), json) as advance:
        report = runner.run_scenarios(iter(chosen), jobs, advance)
    show(report, json, lambda: _render_twins(report))
    raise typer.Exit(1 if report.violations else 0)


@app.command("defects")
def defects(
    names: Annotated[list[str] | None, typer.Argument(help="Only these.")] = None,
    seeds: Annotated[int, typer.Option(min=1, max=1_000_000, help="At most, for each.")] = 10_000,
    jobs: JobsOption = 1,
    json: JsonOption = False,
) -> None:
    """Put mistakes into the running core, one by one, and see which seed finds each.

    Ends with 1 if one is not found.

    \b
    Example:
      econode sim defects quorum_too_small no_p_set
    """
    from devnet.sim.defects.search import DEFECTS, find_defects

    known = {defect.name for defect in DEFECTS}
    unknown = set(names or ()) - known
    if unknown:
        raise typer.BadParameter(f"no such defect: {', '.join(sorted(unknown))}")
    total = len(names or known)
    with open_progress("defects", total, json) as advance:
        report = find_defects(tuple(names or ()), seeds, jobs, advance)
    show(report, json, lambda: _render_defects(report))
    raise typer.Exit(1 if report.missed else 0)


app.command("market")(market)


class open_progress:
    """A progress bar on standard error; none with --json or without a terminal."""

    def __init__(self, what: str, total: int, as_json: bool) -> None:
        self._what, self._total, self._as_json = what, total, as_json
        self._bar: Any = None
        self._violations = 0

    def __enter__(self) -> Any:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=self._as_json or not console.is_terminal,
        )
        self._bar.start()
        self._task = self._bar.add_task(self._what, total=self._total)
        return self._advance

    def _advance(self, result: Any) -> None:
        if getattr(result, "violations", None):
            self._violations += 1
        text = f"{self._what}, {self._violations} violations" if self._violations else self._what
        self._bar.update(self._task, advance=1, description=text)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _render_run(report: "RunReport") -> list[str]:
    lines = render_pairs(
        [
            ("seeds", f"{report.seeds} from {report.first_seed}, {report.nodes} members"),
            ("violations", report.violations),
            ("simulated", f"{report.sim_seconds:.0f} s"),
            ("speed", f"{report.sim_seconds_per_second:.0f} simulated seconds a second"),
            ("commits", f"{report.commits} (at least {report.commits_min} a seed)"),
            ("view changes", report.view_changes),
            ("faults", report.faults),
            ("trace hash", report.trace_hash_all),
        ]
    )
    if report.same_traces is not None:
        text = f"{report.same_traces} of {report.seeds} seeds again, with other hashes"
        lines += render_pairs([("same trace", text)])
    if not report.violations:
        bound = report.bound_p_95
        return [*lines, f"A seed fails with a probability below {bound:.2g} (95 %)."]
    for failure in report.failures:
        lines += ["", f"seed {failure.seed}: {failure.violations[0]}"]
        lines += [f"  {item}" for item in (*failure.byzantine, *failure.faults)]
        lines.append(f"  {failure.replay}")
    return lines


def _render_twins(report: "TwinsReport") -> list[str]:
    lines = render_pairs(
        [
            ("scenarios", report.scenarios),
            ("violations", report.violations),
            ("commits", f"{report.commits} once healed (at least {report.commits_min})"),
            ("view changes", report.view_changes),
            ("simulated", f"{report.sim_seconds:.0f} s"),
        ]
    )
    for result in report.failures:
        lines += ["", result.violations[0], f"  {result.scenario}"]
    if not report.violations:
        bound = report.bound_p_95
        lines.append(f"A scenario fails with a probability below {bound:.2g} (95 %).")
    return lines


def _render_defects(report: "DefectReport") -> list[str]:
    rows = [
        (found.name, found.nodes, found.first_seed, found.violation or found.equivalent_because)
        for found in report.defects
    ]
    table = render_table(["defect", "members", "first seed", "breach"], rows)
    return [*table, "", f"{report.found} found, {report.missed} missed"]


def _render_plan(plan: "Plan") -> list[str]:
    return [f"{plan.n} members, {plan.link}", *map(str, (*plan.byzantine, *plan.faults)), ""]


def _render_seed(result: "SeedResult") -> list[str]:
    pairs = [
        ("trace hash", result.trace_hash),
        ("simulated", f"{result.sim_ms / 1000:.0f} s"),
        ("commits", result.commits),
        ("view changes", result.view_changes),
        ("faults", ", ".join(f"{name} {count}" for name, count in result.faults.items())),
    ]
    return ["", *render_pairs(pairs), *(f"VIOLATION {text}" for text in result.violations)]

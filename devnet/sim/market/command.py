"""econode sim market: the market on trial."""

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from node.commands.common import JsonOption, render_pairs, render_table, show

if TYPE_CHECKING:
    from devnet.sim.defects.search import DefectReport
    from devnet.sim.market.report import MarketReport, SeedVerdict

SEEDS_DEFECTS = 1_000


def market(
    seeds: Annotated[int, typer.Option(min=1, max=10_000_000, help="How many.")] = 100,
    start: Annotated[int, typer.Option(min=0, help="The first seed.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    replay: Annotated[
        int | None, typer.Option(min=0, metavar="SEED", help="Run this seed and tell its story.")
    ] = None,
    defects: Annotated[
        bool, typer.Option("--defects", help="Seed mistakes instead, and see what finds each.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Put the market on trial: cheats of every kind, judged by other code; does cheating pay?

    Each seed is a world in which anybody cheats, and one attack, run twice: with the attackers
    honest and with them attacking. Ends with 1 if an invariant breaks, or a defect is not found.

    \b
    Example:
      econode sim market --seeds 1000 --jobs 2
      econode sim market --replay 17
    """
    from devnet.sim.cli import open_progress

    if replay is not None:
        _replay(replay, json)
    if defects:
        from devnet.sim.market.defects import DEFECTS, find_market_defects

        with open_progress("defects", len(DEFECTS), json) as advance:
            found = find_market_defects(min(seeds, SEEDS_DEFECTS), jobs, advance)
        show(found, json, lambda: _render_defects(found))
        raise typer.Exit(1 if found.missed else 0)
    from devnet.sim.market.trial import run_market_seeds

    with open_progress("seeds", seeds, json) as advance:
        report = run_market_seeds(start, seeds, jobs, advance)
    show(report, json, lambda: _render(report))
    raise typer.Exit(1 if report.violations else 0)


def _replay(seed: int, as_json: bool) -> None:
    from devnet.sim.market import story

    lines, verdict = story.tell(seed)
    document = {"verdict": msgspec.to_builtins(verdict), "story": lines}
    show(document, as_json, lambda: [*lines, *_render_seed(verdict)])
    raise typer.Exit(1 if verdict.violations else 0)


def _render_seed(verdict: "SeedVerdict") -> list[str]:
    pairs = [
        ("attack", verdict.attack),
        ("gain", f"{verdict.gain} credits by attacking"),
        ("honest", f"{verdict.honest_no_worse} of {verdict.honest_parties} no worse off"),
    ]
    return ["", *render_pairs(pairs), *(f"VIOLATION {text}" for text in verdict.violations)]


def _render(report: "MarketReport") -> list[str]:
    lines = render_pairs(
        [
            ("seeds", f"{report.seeds} from {report.first_seed}"),
            ("violations", report.violations),
            (
                "attacks that paid",
                (
                    f"{report.attacks_paid} of {report.attacks}, "
                    f"below {report.paid_ppm_max / 10_000:.2f} % (95 %)"
                ),
            ),
            ("and with draws", f"{report.attacks_paid_with_draws} of {report.attacks}"),
            ("gambles that paid", f"{len(report.gambles_paid)} of {report.gambles}, on the mean"),
            (
                "honest, no worse",
                (
                    f"{report.honest_no_worse} of {report.honest_parties}: "
                    f"{report.honest_no_worse_ppm / 10_000:.2f} %, "
                    f"above {report.honest_no_worse_ppm_min / 10_000:.2f} % (95 %)"
                ),
            ),
            (
                "the same but fees",
                (
                    f"{report.honest_no_worse_but_fees}: "
                    f"{report.honest_no_worse_but_fees_ppm / 10_000:.2f} %"
                ),
            ),
            ("tasks", report.tasks),
            ("auctions", report.auctions),
            ("batches", f"{report.batches}, {report.operations} operations"),
            ("view changes", report.view_changes),
        ]
    )
    rows = [
        (a.name, a.counts, a.tried, a.paid, round(a.gain_mean), a.gain_median, a.gain_max)
        for a in report.by_attack
    ]
    heads = ["attack", "counts", "tried", "paid", "gain, mean", "median", "at most"]
    lines += ["", *render_table(heads, rows)]
    for failure in report.failures:
        lines += ["", f"seed {failure.seed}: {failure.violations[0]}", f"  {failure.replay}"]
    if not report.violations:
        lines += ["", f"A seed fails with a probability below {report.bound_p_95:.2g} (95 %)."]
    return lines


def _render_defects(report: "DefectReport") -> list[str]:
    rows = [(found.name, found.first_seed, found.violation) for found in report.defects]
    table = render_table(["defect", "first seed", "breach"], rows)
    return [*table, "", f"{report.found} found, {report.missed} missed"]

"""The figure of docs/collusion.md. matplotlib is a development tool, so only this imports it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

from devnet.experiments.collusion import STRIDE, Result, Run, spread
from devnet.experiments.schemes import SCHEMES

NAMES = {
    "product": "Econode",
    "unweighted": "Econode without the bound of a rater's bond",
    "average": "plain average",
    "eigentrust": "EigenTrust",
}
COLORS = {
    "product": "#0072b2",
    "unweighted": "#56b4e9",
    "average": "#d55e00",
    "eigentrust": "#009e73",
}
MARKERS = {"product": "o", "unweighted": "s", "average": "^", "eigentrust": "v"}
GAINS = ("ring-2", "ring-40", "wash-0", "wash-10", "wash-40", "whitewash")
LOSSES = ("slander-0", "slander-10", "slander-40", "hasty-slander-0")
PPM = 1_000_000


def draw_results(runs: Sequence[Run], results: Sequence[Result], path: Path) -> None:
    """Write the figure as SVG: the same results give the same bytes."""
    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    # Ids that follow from the content and text that stays text, whatever fonts are installed.
    with plt.rc_context({"svg.hashsalt": "econode", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = plt.subplots(2, 3, figsize=(13, 7.5), layout="constrained")
        _draw_series(axes[0, 0], runs, "ring-40", "sybils", "Ring: the attacker's agents")
        _draw_series(axes[0, 1], runs, "wash-0", "sybils", "Wash without a bond: its agents")
        _draw_series(axes[0, 2], runs, "slander-0", "honest", "Slander without a bond: the honest")
        _draw_bars(
            axes[1, 0], results, GAINS, "gained_per_bonded", "Score gained per credit bonded"
        )
        _draw_bars(axes[1, 1], results, LOSSES, "honest_lost", "Score that an honest agent loses")
        _draw_bars(axes[1, 2], results, GAINS[:-1], "wins_gained", "Auctions won more")
        axes[1, 0].set_ylabel("ppm, all 40 slots")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(SCHEMES))
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        plt.close(figure)


def _draw_series(axes: Any, runs: Sequence[Run], scenario: str, whose: str, title: str) -> None:
    """The mean score over epochs: the median of the seeds and from 5 to 95 %."""
    mine = [run for run in runs if run.scenario == scenario]
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.set_ylabel("score")
    axes.set_ylim(0, 1)
    for scheme in SCHEMES:
        series = zip(*(getattr(run, whose)[scheme] for run in mine), strict=True)
        spreads = [spread([value / PPM for value in at]) for at in series]
        epochs = [STRIDE * (index + 1) for index in range(len(spreads))]
        axes.plot(
            epochs,
            [each.median for each in spreads],
            color=COLORS[scheme],
            marker=MARKERS[scheme],
            markersize=4,
            label=NAMES[scheme],
        )
        axes.fill_between(
            epochs,
            [each.low for each in spreads],
            [each.high for each in spreads],
            color=COLORS[scheme],
            alpha=0.15,
            linewidth=0,
        )


def _draw_bars(
    axes: Any, results: Sequence[Result], scenarios: Sequence[str], figure: str, title: str
) -> None:
    """A group of bars for each scenario: the median of the seeds and from 5 to 95 %."""
    found = {(result.scenario, result.scheme): getattr(result, figure) for result in results}
    shown = [name for name in scenarios if (name, SCHEMES[0]) in found]
    unit = {"honest_lost": PPM, "wins_gained": 0.01}.get(figure, 1)
    width = 0.8 / len(SCHEMES)
    axes.set_title(title)
    axes.set_ylabel({"honest_lost": "score", "wins_gained": "% of all"}.get(figure, ""))
    for number, scheme in enumerate(SCHEMES):
        spreads = [found[name, scheme] for name in shown]
        axes.bar(
            [index + (number - (len(SCHEMES) - 1) / 2) * width for index in range(len(shown))],
            [each.median / unit for each in spreads],
            width,
            color=COLORS[scheme],
            yerr=[
                [(each.median - each.low) / unit for each in spreads],
                [(each.high - each.median) / unit for each in spreads],
            ],
            error_kw={"linewidth": 0.8},
        )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_xticks(range(len(shown)), shown, rotation=20)

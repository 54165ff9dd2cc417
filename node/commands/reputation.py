"""econode reputation show, top, explain: scores, and the receipts behind them."""

from typing import Annotated

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    hint,
    make_app,
    open_client,
    render_pairs,
    render_table,
    shorten,
    show,
)
from node.service_views import SNAPSHOTS_EXPLAINED_MAX, Explanation, Reputation, ScorePeriod

TOP_MAX = 10_000
PEER_CHARS = 16
PPM = 1_000_000

app = make_app("Scores that agents earned.")


@app.command("show")
def show_reputation(
    agent: Annotated[
        str | None, typer.Argument(metavar="[PEERID]", help="Only this one.", show_default=False)
    ] = None,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show scores, in parts per million.

    They are those of the last ordered snapshot.

    \b
    Example:
      econode reputation show
    """
    with open_client(home, committee) as client:
        found = client.reputation(agent)
    show(found, json, lambda: _render_scores(found))


@app.command("top")
def top(
    limit: Annotated[int, typer.Option(min=1, max=TOP_MAX, help="At most so many.")] = 10,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show the agents with the best scores.

    \b
    Example:
      econode reputation top --limit 3
    """
    with open_client(home, committee) as client:
        found = client.reputation(limit=limit)
    show(found, json, lambda: _render_scores(found))


def _render_scores(found: Reputation) -> list[str]:
    head = ("agent", "score ppm", "good", "bad", "banned")
    rows = [
        (score.peer_id, score.score_ppm, score.good, score.bad, "yes" if score.banned else "no")
        for score in found.scores
    ]
    sums = [("snapshot", found.snapshot), ("root", found.root)]
    return [*render_table(head, rows), "", *render_pairs(sums)]


@app.command("explain")
def explain(
    agent: Annotated[str, typer.Argument(metavar="PEERID", help="Whose score.")],
    snapshots: Annotated[
        int,
        typer.Option(min=1, max=SNAPSHOTS_EXPLAINED_MAX, help="By so many newest snapshots."),
    ] = 10,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show every receipt behind a score, with the arithmetic.

    G and B are an agent's good and bad mass. Each receipt is a fact of the committee's log
    at the position shown.

    \b
    Example:
      econode reputation explain 12D3KooW…
    """
    with open_client(home, committee) as client:
        found = client.explain(agent, snapshots)
    show(found, json, lambda: _render(found))
    if not found.whole:
        hint("older receipts are in the masses that this begins with: see --snapshots", json)


def _render(found: Explanation) -> list[str]:
    pairs = [
        ("agent", found.peer_id),
        ("score ppm", found.score_ppm),
        ("weight of bids, ppm", found.weight_ppm),
        ("banned", "yes" if found.banned else "no"),
        ("after position", found.position),
    ]
    lines = render_pairs(pairs)
    for period in found.periods:
        lines += ["", *_render_period(period)]
    return lines


def _render_period(period: ScorePeriod) -> list[str]:
    title = "since then, counts at the next snapshot"
    if period.snapshot is not None:
        title = f"snapshot {period.snapshot} at position {period.position}"
    lines = [f"{title}: from G = {period.before.good}, B = {period.before.bad}"]
    head = ("position", "task", "round", "grade", "rater", "amount", "good", "bad", "counted ppm")
    rows = [
        (
            *(receipt.position, shorten(receipt.task), max(receipt.round, 0), receipt.grade),
            *(shorten(receipt.rater, PEER_CHARS), receipt.amount, receipt.good, receipt.bad),
            receipt.counted_ppm,
        )
        for receipt in period.receipts
    ]
    lines += [f"  {line}" for line in render_table(head, rows)] if rows else ["  no receipts"]
    lines += [
        f"  {shorten(rater.peer_id, PEER_CHARS)} handed out {rater.handed} to all and may hand out "
        f"{rater.allowance}: {rater.share_ppm} ppm of each count"
        for rater in period.raters
    ]
    good = sum(each.good * each.counted_ppm // PPM for each in period.receipts)
    bad = sum(each.bad * each.counted_ppm // PPM for each in period.receipts)
    after = period.after
    return [
        *lines,
        f"  G = {period.before.good}*63//64 + {good} = {after.good}",
        f"  B = {period.before.bad}*255//256 + {bad} = {after.bad}",
        f"  score = 10^6*G // (G + B + 10^6) = {period.score_ppm}",
    ]

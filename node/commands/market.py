"""econode market prices, halts, screens: what the market says, and what to look at."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    hint,
    make_app,
    open_client,
    render_table,
    shorten,
    show,
)

if TYPE_CHECKING:
    from node.service_market import MarketPrice, ScreenEvidence

LIMIT_MAX = 1_000
POSITIONS_MAX = 20_000
PEER_CHARS = 16

app = make_app("Prices, halts, and screens for foul play.")

LimitOption = Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many.")]


@app.command("prices")
def prices(
    capability: Annotated[
        str | None,
        typer.Argument(metavar="[CAPABILITY]", help="The history of this one.", show_default=False),
    ] = None,
    limit: LimitOption = 50,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show posted prices, or how one capability's came about.

    A posted price binds nobody: it moves with demand, and says what to budget for.

    \b
    Example:
      econode market prices
      econode market prices words
    """
    with open_client(home, committee) as client:
        if capability is None:
            found = client.market.prices()
            names = ("capability", "price", "mean awarded", "awards", "agents", "market")
            rows = [
                (
                    *(item.name or shorten(item.capability), item.price, item.mean),
                    *(item.awards, item.agents, _describe_market(item)),
                )
                for item in found.prices
            ]
            show(found, json, lambda: render_table(names, rows) if rows else ["nothing is offered"])
            return
        history = client.market.price_history(capability, limit)
    head = ("position", "time", "price", "before", "agreements", "room", "used", "intervals")
    points = [
        (
            *(point.position, _render_time(point.time_ms), point.price, point.former),
            *(point.agreements, point.capacity, f"{point.utilisation_ppm // 10_000} %"),
            point.intervals,
        )
        for point in history.points
    ]
    show(
        history, json, lambda: render_table(head, points) if points else ["no price is posted yet"]
    )


@app.command("halts")
def halts(
    capability: Annotated[
        str | None,
        typer.Argument(metavar="[CAPABILITY]", help="Only of this one.", show_default=False),
    ] = None,
    limit: LimitOption = 50,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show when markets were halted, and why.

    \b
    Example:
      econode market halts
    """
    with open_client(home, committee) as client:
        found = client.market.halts(capability, limit)
    head = ("position", "capability", "price", "mean", "awards", "off since", "until", "state")
    rows = [
        (
            *(item.position, item.name or shorten(item.capability), item.price, item.mean),
            *(item.awards, _render_time(item.since_ms), _render_time(item.deadline_ms)),
            "over" if item.is_over else "halted",
        )
        for item in found.halts
    ]
    show(found, json, lambda: render_table(head, rows) if rows else ["no market was ever halted"])


@app.command("screens")
def screens(
    positions: Annotated[
        int, typer.Option(min=1, max=POSITIONS_MAX, help="So many newest entries of the log.")
    ] = 2_000,
    everything: Annotated[bool, typer.Option("--all", help="What is not suspicious, too.")] = False,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Screen the log for cover bids, rotation, shills and wash trading.

    What it says is a reason to look, never a verdict: no payment changes by it.

    \b
    Example:
      econode market screens --positions 5000
    """
    with open_client(home, committee) as client:
        found = client.market.screens(positions, everything=everything)
    head = ("screen", "parties", "about", "suspicious", "numbers")
    rows = [_render_evidence(item) for item in found.evidence]
    quiet = [f"nothing suspicious from position {found.first} to {found.last}"]
    show(found, json, lambda: render_table(head, rows) if rows else quiet)
    if any(item.suspicious for item in found.evidence):
        hint(
            "a reason to look, not a verdict: docs/protocol-market.md says what else it may be",
            json,
        )


def _describe_market(item: "MarketPrice") -> str:
    if item.halted_until_ms is None:
        return "open"
    return f"halted until {_render_time(item.halted_until_ms)}"


def _render_evidence(item: "ScreenEvidence") -> tuple[str, ...]:
    numbers = " ".join(f"{name}={value}" for name, value in item.numbers.items())
    parties = " ".join(peer[-PEER_CHARS:] for peer in item.parties)
    return item.screen, parties, item.about or "", "yes" if item.suspicious else "no", numbers


def _render_time(time_ms: int) -> str:
    """UTC, to the second."""
    return datetime.fromtimestamp(time_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")

"""econode anomalies: what is unlike the rest, with the numbers behind it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    hint,
    open_client,
    render_table,
    shorten,
    show,
)

if TYPE_CHECKING:
    from node.service_anomalies import AnomalyFound

PEER_CHARS = 16
CAPABILITY_CHARS = 24


def anomalies(
    committee: CommitteeOption = MAIN, home: HomeOption = None, json: JsonOption = False
) -> None:
    """Show who behaves unlike the rest.

    Each finding compares a subject with its own past or with the others, and is a reason to look,
    never a verdict: nothing changes by it.

    \b
    Example:
      econode anomalies
      econode anomalies --json
    """
    with open_client(home, committee) as client:
        found = client.market.anomalies()
    head = ("kind", "subject", "capability", "observed", "usual", "of", "since (UTC)")
    rows = [_render(item) for item in found.anomalies]
    quiet = [f"nothing unusual from position {found.first} to {found.last}"]
    show(found, json, lambda: render_table(head, rows) if rows else quiet)
    for kind in dict.fromkeys(item.kind for item in found.anomalies):
        rule = next(item.rule for item in found.anomalies if item.kind == kind)
        hint(f"{kind}: {rule}", json)
    if found.skipped:
        hint(f"{found.skipped} entries came too fast and were left out", json)
    if rows:
        hint("a reason to look, not a verdict: docs/anomalies.md says what else it may be", json)


def _render(item: "AnomalyFound") -> tuple[str | int, ...]:
    subjects = " ".join(peer[-PEER_CHARS:] for peer in item.subjects) or "the committee"
    capability = shorten(item.capability, CAPABILITY_CHARS)
    if item.observed is None or item.since_ms is None:
        numbers = " ".join(f"{name}={value}" for name, value in item.numbers.items())
        return item.kind, subjects, capability, numbers, "", "", ""
    low = "" if item.low is None else _say(item.low, item.unit)
    high = "" if item.high is None else _say(item.high, item.unit)
    usual = f"{low} to {high}" if low and high else f"at most {high}" if high else f"from {low}"
    since = datetime.fromtimestamp(item.since_ms / 1_000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    observed = _say(item.observed, item.unit)
    return item.kind, subjects, capability, observed, usual, item.count or "", since


def _say(value: int, unit: str | None) -> str:
    """Shares in percent, to the tenth."""
    if unit == "ppm":
        return f"{value // 10_000}.{value // 1_000 % 10} %"
    return f"{value} {unit}"


def register(app: typer.Typer) -> None:
    app.command("anomalies")(anomalies)

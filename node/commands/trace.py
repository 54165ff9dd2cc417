"""econode trace: the time line of a task, from the ledgers that can be reached."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    hint,
    open_home,
    render_table,
    show,
)

if TYPE_CHECKING:
    from node.ledger_trace import Trace

DETAIL_CHARS_MAX = 96
LINE_CHARS_MAX = 160
_LEFT_OUT = ("kind", "task", "moves", "seed", "commitment", "bids", "round", "deadline_ms")
PEER_ID_CHARS = 52
SHORT_ID_CHARS = 6


def trace(
    task: Annotated[
        str, typer.Argument(metavar="ID", help="A task's id, or its first digits (at least 4).")
    ],
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="The home of another node to compare; may be repeated."),
    ] = None,
    logs: Annotated[
        bool, typer.Option("--logs", help="What the logs in these homes say about it, too.")
    ] = False,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show a task's way through the ledgers.

    Every fact about it with the agreed time since the first, and which of the ledgers hold it.
    The nodes may be running. Ends with 1 if two of them tell different stories.

    \b
    Example:
      econode trace 3f9a
      econode trace 3f9a --also ../node-2 --also ../node-3
      econode trace 3f9a --also ../node-2 --logs
    """
    from node.api_checks import check_prefix
    from node.ledger_trace import trace as read_trace
    from node.log_search import find_lines

    place = open_home(home)
    place.check_initialised()
    network = place.load_genesis().compute_network_id()
    homes = [place, *(open_home(folder) for folder in also or [])]
    names = [each.path.name for each in homes]
    if len(set(names)) < len(names):
        names = [str(each.path) for each in homes]
    ledgers = [(name, each.ledger_path) for name, each in zip(names, homes, strict=True)]
    found = read_trace(ledgers, network, committee, check_prefix(task))
    if logs:
        lines = find_lines(list(zip(names, homes, strict=True)), found.task)
        found = msgspec.structs.replace(found, log=tuple(lines))
    show(found, json, lambda: _render(found))
    for name in found.behind:
        hint(f"{name} does not hold all of it (yet)", json)
    if found.differing:
        hint(f"error: {', '.join(found.differing)} tell another story", json)
        hint("  remedy: econode ledger verify on each; econode evidence list", json)
        raise typer.Exit(1)


def _render(found: "Trace") -> list[str]:
    several = len(found.ledgers) > 1
    head = ["+ms", "entry", "fact", "about"] + (["held by"] if several else [])
    rows = []
    for each in found.facts:
        row = [each.elapsed_ms, each.position, each.fact["kind"], _describe(each.fact)]
        rows.append((*row, f"{len(each.held_by)}/{len(found.ledgers)}") if several else tuple(row))
    text = [f"task {found.task}", "", *render_table(tuple(head), rows)]
    if found.log:
        said = [(line.ts, line.node, line.event, line.text[:LINE_CHARS_MAX]) for line in found.log]
        text += ["", *render_table(("logged at", "by", "event", "what"), said)]
    return text


def _describe(fact: dict[str, Any]) -> str:
    parts = [
        f"{name}={_shorten(value)}"
        for name, value in fact.items()
        if name not in _LEFT_OUT and value not in (None, "", [])
    ]
    return " ".join(parts)[:DETAIL_CHARS_MAX]


def _shorten(value: Any) -> str:
    """Ids by their ends; lists by their members."""
    if isinstance(value, list):
        return ",".join(map(_shorten, value))
    text = str(value)
    if len(text) == PEER_ID_CHARS and text.startswith("12D3KooW"):
        return f"…{text[-SHORT_ID_CHARS:]}"
    return text[:8] if len(text) == 64 else text


def register(app: typer.Typer) -> None:
    app.command("trace")(trace)

"""econode auction watch: an auction as it goes on."""

import json as json_module
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.auction_text import render_auction
from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    make_printable,
    open_client,
    shorten,
)

if TYPE_CHECKING:
    from node.client import NodeClient
    from node.service_auctions import Auction

REFRESHES_PER_SECOND = 4
FACTS_SHOWN_MAX = 12


def watch(
    auction: Annotated[
        str,
        typer.Argument(metavar="ID", help="An auction's id, or its first digits (at least 4)."),
    ],
    result: Annotated[
        bool, typer.Option("--result", help="End with the result, before what is delivered.")
    ] = False,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Follow an auction until it has ended: every bid as it is ordered, the price, the result.

    With --json one document a line: first the auction, then each fact about it, then the auction
    again. Ends with 1 if nothing was sold.

    \b
    Example:
      econode auction watch 3f9a
    """
    with open_client(home, committee) as client:
        start = client.status().position + 1
        found = client.auctions.show(auction)
        if json:
            final = _follow(client, found, start, result, _JsonLines())
        elif sys.stdout.isatty():
            with _Panel(found) as panel:
                final = _follow(client, found, start, result, panel)
        else:
            final = _follow(client, found, start, result, _Lines())
    if not final.awards:
        raise typer.Exit(1)


def _follow(
    client: "NodeClient", found: "Auction", start: int, to_result: bool, shown: "_Lines"
) -> "Auction":
    """Read the log from `start` on, until the auction has ended in it."""
    shown.show(found)
    if _has_ended(found, to_result):
        return found
    id_ = found.summary.id
    for entry in client.events(start):
        about = [fact for fact in entry.facts if fact.get("auction") == id_]
        if not about:
            continue
        for fact in about:
            shown.tell(entry.time_ms, fact)
        found = client.auctions.show(id_)
        shown.update(found)
        if _has_ended(found, to_result):
            shown.show(found)
            break
    return found


def _has_ended(found: "Auction", to_result: bool) -> bool:
    return found.summary.ended_ms is not None or (to_result and bool(found.awards))


class _Lines:
    """Lines for a file or a pipe, each at once."""

    def show(self, found: "Auction") -> None:
        for line in render_auction(found):
            typer.echo(make_printable(line))
        sys.stdout.flush()

    def tell(self, time_ms: int, fact: dict[str, Any]) -> None:
        typer.echo(make_printable(describe_fact(time_ms, fact)))
        sys.stdout.flush()

    def update(self, found: "Auction") -> None:
        """What is new was told."""


class _JsonLines(_Lines):
    def show(self, found: "Auction") -> None:
        import msgspec

        self._print({"auction": msgspec.to_builtins(found)})

    def tell(self, time_ms: int, fact: dict[str, Any]) -> None:
        self._print({"time_ms": time_ms, "fact": fact})

    def _print(self, document: dict[str, Any]) -> None:
        typer.echo(json_module.dumps(document, ensure_ascii=False))
        sys.stdout.flush()


class _Panel(_Lines):
    """One picture on a terminal that changes in place; the last one stays."""

    def __init__(self, found: "Auction") -> None:
        from rich.console import Console
        from rich.live import Live

        self._found = found
        self._told: list[str] = []
        self._is_last = False
        self._live = Live(
            self, console=Console(), refresh_per_second=REFRESHES_PER_SECOND, transient=False
        )

    def __enter__(self) -> "_Panel":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_last = True  # what scrolled away may be read again
        self._live.stop()

    def __rich__(self) -> Any:
        from rich.text import Text

        lines = list(map(make_printable, render_auction(self._found)))
        told = list(map(make_printable, self._told))
        if not self._is_last:
            size = self._live.console.size
            lines = fit(lines, told, size.width, size.height - 1)
        return Text("\n".join([*lines, *([""] if told else []), *told]))

    def show(self, found: "Auction") -> None:
        self._found = found

    def update(self, found: "Auction") -> None:
        self._found = found

    def tell(self, time_ms: int, fact: dict[str, Any]) -> None:
        self._told = [*self._told, describe_fact(time_ms, fact)][-FACTS_SHOWN_MAX:]


def fit(lines: list[str], told: list[str], width: int, height: int) -> list[str]:
    """As many of `lines` as leave room for `told` below them, on a terminal that wraps: what is
    new stays in sight. At least the first line stays."""

    def count_rows(line: str) -> int:
        return max(1, -(-len(line) // width))

    room = height - sum(map(count_rows, told)) - (1 if told else 0)
    if sum(map(count_rows, lines)) <= room:
        return lines
    kept: list[str] = []
    for line in lines:
        room -= count_rows(line)
        if kept and room < 1:  # the dots need a row as well
            break
        kept.append(line)
    return [*kept, "..."]


def describe_fact(time_ms: int, fact: dict[str, Any]) -> str:
    """A fact about an auction in a line."""
    clock = time.strftime("%H:%M:%S", time.gmtime(time_ms // 1000))
    who = shorten(fact.get("bidder") or fact.get("winner") or fact.get("opener"), 16)
    words = {
        "auction_began": "opened",
        "auction_bid_committed": f"{who} sealed a bid"
        if fact.get("commitment")
        else f"{who} passed",
        "auction_bids_closed": "no further bid counts; seals are opened",
        "auction_bid_revealed": f"{who} opened its bid: {_render_bid(fact)}",
        "bid_placed": f"{who} bids {fact.get('price')}",
        "auction_ended": _describe_result(fact),
        "auction_cancelled": "cancelled",
        "delivered": f"delivered to {who}",
        "delivery_ended": f"{who}: {fact.get('outcome')}, {fact.get('paid')} paid",
    }
    kind = str(fact.get("kind"))
    return f"{clock}  {words.get(kind, kind.replace('_', ' '))}"


def _render_bid(fact: dict[str, Any]) -> str:
    return ", ".join(str(_pick(bundle, "price", 1)) for bundle in fact.get("bundles", ()))


def _describe_result(fact: dict[str, Any]) -> str:
    awards = fact.get("awards", ())
    if not awards:
        return "ended: nothing is sold"
    told = (
        f"{shorten(str(_pick(each, 'winner', 0)), 16)} for {_pick(each, 'price', 2)}"
        for each in awards
    )
    return "ended: " + ", ".join(told)


def _pick(item: Any, name: str, index: int) -> Any:
    """A field of a struct that JSON may show as a list."""
    return item[name] if isinstance(item, dict) else item[index]

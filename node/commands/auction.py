"""econode auction open, bid, list, show, cancel, deliver, accept: buy and sell by auction."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands import auction_files, auction_watch
from node.commands.auction_text import render_auction, render_summaries, render_task
from node.commands.common import (
    MAIN,
    PAGE_DEFAULT,
    CommitteeOption,
    CursorOption,
    HomeOption,
    JsonOption,
    LimitOption,
    hint,
    make_app,
    open_client,
    parse_duration,
    render_pairs,
    render_table,
    shorten,
    show,
)

if TYPE_CHECKING:
    from node.service_auctions import AuctionBundle, AuctionLot, AuctionOrder

CREDITS_MAX = (1 << 63) - 1
PPM = 1_000_000
KINDS = ("english", "dutch", "first_price", "vickrey", "multi_unit", "combinatorial", "call")

app = make_app("Sell and buy by auctions that nobody runs.")
app.command("watch")(auction_watch.watch)
app.command("verify")(auction_files.verify)
app.command("certificate")(auction_files.certificate)

AuctionArgument = Annotated[
    str, typer.Argument(metavar="ID", help="An auction's id, or its first digits (at least 4).")
]
WinnerOption = Annotated[
    str | None,
    typer.Option(metavar="PEERID", help="Whose agreement, where there are several winners."),
]


def _credits(text: str, least: int = 0) -> Any:
    return typer.Option(min=least, max=CREDITS_MAX, help=text, show_default=False)


def _duration(text: str) -> Any:
    return typer.Option(metavar="TIME", help=text)


LotOption = Annotated[
    list[str],
    typer.Option(
        metavar="NAME[:LIMIT]",
        help="What is for sale, or wanted; several in a combinatorial or call auction. LIMIT: the "
        "least price it is sold for [0], or the most that is paid for it.",
    ),
]
CapOption = Annotated[
    int, _credits("Selling: the most a bid may name. A sealed bid locks this much.")
]
UnitsOption = Annotated[int, typer.Option(min=1, max=256, help="multi_unit: how many.")]
PayAsBidOption = Annotated[
    bool, typer.Option("--pay-as-bid", help="combinatorial: winners pay what they bid.")
]
IncrementOption = Annotated[
    int, _credits("english: by how much a bid beats the one before. [1]", 1)
]
StartOption = Annotated[int, _credits("dutch: the first price. [selling: the cap; buying: 1]")]
StepOption = Annotated[int, _credits("dutch: by how much it moves. [1]", 1)]
BidderOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PEERID", help="Only these may bid; once all have, it goes on at once."),
]
DeliverOption = Annotated[
    str | None,
    _duration("How long the seller has to deliver; left out, the price is paid at the result."),
]
AcceptOption = Annotated[
    str, _duration("With --deliver-in: how long the payer has to judge; silence pays.")
]


@app.command("open")
def open_auction(
    kind: Annotated[str, typer.Argument(metavar="KIND", help=f"One of {', '.join(KINDS)}.")],
    lot: LotOption,
    sell: Annotated[bool, typer.Option("--sell", help="This node's account sells.")] = False,
    buy: Annotated[bool, typer.Option("--buy", help="This node's account buys.")] = False,
    cap: CapOption = 0,
    bid_for: Annotated[str, _duration("How long bids are taken.")] = "60s",
    reveal_for: Annotated[str, _duration("How long sealed bids are opened.")] = "10s",
    units: UnitsOption = 1,
    pay_as_bid: PayAsBidOption = False,
    increment: IncrementOption = 1,
    extend: Annotated[str, _duration("english: a late bid leaves this much time.")] = "10s",
    extend_max: Annotated[str, _duration("english: all extensions together.")] = "5m",
    start: StartOption = 0,
    step: StepOption = 1,
    step_time: Annotated[str, _duration("dutch: how often it moves.")] = "1s",
    bidder: BidderOption = None,
    deliver_in: DeliverOption = None,
    accept_in: AcceptOption = "60s",
    text: Annotated[str, typer.Option(metavar="TEXT", help="What the first lot is.")] = "",
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Open an auction, to sell (--sell) or to buy (--buy).

    \b
    Example:
      econode auction open vickrey --sell --lot gpu-hour:100 --cap 1000
      econode auction open english --sell --lot painting:50 --cap 5000 --increment 5
      econode auction open first_price --buy --lot logo:300 --deliver-in 1h
    """
    from node.service_auctions import AuctionOrder

    terms: dict[str, Any] = {
        **_choose_side(kind, sell, buy),
        "lots": _parse_lots(lot, text),
        "cap": cap,
        "bid_ms": parse_duration(bid_for),
        "bidders": tuple(bidder or ()),
    }
    if kind == "english":
        times = (parse_duration(extend), parse_duration(extend_max))
        terms |= {"increment": increment, "extend_ms": times[0], "extend_ms_max": times[1]}
    elif kind == "dutch":
        terms |= {"start": start or (cap if sell else 1), "step": step}
        terms["step_ms"] = parse_duration(step_time)
    else:
        terms |= {"reveal_ms": parse_duration(reveal_for), "units": units}
        terms["pricing"] = "pay_as_bid" if pay_as_bid else "vcg"
    if deliver_in is not None:
        times = (parse_duration(deliver_in), parse_duration(accept_in))
        terms |= {"delivery_ms": times[0], "accept_ms": times[1]}
    _open(AuctionOrder(**terms), home, committee, json)


def _choose_side(kind: str, sell: bool, buy: bool) -> dict[str, Any]:
    if sell == buy:
        raise typer.BadParameter("say --sell or --buy")
    if kind not in KINDS:
        raise typer.BadParameter(f"KIND {kind!r} is none of {', '.join(KINDS)}")
    return {"kind": kind, "direction": "forward" if sell else "reverse"}


def _open(order: "AuctionOrder", home: Path | None, committee: str, json: bool) -> None:
    with open_client(home, committee) as client:
        opened = client.auctions.open(order)
    pairs = [("auction", opened.auction), ("log position", opened.position)]
    show(opened, json, lambda: render_pairs(pairs))
    hint(f"follow it: econode auction watch {opened.auction[:12]}", json)


@app.command("bid")
def bid(
    auction: AuctionArgument,
    price: Annotated[
        int | None,
        _credits("For the one lot; in a dutch auction: accept if it is that good or better.", 1),
    ] = None,
    bundle: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LOT[,LOT]:PRICE", help="For these lots together; of several one is won."
        ),
    ] = None,
    pass_: Annotated[
        bool, typer.Option("--pass", help="Named bidders: do not bid, and let it go on.")
    ] = False,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Bid, once and for all where bids are sealed.

    A sealed bid is kept in this node's home and opened by the node when it is time; keep it
    running until then, or start it again: who does not open loses what the bid locked.

    \b
    Example:
      econode auction bid 3f9a --price 120
      econode auction bid 3f9a --bundle cpu,gpu:300 --bundle gpu:180
    """
    chosen = (price is not None) + bool(bundle) + pass_
    if chosen != 1:
        raise typer.BadParameter("give --price, --bundle or --pass")
    bundles = tuple(_parse_bundle(item) for item in bundle or ())
    with open_client(home, committee) as client:
        done = client.auctions.bid(auction, price, bundles)
    pairs = [("bid", done.said), ("auction", done.auction), ("log position", done.position)]
    show(done, json, lambda: render_pairs(pairs))


@app.command("list")
def list_auctions(
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only auctions in this state.")
    ] = None,
    mine: Annotated[bool, typer.Option("--mine", help="Only those this account opened.")] = False,
    tasks: Annotated[
        bool, typer.Option("--tasks", help="Instead: the auctions of tasks (reverse vickrey).")
    ] = False,
    limit: LimitOption = PAGE_DEFAULT,
    cursor: CursorOption = None,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List auctions.

    \b
    Example:
      econode auction list --state bidding
    """
    with open_client(home, committee) as client:
        page: Any
        if tasks:
            page = client.tasks(state, limit, cursor)
            head = ("task", "state", "capability", "budget", "round", "winner", "price")
            rows = [
                (
                    *(shorten(t.id), t.state, t.capability, t.budget, t.round),
                    *(shorten(t.executor, 16), t.price),
                )
                for t in page.tasks
            ]
            lines = render_table(head, rows) if rows else ["no tasks"]
        else:
            page = client.auctions.list(state, mine=mine, limit=limit, cursor=cursor)
            lines = render_summaries(page.auctions)
    show(page, json, lambda: lines)
    if page.next is not None:
        hint(f"more: --cursor {page.next}", json)


@app.command("show")
def show_auction(
    auction: AuctionArgument,
    tasks: Annotated[
        bool, typer.Option("--tasks", help="Instead: the auctions of the task with this id.")
    ] = False,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show the terms of an auction, its bids and its result.

    \b
    Example:
      econode auction show 3f9a
    """
    with open_client(home, committee) as client:
        if tasks:
            task = client.task(auction)
            show(task, json, lambda: render_task(task))
            return
        found = client.auctions.show(auction)
    show(found, json, lambda: render_auction(found))


@app.command("cancel")
def cancel(
    auction: AuctionArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take back an auction that nobody has bid in.

    \b
    Example:
      econode auction cancel 3f9a
    """
    with open_client(home, committee) as client:
        done = client.auctions.cancel(auction)
    show(done, json, lambda: render_pairs([("auction", done.id), ("state", done.state)]))


@app.command("deliver")
def deliver(
    auction: AuctionArgument,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What was sold; others fetch it by its digest."),
    ] = None,
    note: Annotated[str, typer.Option(metavar="TEXT", help="How it was delivered.")] = "",
    winner: WinnerOption = None,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Say that what was sold was delivered: as a file, or as a note says.

    \b
    Example:
      econode auction deliver 3f9a --file logo.svg
    """
    if file is None and not note:
        raise typer.BadParameter("give --file or --note")
    with open_client(home, committee) as client:
        blob = None
        if file is not None:
            blob = client.put_blob(auction_files.read_delivery(file)).digest
        award = client.auctions.deliver(auction, winner, blob, note)
    pairs = [("delivered to", award.winner), ("lots", ", ".join(award.lots)), ("blob", blob or "")]
    show(award, json, lambda: render_pairs([pair for pair in pairs if pair[1]]))


@app.command("accept")
def accept(
    auction: AuctionArgument,
    paid_ppm: Annotated[
        int,
        typer.Option(
            "--paid-ppm", min=1, max=PPM, help="Millionths of the price to pay; the rest burns."
        ),
    ] = PPM,
    winner: WinnerOption = None,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Accept a delivery, whole or in part. Silence until the deadline pays in full.

    \b
    Example:
      econode auction accept 3f9a
    """
    with open_client(home, committee) as client:
        award = client.auctions.accept(auction, winner, paid_ppm)
    pairs = [("accepted", ", ".join(award.lots)), ("paid", award.paid), ("of", award.price)]
    show(award, json, lambda: render_pairs(pairs))


def _parse_lots(texts: list[str], text: str) -> "tuple[AuctionLot, ...]":
    from node.service_auctions import AuctionLot

    lots = []
    for number, item in enumerate(texts):
        name, colon, limit = item.rpartition(":")
        if not colon:
            name, limit = item, "0"
        lots.append(
            AuctionLot(
                name=_check_name(name),
                limit=_parse_amount(limit, item, 0),
                text=text if number == 0 else "",
            )
        )
    return tuple(lots)


def _parse_bundle(text: str) -> "AuctionBundle":
    from node.service_auctions import AuctionBundle

    names, colon, price = text.rpartition(":")
    if not colon:
        raise typer.BadParameter(f"{text!r} is not LOT[,LOT]:PRICE")
    lots = tuple(_check_name(name.strip()) for name in names.split(","))
    return AuctionBundle(lots=lots, price=_parse_amount(price, text, 1))


def _check_name(name: str) -> str:
    if not 1 <= len(name) <= 64:
        raise typer.BadParameter(f"{name!r}: a lot's name has 1 to 64 characters")
    return name


def _parse_amount(text: str, where: str, least: int) -> int:
    digits = text.strip()
    is_number = digits.lstrip("-").isascii() and digits.lstrip("-").isdigit() and len(digits) < 25
    value = int(digits) if is_number else -1
    if not is_number or not least <= value <= CREDITS_MAX:
        raise typer.BadParameter(
            f"{where!r}: {digits[:25]!r} is no amount of credits from {least} to {CREDITS_MAX}"
        )
    return value

"""econode stake show, transfer, bond, unbond: credits."""

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
    parse_duration,
    render_pairs,
    render_table,
    show,
)

if TYPE_CHECKING:
    from node.client import NodeClient
    from node.crossing_answers import Crossings
    from node.service import Account
    from node.service_views import StakeFacts

AMOUNT_MAX = (1 << 63) - 1
FACTS_MAX = 100
"""`node.service_views.STAKE_FACTS_PER_PAGE_MAX`, which takes long to import."""
POLL_S = 0.2
"""Time between two questions how far a transfer is."""

stake_app = make_app("Credits: who has how many, pay, bond.")
AmountArgument = Annotated[int, typer.Argument(min=1, max=AMOUNT_MAX, help="Credits.")]

PeerArgument = Annotated[
    str | None, typer.Argument(metavar="[PEERID]", help="Only this one.", show_default=False)
]


@stake_app.command("show")
def show_stake(
    account: PeerArgument = None,
    certificates: Annotated[
        bool,
        typer.Option("--certificates", help="With PEERID: its newest facts, each with its proof."),
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=FACTS_MAX, help="At most so many facts.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Go on where a page of facts ended.")
    ] = None,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show the credits of all accounts or of one.

    With --certificates also the facts that name the account. --json has them whole:
    fact, Merkle path, headers and the quorum's certificate.

    \b
    Example:
      econode stake show
      econode stake show 12D3KooW… --certificates
    """
    import msgspec

    if certificates and account is None:
        raise typer.BadParameter("--certificates needs a PEERID")
    with open_client(home, committee) as client:
        stake, crossing = client.stake(account), client.crossings()
        facts = client.stake_facts(account, limit, cursor) if certificates and account else None
    head = ("account", "free", "bonded", "leaving", "locked", "escrow")
    rows = [
        (a.peer_id, a.free, a.bonded, count_leaving(a), a.locked, a.escrow) for a in stake.accounts
    ]
    sums = [
        ("in transit", stake.transit),
        ("treasury", stake.treasury),
        ("burned", stake.burned),
        ("minted", stake.minted),
        ("conserved", "yes" if stake.conserved else "NO"),
        ("after position", stake.position),
    ]
    document = {**msgspec.to_builtins(stake), **msgspec.to_builtins(crossing)}
    lines = [*render_table(head, rows), "", *render_pairs(sums), *_render_crossings(crossing)]
    if facts is not None:
        document["proven"] = msgspec.to_builtins(facts)
        lines += ["", *_render_facts(facts)]
    show(document, json, lambda: lines)
    if facts is not None and facts.next is not None:
        hint(f"more: --cursor {facts.next}", json)


def _render_facts(found: "StakeFacts") -> list[str]:
    head = ("position", "fact", "moves", "certified by")
    rows = [
        (
            fact.position,
            fact.fact["kind"],
            ", ".join(
                f"{move['amount']} {move['source_bucket']} to {move['target_bucket']}"
                for move in fact.fact["moves"]
                if found.account in (move["source"], move["target"])
            ),
            "nothing yet" if fact.certified is None else f"position {fact.certified}",
        )
        for fact in found.facts
    ]
    return render_table(head, rows) if rows else ["no facts"]


def _render_crossings(found: "Crossings") -> list[str]:
    """The borders, and what is on its way over them."""
    lines: list[str] = []
    if found.borders:
        head = ("border to", "sent", "arrived", "its epoch", "known until", "state")
        borders = [
            (
                *(b.committee, b.sent, b.arrived, b.epoch),
                datetime.fromtimestamp(b.stale_ms // 1000, UTC).isoformat(),
                "FROZEN" if b.frozen else "open",
            )
            for b in found.borders
        ]
        lines += ["", *render_table(head, borders)]
    if found.crossings:
        rows = [(c.source, c.target, c.to, c.amount, c.state) for c in found.crossings]
        way = ("on its way from", "to", "account", "amount", "state")
        lines += ["", *render_table(way, rows)]
    return lines


@stake_app.command("transfer")
def transfer(
    to: Annotated[str, typer.Argument(metavar="PEERID", help="The account to pay.")],
    amount: AmountArgument,
    committee: CommitteeOption = MAIN,
    to_committee: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Where that account is, if not there: a committee that formed this one, or that "
            "this one formed.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="How long to wait for what crosses: 60s, 5m.")
    ] = "60s",
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Pay free credits to another account, here or in a neighbouring committee.

    Answers when the payment is executed. With --to-committee it waits until the credits
    have arrived; they do so without it, too.

    \b
    Example:
      econode stake transfer 12D3KooW… 250
      econode stake transfer 12D3KooW… 250 --to-committee work
    """
    wait_ms = parse_duration(timeout)
    with open_client(home, committee) as client:
        if to_committee is not None and to_committee != committee:
            _cross(client, to, amount, to_committee, wait_ms, json)
            return
        done = client.transfer(to, amount)
    pairs = [("paid", amount), ("to", to), ("position", done.position)]
    show(done, json, lambda: render_pairs(pairs))


def _cross(
    client: "NodeClient", to: str, amount: int, to_committee: str, wait_ms: int, json: bool
) -> None:
    """Send credits to another committee, and tell how far they are until they have arrived."""
    import time

    from node.problem import Problem

    deadline = time.monotonic() + wait_ms / 1000
    now = client.export(to, amount, to_committee)
    hint(f"left {now.source} at position {now.exported_position}", json)
    told = "exported"
    while now.state != "imported":
        if time.monotonic() > deadline:
            raise Problem(
                "on-its-way",
                f"{amount} credits have left {now.source} and not arrived in {now.target} yet",
                remedy="nodes go on without you: `econode stake show` tells how far they are",
                status=504,
            )
        time.sleep(POLL_S)
        now = client.crossing(now.operation)
        if now.state == "certified" and told != now.state:
            told = now.state
            hint(f"a quorum of {now.source} has signed that; it is proven to {now.target}", json)
    arrived = "" if now.imported_position is None else now.imported_position
    pairs = [
        *(("paid", amount), ("to", to), ("in", now.target)),
        (f"position in {now.source}", now.exported_position),
        (f"position in {now.target}", arrived),
    ]
    show(now, json, lambda: render_pairs(pairs))


@stake_app.command("bond")
def bond(
    amount: AmountArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Bond free credits: security for this node's honesty.

    A larger bond opens auctions (bond_min) and membership (member_bond_min). It burns
    when a lie is proven.

    \b
    Example:
      econode stake bond 1000
    """
    with open_client(home, committee) as client:
        done = client.bond(amount)
    pairs = [("bonded", amount), ("position", done.position)]
    show(done, json, lambda: render_pairs(pairs))


@stake_app.command("unbond")
def unbond(
    amount: AmountArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Take a part of the bond back.

    It is free after the network's unbonding_ms, and burns until then if a lie is proven.
    It counts for nothing else any more.

    \b
    Example:
      econode stake unbond 1000
    """
    with open_client(home, committee) as client:
        done = client.unbond(amount)
    due_s = done.fact["due_ms"] // 1000
    due = datetime.fromtimestamp(due_s, UTC).isoformat()
    pairs = [("on its way out", amount), ("free from", due), ("position", done.position)]
    show(done, json, lambda: render_pairs(pairs))


def count_leaving(account: "Account") -> int:
    """How much of the account's bond is on its way out."""
    return sum(unbonding.amount for unbonding in account.unbondings)

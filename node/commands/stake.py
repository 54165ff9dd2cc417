"""econode stake show, transfer, bond, unbond: credits."""

from datetime import UTC, datetime
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
    show,
)
from node.service import Account
from node.service_views import STAKE_FACTS_PER_PAGE_MAX, StakeFacts

AMOUNT_MAX = (1 << 63) - 1

stake_app = make_app("Credits: who has how many, paying and bonding them.")
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
    limit: Annotated[
        int, typer.Option(min=1, max=STAKE_FACTS_PER_PAGE_MAX, help="At most so many facts.")
    ] = 20,
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
    if certificates and account is None:
        raise typer.BadParameter("--certificates needs a PEERID")
    with open_client(home, committee) as client:
        stake = client.stake(account)
        facts = client.stake_facts(account, limit, cursor) if certificates and account else None
    head = ("account", "free", "bonded", "leaving", "locked", "escrow", "transit")
    rows = [
        (a.peer_id, a.free, a.bonded, count_leaving(a), a.locked, a.escrow, a.transit)
        for a in stake.accounts
    ]
    sums = [
        ("treasury", stake.treasury),
        ("burned", stake.burned),
        ("minted", stake.minted),
        ("conserved", "yes" if stake.conserved else "NO"),
        ("after position", stake.position),
    ]
    lines = [*render_table(head, rows), "", *render_pairs(sums)]
    if facts is None:
        show(stake, json, lambda: lines)
        return
    import msgspec

    document = {**msgspec.to_builtins(stake), "proven": facts}
    show(document, json, lambda: [*lines, "", *_render_facts(facts)])
    if facts.next is not None:
        hint(f"more: --cursor {facts.next}", json)


def _render_facts(found: StakeFacts) -> list[str]:
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


@stake_app.command("transfer")
def transfer(
    to: Annotated[str, typer.Argument(metavar="PEERID", help="The account to pay.")],
    amount: AmountArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Pay free credits to another account.

    Answers when the payment is executed.

    \b
    Example:
      econode stake transfer 12D3KooW… 250
    """
    with open_client(home, committee) as client:
        done = client.transfer(to, amount)
    pairs = [("paid", amount), ("to", to), ("position", done.position)]
    show(done, json, lambda: render_pairs(pairs))


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


def count_leaving(account: Account) -> int:
    """How much of the account's bond is on its way out."""
    return sum(unbonding.amount for unbonding in account.unbondings)

"""econode stake show, transfer, bond, unbond and reputation show: credits and scores."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    make_app,
    open_client,
    render_pairs,
    render_table,
    show,
)
from node.service import Account

AMOUNT_MAX = (1 << 63) - 1

stake_app = make_app("Credits: who has how many, paying and bonding them.")
AmountArgument = Annotated[int, typer.Argument(min=1, max=AMOUNT_MAX, help="Credits.")]

reputation_app = make_app("Scores that agents earned.")

PeerArgument = Annotated[
    str | None, typer.Argument(metavar="[PEERID]", help="Only this one.", show_default=False)
]


@stake_app.command("show")
def show_stake(
    account: PeerArgument = None,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show the credits of all accounts or of one.

    \b
    Example:
      econode stake show
    """
    with open_client(home, committee) as client:
        stake = client.stake(account)
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
    show(stake, json, lambda: [*render_table(head, rows), "", *render_pairs(sums)])


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


@reputation_app.command("show")
def show_reputation(
    agent: PeerArgument = None,
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
    head = ("agent", "score ppm", "good", "bad", "banned")
    rows = [
        (score.peer_id, score.score_ppm, score.good, score.bad, "yes" if score.banned else "no")
        for score in found.scores
    ]
    sums = [("snapshot", found.snapshot), ("root", found.root)]
    show(found, json, lambda: [*render_table(head, rows), "", *render_pairs(sums)])

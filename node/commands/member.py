"""econode member join, leave, list: who the members of the committee are."""

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

BOND_MAX = (1 << 63) - 1

app = make_app("The committee's members: join, leave.")


@app.command("list")
def list_members(
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show the members, and the epoch since when they are.

    \b
    Example:
      econode member list
    """
    with open_client(home, committee) as client:
        now = client.members()
    head = ("member", "bonded", "connected", "address")
    rows = [
        (member.peer_id, member.bonded, "yes" if member.connected else "no", member.address)
        for member in now.members
    ]
    sums = [
        ("epoch", f"{now.epoch}, after position {now.start}"),
        ("committee", f"n = {now.n}, f = {now.f}, q = {now.q}"),
    ]
    show(now, json, lambda: [*render_table(head, rows), "", *render_pairs(sums)])


@app.command("join")
def join(
    bond: Annotated[
        int | None,
        typer.Option(
            "--bond",
            min=0,
            max=BOND_MAX,
            metavar="N",
            help="Free credits to bond. [what is missing to the least bond]",
        ),
    ] = None,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Have this node become a member.

    It must be funded and running, and from then on always on: a committee of n
    members survives f = (n - 1) // 3 that are not there. Answers when it is ordered.

    \b
    Example:
      econode member join --bond 10000
    """
    with open_client(home, committee) as client:
        done = client.join_committee(bond)
    pairs = [("joined after position", done.position), ("bonded", done.fact["bond"])]
    show(done, json, lambda: render_pairs(pairs))
    hint("see `econode member list`; `econode status` shows the role", json)


@app.command("leave")
def leave(
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Have this node be a member no longer.

    It goes on as an observer; its bond stays bonded. A committee of four keeps its
    members. Answers when it is ordered.

    \b
    Example:
      econode member leave
    """
    with open_client(home, committee) as client:
        done = client.leave_committee()
    show(done, json, lambda: render_pairs([("left after position", done.position)]))

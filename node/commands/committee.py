"""econode committee form, consent, list, show: further committees of the network."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    make_app,
    open_client,
    parse_duration,
    render_pairs,
    render_table,
    shorten,
    show,
)

if TYPE_CHECKING:
    from node.client import NodeClient
    from node.service import Committee

BOND_DEFAULT = 1_000
FREE_DEFAULT = 1_000
CREDITS_MAX = (1 << 63) - 1

app = make_app("Committees, each with a log of its own.")

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A committee's name or id.")]


@app.command("form")
def form(
    name: Annotated[str, typer.Argument(help="What people call it: a-z 0-9 _ -.")],
    members: Annotated[
        list[str],
        typer.Option("--member", metavar="PEERID", help="A member, four or more; repeatable."),
    ],
    bond: Annotated[
        int, typer.Option(min=0, max=CREDITS_MAX, help="Each member's bond there, in credits.")
    ] = BOND_DEFAULT,
    free: Annotated[
        int, typer.Option(min=0, max=CREDITS_MAX, help="Each member's free credits there.")
    ] = FREE_DEFAULT,
    duration: Annotated[
        str, typer.Option(metavar="TIME", help="Time to consent: 60s, 5m, 1h.")
    ] = "1h",
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Propose a committee in the log of a standing one.

    It begins once each member has consented, this node too if it is one of them; --committee
    names the standing one. Each brings its bond and free credits from its account there.

    \b
    Example:
      econode committee form work --member 12D3KooWA… --member 12D3KooWB… \\
        --member 12D3KooWC… --member 12D3KooWD…
    """
    duration_ms = parse_duration(duration)
    with open_client(home, committee) as client:
        done = client.form_committee(name, members, bond, free, duration_ms)
    pairs = [("proposed", name), ("id", done.fact["committee"]), ("position", done.position)]
    show(done, json, lambda: render_pairs(pairs))


@app.command("consent")
def consent(
    name: NameArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Consent to a proposed committee that names this node.

    Its bond and free credits leave this account; look at the terms first: committee show NAME.

    \b
    Example:
      econode committee consent work
    """
    with open_client(home, committee) as client:
        proposal = _find(client, name, committee)
        done = client.consent_committee(proposal.id)
    stands = "formed" if done.fact["kind"] == "committee_formed" else "waits for others"
    pairs = [("committee", proposal.name), ("state", stands), ("position", done.position)]
    show(done, json, lambda: render_pairs(pairs))


@app.command("list")
def list_committees(home: HomeOption = None, json: JsonOption = False) -> None:
    """List the committees that this node knows of.

    \b
    Example:
      econode committee list
    """
    with open_client(home) as client:
        found = client.committees()
    head = ("name", "state", "members", "this node", "id")
    rows = [
        (item.name, _describe_state(item), len(item.members), item.role, shorten(item.id))
        for item in found.committees
    ]
    show(found, json, lambda: render_table(head, rows))


@app.command("show")
def show_committee(name: NameArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Show a committee: its members and terms, and who has consented.

    \b
    Example:
      econode committee show work
    """
    with open_client(home) as client:
        found = _find(client, name)
    pairs = [
        ("name", found.name),
        ("id", found.id),
        ("state", _describe_state(found)),
        ("parent", found.parent or "the genesis"),
        ("this node", found.role),
        ("bond", "see the genesis" if found.bond is None else found.bond),
        ("free", "see the genesis" if found.free is None else found.free),
    ]
    if found.deadline_ms is not None:
        pairs.append(("deadline", f"{found.deadline_ms} ms"))
    pairs += [("member", _describe_member(found, peer)) for peer in found.members]
    show(found, json, lambda: render_pairs(pairs))


def _find(client: "NodeClient", name: str, parent: str | None = None) -> "Committee":
    """The committee of that name or id; with `parent`, the proposal there."""
    from node.problem import not_found

    for item in client.committees().committees:
        if parent is None:
            names = [item.name, item.id]
        elif item.state == "proposed" and item.parent == parent:
            names = [item.name, item.name.rpartition("/")[2], item.id]
        else:
            continue
        if name in names:
            return item
    kind = "committee" if parent is None else "proposed committee"
    raise not_found(kind, name, "`econode committee list` shows those there are")


def _describe_state(committee: "Committee") -> str:
    if committee.state == "standing":
        return "standing"
    return f"proposed ({len(committee.consented)} of {len(committee.members)} consented)"


def _describe_member(committee: "Committee", peer: str) -> str:
    if committee.state == "standing":
        return peer
    return f"{peer}  {'consented' if peer in committee.consented else 'not yet'}"

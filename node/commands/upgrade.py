"""econode upgrade status, list, consent: which version of the semantics a committee follows."""

from typing import TYPE_CHECKING, Annotated

import typer

from crdt.facts_upgrades import SEMANTICS_MAX
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

if TYPE_CHECKING:
    from node.service_upgrades import Upgrades, Version

app = make_app("Versions of the rules: list, switch.")


@app.command("status")
def status(
    committee: CommitteeOption = MAIN, home: HomeOption = None, json: JsonOption = False
) -> None:
    """Show which version holds, and which ones the members' programs execute.

    \b
    Example:
      econode upgrade status
    """
    with open_client(home, committee) as client:
        now = client.upgrades()
    head = ("member", "executes up to", "release", "consents to")
    rows = [
        (each.peer_id, each.semantics, each.program or "not announced", each.consents)
        for each in now.members
    ]
    pairs = [
        ("semantics", f"version {now.semantics}, since epoch {_find_epoch(now)}"),
        ("this program", f"{now.program}, executes up to version {now.supported}"),
        ("a switch needs", f"{now.q} of {now.n} members who announced and consented"),
    ]
    show(now, json, lambda: [*render_table(head, rows), "", *render_pairs(pairs)])


@app.command("list")
def list_versions(
    committee: CommitteeOption = MAIN, home: HomeOption = None, json: JsonOption = False
) -> None:
    """List the versions that this program or the committee's log knows.

    \b
    Example:
      econode upgrade list
    """
    with open_client(home, committee) as client:
        now = client.upgrades()
    head = ("version", "since", "changes")
    rows = [
        (each.semantics, _describe_since(each), each.changes or "(this program is older)")
        for each in now.versions
    ]
    show(now.versions, json, lambda: render_table(head, rows))


@app.command("consent")
def consent(
    version: Annotated[
        int, typer.Argument(min=1, max=SEMANTICS_MAX, metavar="VERSION", help="The newer version.")
    ],
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Have this node, a member, consent to the switch to a newer version.

    The first consent proposes it. With the consents of a quorum the epoch ends, and what follows
    is executed by the new version; no version comes back. A member whose program does not execute
    it takes no part from there on, until it runs one that does.

    \b
    Example:
      econode upgrade consent 2
    """
    with open_client(home, committee) as client:
        done = client.consent_upgrade(version)
    is_done = done.fact["kind"] == "epoch_began"
    state = f"switched after position {done.position}" if is_done else "waits for others"
    show(done, json, lambda: render_pairs([("version", version), ("state", state)]))
    hint("see `econode upgrade status`", json)


def _find_epoch(now: "Upgrades") -> int | None:
    return next(each.epoch for each in now.versions if each.semantics == now.semantics)


def _describe_since(version: "Version") -> str:
    if version.epoch is None:
        return "not yet"
    where = "" if version.position is None else f", after position {version.position}"
    return f"epoch {version.epoch}{where}"

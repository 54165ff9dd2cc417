"""econode evidence list, show, submit, verify: proven offences, here and in files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.common import (
    HomeOption,
    JsonOption,
    hint,
    make_app,
    open_client,
    render_pairs,
    render_table,
    shorten,
    show,
)
from node.commands.trust import read_trusted

if TYPE_CHECKING:
    from node.service_evidence import EvidenceItem

LIMIT_MAX = 1_000
_ID_DIGITS = 16

app = make_app("Proof of offences: see, file, submit.")


@app.command("list")
def list_evidence(
    limit: Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="At most so many.")] = 50,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List the offences that this node has evidence of, the newest first.

    \b
    Example:
      econode evidence list
    """
    with open_client(home) as client:
        found = client.list_evidence(limit)
    head = ("id", "kind", "offender", "committee", "signed twice", "state", "punished")
    rows = [
        (
            *(shorten(item.id, _ID_DIGITS), item.kind, item.offender, item.committee),
            f"{item.statement} {_render_slot(item)}",
            item.state,
            "; ".join(_describe_punished(item)),
        )
        for item in found.evidence
    ]
    show(found, json, lambda: render_table(head, rows) if rows else ["no evidence of any offence"])
    if found.total > len(found.evidence):
        hint(f"{found.total - len(found.evidence)} more: --limit N", json)


IdArgument = Annotated[str, typer.Argument(metavar="ID", help="First hex digits of an id.")]


@app.command("show")
def show_evidence(
    id_: IdArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the evidence there, too.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show one offence, what became of it, and write its evidence as a file.

    \b
    Example:
      econode evidence show 1f2e3d4c --out liar.evidence
    """
    from node.files import write_atomic

    with open_client(home) as client:
        item = client.show_evidence(id_)
        data = client.get_evidence_file(item.id) if out is not None else b""
    if out is not None:
        write_atomic(out, data)
    show(item, json, lambda: _render(item))
    if out is not None:
        hint(f"check it anywhere: econode evidence verify {out} --genesis genesis.json", json)


FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="A file of evidence.")]


@app.command("submit")
def submit(
    file: FileArgument,
    committee: Annotated[
        str | None,
        typer.Option("--committee", metavar="NAME", help="Who is to punish, if several can."),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Bring evidence forward: it is checked, told to others, and ordered.

    Whoever voted twice loses its bond, whoever forked its log is frozen, and borders to a committee
    that certified two heads are closed. What proves nothing new is refused before it costs a fee.

    \b
    Example:
      econode evidence submit liar.evidence
    """
    from node.evidence_files import read_bytes

    data = read_bytes(file)
    with open_client(home) as client:
        item = client.submit_evidence(data, committee)
    show(item, json, lambda: _render(item))


@app.command("verify")
def verify(
    file: FileArgument,
    genesis: Annotated[
        Path | None, typer.Option("--genesis", metavar="FILE", help="Trust this genesis. [home's]")
    ] = None,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", metavar="FILE", help="Trust the members in this saved anchor."),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check a file of evidence offline; needs no node and no ledger.

    A genesis knows the first members of its founding committee. Evidence of later epochs, or of
    other committees, needs an anchor of that epoch: econode ledger verify --light FILE
    --save-anchor ANCHOR.

    \b
    Example:
      econode evidence verify liar.evidence --genesis genesis.json
    """
    from node.evidence_files import verify_file

    if genesis is not None and anchor is not None:
        raise typer.BadParameter("trust --genesis or --anchor, not both")
    document = verify_file(file, read_trusted(genesis, anchor, home))
    show(document, json, lambda: _render_proven(document))


def _render_proven(document: dict[str, Any]) -> list[str]:
    pairs = [(name, value) for name, value in document.items() if name != "proven" and value != ""]
    return render_pairs([("evidence", "sound"), *pairs])


def _render(item: "EvidenceItem") -> list[str]:
    pairs: list[tuple[str, Any]] = [
        ("offence", item.id),
        ("kind", item.kind),
        ("offender", item.offender),
    ]
    if item.committee:
        pairs.append(("committee", f"{item.committee}, epoch {item.epoch}"))
    pairs += [("signed twice", f"{item.statement} {_render_slot(item)}"), ("state", item.state)]
    pairs += [("punished", line) for line in _describe_punished(item)]
    if item.halted:
        pairs.append(("halted", "this node takes no part in that committee any more"))
    pairs += [("signed both", peer) for peer in item.double_signers]
    return render_pairs(pairs)


def _render_slot(item: "EvidenceItem") -> str:
    *before, position = item.slot
    place = "view" if item.statement in ("view_change", "new_view") else "position"
    return " ".join([f"{place} {position}", *(f"in view {view}" for view in before)])


def _describe_punished(item: "EvidenceItem") -> list[str]:
    found = []
    for each in item.punished:
        at = "" if each.position is None else f" at position {each.position}"
        match each.what:
            case "slashed":
                amount = "its bond" if each.amount is None else f"{each.amount} credits"
                found.append(f"{amount} burned in {each.committee}{at}")
            case "frozen-log":
                found.append(f"its log is frozen{at}")
            case "frozen-border":
                found.append(f"the border of {each.committee} to it is closed")
    return found

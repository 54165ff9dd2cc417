"""econode proof: what a quorum has certified, as a file that anybody checks without a node."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from node.commands.common import (
    HomeOption,
    JsonOption,
    hint,
    make_app,
    open_client,
    open_home,
    render_pairs,
    show,
)

if TYPE_CHECKING:
    from node.proven import Proven

Asked = Literal[
    "task", "result", "auction", "variable", "halt", "evidence", "members", "account", "reputation"
]
DETAIL_CHARS_MAX = 160

app = make_app("Proofs of what is certified: get, verify.")


@app.command("get")
def get(
    about: Annotated[Asked, typer.Argument(help="What is proven.", show_default=False)],
    name: Annotated[
        str,
        typer.Argument(
            metavar="[ID]",
            help="First digits of an id, a variable's or a capability's name, a PeerId. For "
            "members: nothing.",
        ),
    ] = "",
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")] = Path(
        "proof.json"
    ),
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Ask the running node for what is certified of something, with the proof.

    It is the API's answer to `?proof=1`. An account and a reputation are proven as of the newest
    certified state, the others by the last facts about them.

    \b
    Example:
      econode proof get task 1f2e3d4c --out task.json
      econode proof get account 12D3KooW... --out balance.json
    """
    from node.files import write_atomic

    if (about == "members") == bool(name):
        raise typer.BadParameter("give an ID, except for members")
    with open_client(home) as client:
        data = client.prove(about, name)
    write_atomic(out, data + b"\n")
    found = {"file": str(out), "bytes": len(data)}
    show(found, json, lambda: render_pairs(list(found.items())))
    hint("check it anywhere: econode proof verify FILE --genesis genesis.json", json)


@app.command("verify")
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An answer with its proof.")],
    genesis: Annotated[
        Path | None,
        typer.Option("--genesis", metavar="FILE", help="The network's genesis. [home's]"),
    ] = None,
    anchor: Annotated[
        Path | None,
        typer.Option("--anchor", metavar="FILE", help="Trust this saved anchor's members."),
    ] = None,
    result: Annotated[
        Path | None,
        typer.Option("--result", metavar="FILE", help="Also check that this is the result."),
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check an answer of the API that came with its proof. Needs no node and no ledger.

    Ends with 1 where anything in it, down to a byte, does not follow from the signatures of a
    quorum. An anchor (`econode ledger verify --light FILE --save-anchor`) is needed once the
    genesis is older than the network's `unbonding_ms`.

    \b
    Example:
      econode proof verify task.json --genesis genesis.json
    """
    import time

    from node.home import read_genesis
    from node.light_files import read_anchor
    from node.proof_files import check_result, verify_document
    from node.proven import Trust
    from protocols.light import make_anchor

    found = open_home(home).load_genesis() if genesis is None else read_genesis(genesis)
    trusted = make_anchor(found) if anchor is None else read_anchor(anchor)
    proven = verify_document(file, Trust(found, trusted), time.time_ns() // 1_000_000)
    if result is not None:
        check_result(result, proven)
    show(proven, json, lambda: _render(proven))


def _render(proven: "Proven") -> list[str]:
    signed = f"{proven.signers} of {len(proven.members)} members of epoch {proven.epoch}"
    pairs: list[tuple[str, object]] = [("proof", "sound"), ("about", proven.about)]
    pairs += [("id", proven.id)] if proven.id else []
    pairs += [("position", proven.position), ("certified", proven.certified_position)]
    pairs.append(("signed by", signed))
    if proven.account is not None:
        account = proven.account
        pairs += [(name, getattr(account, name)) for name in account.__struct_fields__]
    lines = render_pairs(pairs)
    for fact in proven.facts:
        fields = [f"{key}={value}" for key, value in fact.items() if key not in ("kind", "moves")]
        lines.append(f"    {fact['kind']} {' '.join(fields)}"[:DETAIL_CHARS_MAX])
    if proven.about == "members":
        lines += [f"    {member}" for member in proven.members]
    return lines

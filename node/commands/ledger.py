"""econode ledger log, prove, verify: read this node's own ledger file, running or not."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.common import (
    MAIN,
    CommitteeOption,
    HomeOption,
    JsonOption,
    hint,
    make_app,
    open_home,
    render_pairs,
    render_table,
    shorten,
    show,
)
from node.commands.trust import read_trusted

if TYPE_CHECKING:
    from node.service import Gap, LogPage

ENTRIES_MAX = 256
POSITION_MAX = (1 << 63) - 1
_DETAIL_CHARS_MAX = 160

app = make_app("Read and check this node's ledger.")


@app.command("log")
def log(
    start: Annotated[
        int, typer.Option("--from", min=0, max=POSITION_MAX, help="First position.")
    ] = 0,
    limit: Annotated[int, typer.Option(min=1, max=ENTRIES_MAX, help="At most so many.")] = 50,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what a committee ordered.

    \b
    Example:
      econode ledger log --from 10 --limit 5
    """
    from node.ledger_file import find_committee, read_log

    place = open_home(home)
    place.check_initialised()
    network = place.load_genesis().compute_network_id()
    id_ = find_committee(place.ledger_path, network, committee)
    page = read_log(place.ledger_path, id_, start, limit)
    show(page, json, lambda: _render(page) or [f"no entry from position {start} on"])
    if len(page.entries) == limit:
        hint(f"more: --from {page.next}", json)


def _render(page: "LogPage") -> list[str]:
    lines, gaps = [], list(page.not_held)
    for entry in page.entries:
        while gaps and gaps[0].end < entry.position:
            lines.append(_describe_gap(gaps.pop(0)))
        proven = "certified" if entry.certified else "not certified yet"
        lines.append(f"{entry.position}  {shorten(entry.hash)}  {proven}")
        lines += [f"    {_describe(fact)}" for fact in entry.facts]
    return lines + list(map(_describe_gap, gaps))


def _describe_gap(gap: "Gap") -> str:
    return f"{gap.start} to {gap.end}  not held: the log goes on behind the certified state there"


def _describe(fact: dict[str, Any]) -> str:
    """One line: the kind, then the fields that people look for."""
    fields = [
        f"{name}={_shorten_value(value)}"
        for name, value in fact.items()
        if name not in ("kind", "moves") and value is not None
    ]
    moved = sum(move["amount"] for move in fact["moves"])
    if moved:
        fields.append(f"moves={moved}")
    return f"{fact['kind']} {' '.join(fields)}"[:_DETAIL_CHARS_MAX]


def _shorten_value(value: Any) -> str:
    if isinstance(value, list):
        return f"[{len(value)}]"
    text = str(value)
    return f"{text[:16]}…" if len(text) > 20 else text


@app.command("prove")
def prove(
    task: Annotated[
        str | None,
        typer.Argument(metavar="[TASK]", help="First hex digits of a task's id."),
    ] = None,
    position: Annotated[
        int | None,
        typer.Option("--position", min=1, max=POSITION_MAX, help="Instead: all facts there."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write it.")] = Path(
        "proof.econode"
    ),
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write a light proof: anybody can check it with the genesis alone.

    It proves how a task ended, or the facts of one position.

    \b
    Example:
      econode ledger prove 1f2e3d4c --out result.proof
    """
    from node.files import write_atomic
    from node.ledger_prove import prove as make_proof
    from protocols.genesis import MAIN_COMMITTEE, compute_committee_id
    from protocols.light import encode_bundle

    if (task is None) == (position is None):
        raise typer.BadParameter("give a TASK or --position N")
    place = open_home(home)
    place.check_initialised()
    network = place.load_genesis().compute_network_id()
    committee = compute_committee_id(network, MAIN_COMMITTEE)
    bundle = make_proof(
        place.ledger_path, network, committee, task=task or "", position=position or 0
    )
    data = encode_bundle(bundle)
    write_atomic(out, data)
    found = {
        "file": str(out),
        "bytes": len(data),
        "position": bundle.entry.header.position,
        "facts": len(bundle.entry.facts),
        "epochs": len(bundle.epochs),
        "headers": len(bundle.headers),
    }
    show(found, json, lambda: render_pairs(list(found.items())))
    hint("check it anywhere: econode ledger verify --light FILE --genesis genesis.json", json)


LightOption = Annotated[
    Path | None,
    typer.Option("--light", metavar="FILE", help="Check this proof instead; needs no ledger."),
]
GenesisOption = Annotated[
    Path | None,
    typer.Option(
        "--genesis", metavar="FILE", help="With a file or --light: trust this genesis. [home's]"
    ),
]
AnchorOption = Annotated[
    Path | None,
    typer.Option("--anchor", metavar="FILE", help="With --light: trust this saved anchor."),
]
SaveOption = Annotated[
    Path | None,
    typer.Option("--save-anchor", metavar="FILE", help="With --light: what to trust next time."),
]


@app.command("verify")
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FILE]", help="Check this exported file of logs instead; needs no ledger."
        ),
    ] = None,
    light: LightOption = None,
    genesis: GenesisOption = None,
    anchor: AnchorOption = None,
    save_anchor: SaveOption = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Check the whole ledger file anew, an exported file of logs, or a light proof.

    Every hash, signature, certificate and balance.
    Ends with 1 and names what is wrong if anything was changed. The node may be running.

    \b
    Example:
      econode ledger verify
      econode ledger verify logs.econode --genesis genesis.json
      econode ledger verify --light result.proof --genesis genesis.json
    """
    if file is not None:
        if (light, anchor, save_anchor) != (None, None, None):
            raise typer.BadParameter("--light, --anchor and --save-anchor do not go with FILE")
        _verify_file(file, genesis, home, json)
    elif light is not None:
        if genesis is not None and anchor is not None:
            raise typer.BadParameter("trust --genesis or --anchor, not both")
        _verify_light(light, genesis, anchor, save_anchor, home, json)
    elif (genesis, anchor, save_anchor) != (None, None, None):
        raise typer.BadParameter("--genesis goes with FILE or --light, the others with --light")
    else:
        _verify_ledger(home, json)


def _verify_light(
    light: Path,
    genesis: Path | None,
    anchor: Path | None,
    save_anchor: Path | None,
    home: Path | None,
    json: bool,
) -> None:
    import time

    from node.light_files import describe, verify_file, write_anchor

    trusted = read_trusted(genesis, anchor, home)
    proven = verify_file(light, trusted, time.time_ns() // 1_000_000)
    if save_anchor is not None:
        write_anchor(save_anchor, proven.anchor)
    document = describe(proven)
    show(document, json, lambda: _render_proven(document))


def _render_proven(document: dict[str, Any]) -> list[str]:
    names = ("position", "time_ms", "epoch", "certified_position")
    signed = f"{document['signers']} of {document['members']} members"
    pairs = [("proof", "sound"), *((name, document[name]) for name in names), ("signed by", signed)]
    return [*render_pairs(pairs), *(f"    {_describe(fact)}" for fact in document["facts"])]


def _verify_file(file: Path, genesis: Path | None, home: Path | None, json: bool) -> None:
    from node.home import read_genesis
    from node.ledger_import import verify_archive

    found = open_home(home).load_genesis() if genesis is None else read_genesis(genesis)
    report = verify_archive(file, found)
    document = report.describe()
    show(document, json, lambda: _render_report(document))
    if not report.is_valid:
        hint("error: what this file says is not proven", json)
        hint("  remedy: have it exported anew, or from another node", json)
        raise typer.Exit(1)


def _verify_ledger(home: Path | None, json: bool) -> None:
    from node.ledger_verify import verify_ledger

    place = open_home(home)
    place.check_initialised()
    genesis = place.load_genesis()
    if not place.ledger_path.exists():
        from node.ledger_file import no_ledger

        raise no_ledger(place.ledger_path)
    report = verify_ledger(place.ledger_path, genesis)
    document = report.describe()
    show(document, json, lambda: _render_report(document))
    if not report.is_valid:
        hint("error: what this file says is not proven", json)
        hint("  remedy: move it away and start: the node fetches it again from its peers", json)
        raise typer.Exit(1)


def _describe_part(part: dict[str, Any]) -> str:
    conserved = "conserved" if part["conserved"] else "NOT CONSERVED"
    return f"position {part['position']}, {part['batches']} batches, {conserved}"


def _render_report(document: dict[str, Any]) -> list[str]:
    verdict = "sound" if document["valid"] else "NOT SOUND"
    pairs = [("ledger", verdict), ("conserved", "yes" if document["conserved"] else "NO")]
    counts = ("batches", "operations", "records", "certificates", "log_entries")
    names = ("position", "epoch", "head", *counts)
    pairs += [(name, document[name]) for name in names]
    held = ", ".join(f"{first} to {last}" for first, last in document["held"])
    pairs += [("held", held), *document["totals"].items()]
    pairs += [
        (f"committee {part['name']}", _describe_part(part)) for part in document["committees"][1:]
    ]
    findings = [(item["table"], item["row"], item["problem"]) for item in document["findings"]]
    lines = render_pairs([*pairs, ("problems", document["problems"])])
    return [*lines, "", *render_table(("table", "row", "problem"), findings)] if findings else lines

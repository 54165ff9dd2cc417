"""econode ledger export, import: logs as a file that anybody can check."""

from pathlib import Path
from typing import Annotated, Any

import typer

from node.commands.common import (
    HomeOption,
    JsonOption,
    hint,
    open_home,
    render_pairs,
    show,
)
from node.commands.ledger import app

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The file of logs.")]


@app.command("export")
def export(
    file: FileArgument,
    committee: Annotated[
        str | None,
        typer.Option(
            "--committee",
            metavar="NAME",
            help="This committee alone, and those it was formed below.",
        ),
    ] = None,
    author: Annotated[
        str | None, typer.Option("--author", metavar="PEER", help="This peer's log alone.")
    ] = None,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write the logs of this ledger into one file, with all that proves them.

    Committees' batches, facts and certificates, peers' entries and fork proofs. The node may be
    running.

    \b
    Example:
      econode ledger export logs.econode
      econode ledger export work.econode --committee work
    """
    import msgspec

    from identity.keys import parse_peer_id
    from node.ledger_export import export_logs
    from node.ledger_file import find_committee

    if committee is not None and author is not None:
        raise typer.BadParameter("give --committee or --author, not both")
    place = open_home(home)
    place.check_initialised()
    network = place.load_genesis().compute_network_id()
    id_ = None if committee is None else find_committee(place.ledger_path, network, committee)
    key = None if author is None else parse_peer_id(author)
    done = export_logs(place.ledger_path, network, file, committee=id_, author=key)
    document = {"file": str(file), **msgspec.to_builtins(done)}
    show(document, json, lambda: render_pairs(list(document.items())))
    hint(f"check it anywhere: econode ledger verify {file} --genesis genesis.json", json)


@app.command("import")
def import_(file: FileArgument, home: HomeOption = None, json: JsonOption = False) -> None:
    """Add the logs in a file to this ledger, once all of it is proven.

    Every signature, certificate and balance is checked against this home's genesis before anything
    is taken. What is held already stays; importing twice adds nothing. The node must not be
    running.

    \b
    Example:
      econode ledger import logs.econode
    """
    import time

    from node.ledger_import import import_archive

    place = open_home(home)
    place.check_initialised()
    genesis = place.load_genesis()
    with place.lock():
        done = import_archive(
            file,
            place.ledger_path,
            genesis,
            time.time_ns() // 1_000_000,
            lambda text: hint(f"{text} ...", json),
        )
    document: dict[str, Any] = {
        "file": str(file),
        "committees": [committee.hex() for committee in done.committees],
        "batches": done.batches,
        "certificates": done.certificates,
        "states": done.states,
        "entries": done.entries,
        "forks": done.forks,
        "skipped_authors": done.skipped_authors,
    }
    show(document, json, lambda: _render(document))


def _render(document: dict[str, Any]) -> list[str]:
    names = ("batches", "certificates", "states", "entries", "forks", "skipped_authors")
    pairs = [(f"new {name}", document[name]) for name in names[:-1]]
    return render_pairs(
        [
            ("file", document["file"]),
            ("committees", len(document["committees"])),
            *pairs,
            ("skipped authors", document["skipped_authors"]),
        ]
    )

"""econode ledger backup, restore, prune: care of what a home holds."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.archive import app
from node.commands.common import MAIN, HomeOption, JsonOption, hint, open_home, render_pairs, show
from node.commands.progress import show_progress

if TYPE_CHECKING:
    from node.backup_file import Manifest

_AGE = re.compile(r"(\d{1,6})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}
_HOURS_MAX = 10 * 366 * 24


@app.command("backup")
def backup(
    target: Annotated[
        Path,
        typer.Argument(metavar="FILE|DIR", help="A new file, or a folder to name one in."),
    ],
    with_key: Annotated[
        bool,
        typer.Option("--with-key", help="The key file, too, as it is: whoever has it is you."),
    ] = False,
    blobs: Annotated[
        bool, typer.Option("--blobs", help="Inputs and results, too; peers hold most of them.")
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Write ledger, votes, configuration and genesis into one file.

    The node may be running: both databases are copied as they are at one moment. The file is
    read again before this ends. What it leaves out, unless asked for: the key and the blobs.

    \b
    Example:
      econode ledger backup /backups
      econode ledger backup home.backup --with-key
    """
    from node.backup import write_backup

    place = open_home(home)
    with show_progress(json) as progress:
        path, manifest = write_backup(
            place, target, with_key=with_key, with_blobs=blobs, progress=progress
        )
    document = _describe(manifest) | {"file": str(path), "bytes": path.stat().st_size}
    show(document, json, lambda: _render(document))
    if not with_key:
        hint(f"the key is not in it: keep {place.key_path} elsewhere, or use --with-key", json)
    elif not _is_sealed(place.key_path):
        hint("the key in it is not sealed: whoever reads the file can act as this node", json)


@app.command("restore")
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="What `backup` wrote.")],
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="The key file, where the backup has none."),
    ] = None,
    votes_are_current: Annotated[
        bool,
        typer.Option(
            "--votes-are-current",
            help="Nothing was signed with this key since the backup: it was stopped before, and "
            "never started again. If that is wrong, it votes twice and loses its bond.",
        ),
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Make a new home of a backup.

    The node fetches from its peers what was ordered since. As a member it observes first, until
    the others have gone beyond whatever it may have signed after the backup: never start the old
    home again.

    \b
    Example:
      econode ledger restore home.backup --home /srv/econode
    """
    from node.restore import restore_backup

    place = open_home(home)
    with show_progress(json) as progress:
        manifest = restore_backup(
            source, place, key=key, votes_are_current=votes_are_current, progress=progress
        )
    document = _describe(manifest) | {"home": str(place.path), "observes": not votes_are_current}
    show(document, json, lambda: _render(document))
    hint("on another machine: see [network] listen and announce in its config.toml", json)
    hint("never start the home that this was a backup of again", json)


@app.command("prune")
def prune(
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="TIME", help="Keep this much: 12h, 30d, 52w."),
    ] = None,
    before: Annotated[
        int | None,
        typer.Option("--before", min=1, metavar="POSITION", help="Let what is before it go."),
    ] = None,
    committee: Annotated[
        str, typer.Option("--committee", metavar="NAME", help="The committee, or its id.")
    ] = MAIN,
    blobs: Annotated[
        bool, typer.Option("--blobs", help="With --keep: inputs and results as old, too.")
    ] = False,
    give_up_proofs: Annotated[
        bool,
        typer.Option(
            "--give-up-proofs",
            help="Also where this node can no longer show others who was a member when.",
        ),
    ] = False,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Let old batches and facts of a committee go, up to a certified state.

    What is left is proven from that state on: `ledger verify` says from where. Votes, balances,
    open tasks, peers' logs and evidence stay. The node must not be running; a running one prunes
    by itself with [ledger] retention_hours.

    \b
    Example:
      econode ledger prune --keep 30d
      econode ledger prune --before 100000 --committee work
    """
    from node.ledger_file import find_committee
    from node.prune_home import prune_home

    if (keep is None) == (before is None):
        raise typer.BadParameter("give --keep TIME or --before POSITION")
    if blobs and keep is None:
        raise typer.BadParameter("--blobs goes with --keep")
    keep_ms = None if keep is None else parse_age(keep)
    place = open_home(home)
    place.check_initialised()
    network = place.load_genesis().compute_network_id()
    with place.lock():
        id_ = find_committee(place.ledger_path, network, committee)
        done = prune_home(
            place,
            id_,
            keep_ms=keep_ms,
            before=None if before is None else before - 1,
            with_blobs=blobs,
            give_up_proofs=give_up_proofs,
        )
    show(done, json, lambda: render_pairs(list(done.items())))


def parse_age(text: str) -> int:
    """Milliseconds of `12h`, `30d` or `52w`. A usage error otherwise."""
    found = _AGE.fullmatch(text.strip())
    hours = int(found[1]) * _HOURS[found[2]] if found else 0
    if not 1 <= hours <= _HOURS_MAX:
        raise typer.BadParameter(f"{text!r} is not a time such as 12h, 30d or 52w")
    return hours * 3_600_000


def _is_sealed(path: Path) -> bool:
    from identity.keys import is_sealed

    return is_sealed(path.read_text("utf-8", "replace"))


def _describe(manifest: "Manifest") -> dict[str, Any]:
    return {
        "peer_id": manifest.peer_id,
        "network": manifest.network,
        "network_id": manifest.network_id,
        "created_ms": manifest.created_ms,
        "with_key": any(part.name == "node.key" for part in manifest.parts),
        "blobs": manifest.blobs,
        "committees": [
            {"id": tip.committee, "position": tip.position, "head": tip.head}
            for tip in manifest.tips
        ],
        "parts": [
            {"name": part.name, "bytes": part.size, "sha256": part.sha256}
            for part in manifest.parts
        ],
    }


def _render(document: dict[str, Any]) -> list[str]:
    names = ("file", "home", "bytes", "peer_id", "network", "with_key", "blobs", "observes")
    pairs = [(name, document[name]) for name in names if name in document]
    pairs += [
        (f"committee {item['id'][:12]}", f"up to position {item['position']}")
        for item in document["committees"]
    ]
    pairs += [(item["name"], f"{item['bytes']} bytes") for item in document["parts"]]
    return render_pairs(pairs)

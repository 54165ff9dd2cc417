"""econode ledger backup, restore, prune: care of what a home holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands.archive import app
from node.commands.common import HomeOption, JsonOption, hint, open_home, render_pairs, show
from node.commands.progress import show_progress

if TYPE_CHECKING:
    from node.backup_file import Manifest


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

"""Whom a command that checks a file offline trusts: a genesis, a saved anchor, or the home's."""

from pathlib import Path
from typing import TYPE_CHECKING

from node.commands.common import open_home

if TYPE_CHECKING:
    from protocols.light import Anchor


def read_trusted(genesis: Path | None, anchor: Path | None, home: Path | None) -> "Anchor":
    """The anchor in the file `anchor`, else the one of the `genesis` file, else of the home's.
    Raises Problem."""
    from node.home import read_genesis
    from node.light_files import read_anchor
    from protocols.light import make_anchor

    if anchor is not None:
        return read_anchor(anchor)
    return make_anchor(open_home(home).load_genesis() if genesis is None else read_genesis(genesis))

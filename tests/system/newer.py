"""A copy of the program with a raised minor version: what its next release could be.

It executes version 2 of the semantics, in which each operation costs twice the fee and a transfer
may carry a note, and it says one thing more in a hop message.
"""

import shutil
from pathlib import Path

from tests.system.network import ROOT

RELEASE = "99.1.0"
PACKAGES = ("identity", "crdt", "protocols", "node", "devnet")
VERSION_2 = ', Version(2, "twice the fee, and transfers with a note"))\n'
PATCHES = {
    "node/version.py": [
        ('        return metadata.version("econode")', f'        return "{RELEASE}"'),
    ],
    "protocols/economy/semantics.py": [
        ("import Operation\n", "import Operation, Transfer\n"),
        ('that every log begins with"),)\n', 'that every log begins with")' + VERSION_2),
        ("ADDED: tuple[Added, ...] = ()\n", 'ADDED = (Added(Transfer, "note", 2),)\n'),
    ],
    "protocols/economy/operations.py": [
        ('tag="transfer"):', 'tag="transfer", omit_defaults=True):'),
        ("\n\n\nclass Bond(", "\n    note: Name | None = None\n\n\nclass Bond("),
    ],
    "protocols/economy/books.py": [
        ("parameters.operation_fee\n", "parameters.operation_fee * (1 + (self.semantics >= 2))\n"),
    ],
    "protocols/messages.py": [
        ("    complains: bool = False\n", '    complains: bool = False\n    mood: str = "well"\n'),
    ],
}


def make_newer(folder: Path) -> Path:
    """Write the copy into `folder`, and return that. Fails where the program has another text."""
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, folder / package, ignore=ignore)
    for name, changes in PATCHES.items():
        path = folder / name
        text = path.read_text()
        for old, new in changes:
            assert text.count(old) == 1, f"{name}: {old!r}"
            text = text.replace(old, new)
        path.write_text(text)
    return folder

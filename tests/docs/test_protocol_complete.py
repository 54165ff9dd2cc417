"""docs/protocol.md and docs/protocol-operations.md name every struct and field of the wire.

Two forms of table say what a struct holds. Below a heading that names structs:
`| `field` | CBOR type | meaning |`. In a row of its own, for structs with little to explain:
`| `Struct` | `field` type; `field` type | meaning |`.
"""

import re

import pytest

from tests.docs.wire import DOCUMENTS, describe_fields, list_structs

STRUCTS = list_structs()
FIELD_ROW = re.compile(r"^\| `(\w+)` \| ([^|]+) \| [^|]+ \|$")
STRUCT_ROW = re.compile(r"^\| `([A-Z]\w+)` \| (.+) \| [^|]+ \|$")
FIELD = re.compile(r"^`(\w+)` (.+)$")


def read_documents() -> dict[str, dict[str, str]]:
    """Struct -> field -> type, as the documents tell them."""
    found: dict[str, dict[str, str]] = {}
    under: list[str] = []
    for line in "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS).splitlines():
        if line.startswith("#"):
            under = [name for name in re.findall(r"`(\w+)`", line) if name in STRUCTS]
            found.update((name, {}) for name in under)
        elif (row := STRUCT_ROW.match(line)) and row[1] in STRUCTS:
            parts = [FIELD.match(part) for part in row[2].split("; ")]
            found[row[1]] = {part[1]: part[2] for part in parts if part is not None}
        elif row := FIELD_ROW.match(line):
            for name in under:
                found[name][row[1]] = row[2]
    return found


TOLD = read_documents()


@pytest.mark.parametrize("name", STRUCTS)
def test_struct_is_told_with_every_field_and_type(name):
    assert TOLD.get(name) == describe_fields(STRUCTS[name])


@pytest.mark.parametrize("name", STRUCTS)
def test_type_tag_of_struct_is_told(name):
    tag = STRUCTS[name].__struct_config__.tag
    text = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)
    assert tag is None or f"`{tag}`" in text

"""What the queries and paths of the local API may say; the OpenAPI document tells the same."""

from typing import Annotated

from fastapi import Path, Query

from identity.errors import InvalidKey
from identity.keys import parse_peer_id
from identity.schema import U63_MAX
from node.problem import Problem
from node.service import PREFIX_MIN

NAME_CHARS_MAX = 64
CURSOR_CHARS_MAX = 1_024
COMMITTEE_CHARS_MAX = 256
PEER_ID_CHARS_MAX = 64
PAGE_MAX = 1_000
"""Items of a page, where a route says no other bound."""

CommitteeName = Annotated[
    str,
    Query(
        min_length=1, max_length=COMMITTEE_CHARS_MAX, description="The committee's name, or its id."
    ),
]
Prefix = Annotated[
    str,
    Path(
        pattern=f"^[0-9a-fA-F]{{{PREFIX_MIN},64}}$",
        description="The id, or its first hex digits where they name one only.",
    ),
]
PeerId = Annotated[
    str,
    Query(
        pattern=f"^[1-9A-HJ-NP-Za-km-z]{{1,{PEER_ID_CHARS_MAX}}}$",
        description="An account's PeerId.",
    ),
]
Cursor = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=CURSOR_CHARS_MAX,
        description="The `next` of the page before; without it the first page.",
    ),
]
HexCursor = Annotated[
    str | None,
    Query(
        pattern="^([0-9a-f]{2}){1,32}$",
        description="The `next` of the page before; without it the first page.",
    ),
]
Limit = Annotated[int, Query(ge=1, le=PAGE_MAX, description="Items of the page, at most.")]
Position = Annotated[int, Query(alias="from", ge=0, le=U63_MAX, description="A position.")]
Amount = Annotated[int, Query(ge=0, le=U63_MAX)]
Name = Annotated[str, Query(min_length=1, max_length=NAME_CHARS_MAX)]
Proof = Annotated[
    bool,
    Query(description="Answer with a Proven instead: what a quorum has certified, and the proof."),
]


def invalid(field: str, wanted: str) -> Problem:
    return Problem("invalid-request", f"{field} must be {wanted}", where=field)


def check_peer(field: str, text: str) -> str:
    """Raises Problem for what is no PeerId of an Ed25519 key."""
    try:
        parse_peer_id(text)
    except InvalidKey as error:
        raise Problem("invalid-request", str(error), where=field) from None
    return text


def check_range(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise invalid(field, f"from {least} to {most}")


def is_hex(text: str) -> bool:
    """At most 64 hex digits in lower case."""
    return len(text) <= 64 and not set(text) - set("0123456789abcdef")


def check_prefix(prefix: str) -> str:
    """The first digits of an id, in lower case. Raises Problem."""
    prefix = prefix.lower()
    if len(prefix) < PREFIX_MIN or not is_hex(prefix):
        raise invalid("the id", f"its {PREFIX_MIN} to 64 first hex digits")
    return prefix

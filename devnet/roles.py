"""What a devnet's nodes are there for: honest agents, and liars that the others must catch."""

from collections.abc import Sequence
from typing import Literal

from identity import cbor
from node import file_stats

Role = Literal["requester", "agent", "liar"]

LYING_TARGET = "devnet.roles:lying_file_stats"


def assign_roles(nodes: int, byzantine: int) -> Sequence[Role]:
    """Node 1 is the requester and honest; the last `byzantine` nodes lie."""
    agents: list[Role] = ["agent"] * (nodes - byzantine - 1)
    liars: list[Role] = ["liar"] * byzantine
    return ("requester", *agents, *liars)


def lying_file_stats(data: bytes) -> bytes:
    """A wrong answer of the right form. Every liar gives the same one: they collude."""
    fields = cbor.decode(file_stats.stats(data), size_max=file_stats.OUTPUT_BYTES_MAX)
    return cbor.encode({**fields, "lines": fields["lines"] + 1, "words": fields["words"] + 7})

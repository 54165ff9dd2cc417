"""What a devnet's nodes are there for: honest agents, and those that the others must catch.

A liar gives wrong results. An equivocator, while it leads, tells members different things.
"""

from collections.abc import Sequence
from typing import Literal

from identity import cbor
from node import file_stats

Byzantine = Literal["liar", "equivocator"]
Role = Literal["requester", "agent"] | Byzantine
BYZANTINE: tuple[Role, ...] = ("liar", "equivocator")

LYING_TARGET = "devnet.roles:lying_file_stats"


def assign_roles(nodes: int, byzantine: Sequence[Byzantine]) -> Sequence[Role]:
    """Node 1 is the requester and honest; the last nodes are Byzantine, liars before others."""
    agents: list[Role] = ["agent"] * (nodes - len(byzantine) - 1)
    return ("requester", *agents, *sorted(byzantine, key=BYZANTINE.index))


def lying_file_stats(data: bytes) -> bytes:
    """A wrong answer of the right form. Every liar gives the same one: they collude."""
    fields = cbor.decode(file_stats.stats(data), size_max=file_stats.OUTPUT_BYTES_MAX)
    return cbor.encode({**fields, "lines": fields["lines"] + 1, "words": fields["words"] + 7})

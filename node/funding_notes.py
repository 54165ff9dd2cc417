"""What a node notes of the tasks that it pays from another committee, so that a restart goes on."""

from typing import Annotated, Literal, get_args

import msgspec

from identity import schema
from identity.schema import U63, CommitteeId, Digest, TimeMs
from protocols.economy.operations import ITEMS_MAX, OPERATION_BYTES_MAX, TaskSpec

Stage = Literal[
    "leaving", "crossing", "opening", "working", "returning", "homeward", "done", "failed"
]
STAGES: tuple[Stage, ...] = get_args(Stage)
ENDED: tuple[Stage, ...] = ("done", "failed")
NOTE_BYTES_MAX = OPERATION_BYTES_MAX + 64 * 1024


class Funding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`amount` credits go from `source` to `target`, pay `tasks` there, and the rest comes back.

    leaving: the export is ordered. crossing: it is on its way. opening: the tasks are ordered.
    working: they are under way. returning: the rest is exported. homeward: it is on its way.
    failed: with `reason`, after what was left came back, where anything had left.
    """

    id: Digest
    """The digest of the first export's operation as it was signed first."""
    source: CommitteeId
    target: CommitteeId
    tasks: Annotated[tuple[TaskSpec, ...], msgspec.Meta(min_length=1, max_length=ITEMS_MAX)]
    amount: U63
    created_ms: TimeMs
    stage: Stage
    statement: bytes = b""
    """The operation of this stage, signed; kept before it is sent."""
    signed_at: U63 = 0
    """The position of its committee's log by then."""
    sent_number: U63 = 0
    exported_position: U63 = 0
    opened: tuple[Digest, ...] = ()
    """Ids of the tasks."""
    opened_position: U63 = 0
    returned: U63 = 0
    back_number: U63 = 0
    returned_position: U63 = 0
    reason: str = ""


def encode(funding: Funding) -> bytes:
    return schema.encode(funding)


def decode(data: bytes) -> Funding:
    """Raises InvalidBytes for a damaged note."""
    return schema.decode(data, Funding, size_max=NOTE_BYTES_MAX)

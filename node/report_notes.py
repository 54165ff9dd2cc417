"""What a node notes of its reports on variables, so that a restart opens what it sealed.

A report is a number that its owner measured: it follows from nothing else. So a note is on disk
before its seal is sent.
"""

import hashlib
from typing import Annotated

import msgspec

from identity import cbor, schema
from identity.schema import CommitteeId, Digest, TimeMs
from protocols.genesis import PPM

NOTE_BYTES_MAX = 1_024
REPORT = "report"
"""What the ledger's table of sealed things has for a report where a bid has its want."""


class ReportNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A report that was or will be sealed, on the term number `round` of a variable."""

    committee: CommitteeId
    variable: Digest
    round: Annotated[int, msgspec.Meta(ge=1)]
    objective_ppm: Annotated[int, msgspec.Meta(ge=0, le=PPM)]
    created_ms: TimeMs
    is_open: bool = True

    def compute_id(self) -> bytes:
        """One note for each number: it may not be known which of two was ordered."""
        content = [self.committee, self.variable, self.round, self.objective_ppm]
        return hashlib.sha256(b"econode/report-note" + cbor.encode(content)).digest()


def encode(note: ReportNote) -> bytes:
    return schema.encode(note)


def decode(data: bytes) -> ReportNote:
    """Raises InvalidBytes for a damaged note."""
    return schema.decode(data, ReportNote, size_max=NOTE_BYTES_MAX)

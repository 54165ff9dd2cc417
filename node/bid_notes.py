"""What a node notes of its bids in general auctions, so that a restart opens what it sealed.

A bid by hand follows from nothing else, and an agent's wants may be changed meanwhile; whoever
cannot open a seal loses the deposit. So a note is on disk before its seal is sent.
"""

import hashlib
from typing import Annotated

import msgspec

from crdt.facts_auctions import Bundles
from identity import cbor, schema
from identity.schema import U63, CommitteeId, Digest, TimeMs

NOTE_BYTES_MAX = 16 * 1024


class BidNote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A bid that was or will be sent. `want` names what the agent bids for; empty: by hand.
    `won` counts lots, once the auction has ended."""

    committee: CommitteeId
    auction: Digest
    bundles: Bundles
    created_ms: TimeMs
    want: Annotated[str, msgspec.Meta(max_length=8192)] = ""
    is_open: bool = True
    won: U63 = 0

    def compute_id(self) -> bytes:
        """One note for each different bid: it may not be known which of two was ordered."""
        content = [self.committee, self.auction, [[b.lots, b.price] for b in self.bundles]]
        return hashlib.sha256(b"econode/bid-note" + cbor.encode(content)).digest()


def encode(note: BidNote) -> bytes:
    return schema.encode(note)


def decode(data: bytes) -> BidNote:
    """Raises InvalidBytes for a damaged note."""
    return schema.decode(data, BidNote, size_max=NOTE_BYTES_MAX)

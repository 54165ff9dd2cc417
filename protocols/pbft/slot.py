"""What a member knows of one sequence number."""

from dataclasses import dataclass, field

import msgspec

from identity.envelope import Statement
from protocols.messages import PrePrepare, Propose
from protocols.pbft.pool import Request
from protocols.pbft.quorum import Tally


@dataclass(frozen=True, slots=True)
class Proposal:
    """An accepted PRE-PREPARE with its batch."""

    message: PrePrepare
    statement: Statement
    hop: Propose
    requests: tuple[Request, ...]


class Prepared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prepared certificate with the own COMMIT that followed, as the vote log keeps them."""

    own_commit: bytes
    prepares: tuple[bytes, ...]


@dataclass(slots=True)
class Slot:
    """Votes may come before the proposal; they count once its digest is known."""

    seq: int
    proposal: Proposal | None = None
    prepares: Tally = field(default_factory=Tally)
    commits: Tally = field(default_factory=Tally)
    own_prepare: Statement | None = None
    own_commit: Statement | None = None
    proof: tuple[bytes, ...] | None = None
    """q COMMIT statements once committed."""

    def get_digest(self) -> bytes | None:
        return None if self.proposal is None else self.proposal.message.digest

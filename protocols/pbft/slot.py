"""What a member knows of one sequence number."""

from dataclasses import dataclass, field

import msgspec

from identity.envelope import Statement
from protocols.messages import PreparedProof, PrePrepare, Propose
from protocols.pbft.pool import Request
from protocols.pbft.quorum import Tally


@dataclass(frozen=True, slots=True)
class Proposal:
    """An accepted PRE-PREPARE with its batch."""

    message: PrePrepare
    statement: Statement
    hop: Propose
    requests: tuple[Request, ...]


class PreparedRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A prepared certificate as the vote log keeps it, with the batch and the own COMMIT."""

    proof: PreparedProof
    hop: bytes
    own_commit: bytes


@dataclass(frozen=True, slots=True)
class Prepared:
    """The prepared certificate of the highest view, kept across views, with its batch."""

    proof: PreparedProof
    hop: Propose
    requests: tuple[Request, ...]


@dataclass(slots=True)
class Slot:
    """Votes may come before the proposal; they count once its digest is known."""

    seq: int
    proposal: Proposal | None = None
    prepares: Tally = field(default_factory=Tally)
    commits: Tally = field(default_factory=Tally)
    own_prepare: Statement | None = None
    own_commit: Statement | None = None
    prepared: Prepared | None = None
    proof: tuple[bytes, ...] | None = None
    """q COMMIT statements once committed."""

    def get_statements(self) -> list[Statement]:
        """Everything signed for this slot in the present view that is kept."""
        proposed = [] if self.proposal is None else [self.proposal.statement]
        return [*proposed, *self.prepares.get_statements(), *self.commits.get_statements()]

    def begin_view(self) -> None:
        """Forget what belonged to the former view, but for the certificates."""
        self.proposal = self.own_prepare = self.own_commit = None
        self.prepares, self.commits = Tally(), Tally()

    def get_digest(self) -> bytes | None:
        return None if self.proposal is None else self.proposal.message.digest

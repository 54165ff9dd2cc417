"""What a running node says of evidence: the answers, and who gives them. See `node/service.py`."""

from typing import Literal, Protocol

from node.service import Answer
from protocols.evidence import EVIDENCE_FILE_BYTES_MAX, EvidenceKind

CASES_PER_PAGE_MAX = 1_000
EVIDENCE_BODY_BYTES_MAX = EVIDENCE_FILE_BYTES_MAX

EvidenceState = Literal["seen", "ordered", "punished", "expired"]
"""`ordered`: an accusation by this node is under way. `expired`: nobody remembers the members of
that epoch, so it proves nothing to the committee any more."""


class Punishment(Answer, frozen=True):
    """What became of an offence. In committee `committee` the bond `amount` was burned by the entry
    at `position`, where this node holds that entry; a peer's log is frozen at `position`; a border
    to the forked committee is frozen."""

    what: Literal["slashed", "frozen-log", "frozen-border"]
    committee: str
    position: int | None = None
    amount: int | None = None


class EvidenceItem(Answer, frozen=True):
    """One proven offence. `offender` is a PeerId, or the name of a committee; `statement` is what
    was signed twice, and `slot` what for: the position last, before it the view if there is one."""

    id: str
    kind: EvidenceKind
    state: EvidenceState
    offender: str
    committee: str
    epoch: int
    statement: str
    slot: tuple[int, ...]
    seen_ms: int | None
    punished: tuple[Punishment, ...] = ()
    halted: bool = False
    """Of two certificates: this node takes no part in that committee any more."""
    double_signers: tuple[str, ...] = ()
    """Of two certificates: the members that signed both."""


class EvidenceList(Answer, frozen=True):
    """The newest first. `total` counts those that are not listed as well."""

    evidence: tuple[EvidenceItem, ...]
    total: int
    next: str | None = None


class EvidenceService(Protocol):
    """See `NodeService` for what holds for all methods."""

    async def recent(self, limit: int, cursor: str | None = None) -> EvidenceList: ...

    async def show(self, prefix: str) -> EvidenceItem:
        """The one whose id begins with `prefix`. Problems: not-found, ambiguous."""
        ...

    async def get_file(self, prefix: str) -> bytes:
        """The evidence as a file that `econode evidence verify` checks anywhere."""
        ...

    async def submit(self, data: bytes, committee: str | None) -> EvidenceItem:
        """Take a file of evidence, tell it on, and have it ordered where it counts: in
        `committee`, if that is given. Returns once it is executed, or at once where this node's
        account cannot pay for it: others do. Problems: invalid-evidence,
        no-evidence, another-committee, already-punished, already-ordered, expired, and what a
        committee refuses."""
        ...

"""What a running node says of versions of the semantics, and what it takes to switch them."""

from typing import Protocol

from crdt.facts import Semantics
from node.answer import Answer
from node.service import Executed


class UpgradeMember(Answer, frozen=True):
    """What a member said: its program executes versions up to `semantics` (1 if it said nothing);
    `program` names its release then. `consents` is the version that it wants to switch to."""

    peer_id: str
    semantics: int
    program: str
    consents: int | None


class Version(Answer, frozen=True):
    """A version of the semantics. `changes` is what came with it, where this program knows it;
    `epoch` is the first one in which it held in this committee, after entry `position`, where
    that epoch is still remembered."""

    semantics: int
    changes: str | None
    epoch: int | None
    position: int | None


class Upgrades(Answer, frozen=True):
    """`semantics` holds in `epoch`, after entry `start`; this node runs `program`, which executes
    versions up to `supported`. `q` members, who announced it, switch to a newer one."""

    committee: str
    semantics: int
    epoch: int
    start: int
    program: str
    supported: int
    n: int
    q: int
    members: tuple[UpgradeMember, ...]
    versions: tuple[Version, ...]


class UpgradeRequest(Answer, frozen=True, forbid_unknown_fields=True):
    """A version to consent to."""

    semantics: Semantics


class UpgradeService(Protocol):
    """Versions of one committee's semantics. See NodeService for what holds for all methods."""

    async def upgrades(self) -> Upgrades: ...

    async def consent(self, semantics: int) -> Executed:
        """Consent to the switch. The fact is the epoch_began when this was the last consent.
        Problems: not-a-member, semantics-passed, not-announced, too-few-announced,
        already-consented."""
        ...

"""What a running node says of the committees it knows, and what it takes to form one."""

from typing import Annotated, Literal

import msgspec

from identity.schema import Amount, Positive
from node.answer import Answer
from protocols.genesis import MEMBERS_MAX, CommitteeName

CommitteeRole = Literal["member", "observer", "named", "none"]
"""What this node is there: member, observer (it follows the log), named in a proposal, nothing."""


class Committee(Answer, frozen=True):
    """A committee of the network, standing or proposed, as its parent's log tells it.

    `bond` and `free` are what each member began with; None where they differ (a genesis).
    """

    name: str
    id: str
    parent: str | None
    state: Literal["standing", "proposed"]
    members: tuple[str, ...]
    bond: int | None
    free: int | None
    role: CommitteeRole
    created_ms: int | None = None
    consented: tuple[str, ...] = ()
    deadline_ms: int | None = None


class Committees(Answer, frozen=True):
    """The committees that this node knows of: its own, and what those formed or consider."""

    committees: tuple[Committee, ...]
    next: str | None = None


class FormRequest(Answer, frozen=True, forbid_unknown_fields=True):
    """Terms of a committee to propose: PeerIds, credits of each, time to consent."""

    name: CommitteeName
    members: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MEMBERS_MAX)]
    bond: Amount
    free: Amount
    duration_ms: Positive


class ConsentRequest(Answer, frozen=True, forbid_unknown_fields=True):
    """The id of a proposed committee; it covers the terms."""

    committee: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$", max_length=32)]

"""What a node tells of credits between committees: answers of the local API, and who gives them."""

from typing import Annotated, Literal, Protocol

import msgspec

from identity.schema import Positive
from node.funding_notes import Stage
from node.service import TASKS_PER_REQUEST_MAX, Answer, TaskRequest
from node.task_options import PLAIN, TaskOptions

CROSSINGS_MAX = 256
"""Transfers of one answer: the last ones."""

COMMITTEE_NAME_MAX = 256
FUNDINGS_MAX = 200
"""Fundings of one answer, and that are looked through for one: the last ones."""
CrossingState = Literal["exported", "certified", "imported"]


class Crossing(Answer, frozen=True):
    """A transfer to another committee, as this node sees both. `operation` is its id.

    `exported`: it has left `source`; `certified`: a quorum has signed that; `imported`: it has
    arrived. Positions are those of the two logs; None is what is not there yet, or too far back.
    """

    operation: str
    number: int
    source: str
    target: str
    account: str
    to: str
    amount: int
    state: CrossingState
    exported_position: int
    imported_position: int | None = None


class Border(Answer, frozen=True):
    """What a committee knows of a neighbour. `sent` and `arrived` count transfers there and back.

    `known_ms` is the neighbour's agreed time of what is known of its members; nothing from there
    is believed `unbonding_ms` later. `frozen`: it was proven to contradict itself.
    """

    committee: str
    id: str
    sent: int
    arrived: int
    epoch: int
    known_ms: int
    stale_ms: int
    frozen: bool


class Crossings(Answer, frozen=True):
    """The borders of one committee, and the transfers over them that are on their way."""

    borders: tuple[Border, ...]
    crossings: tuple[Crossing, ...]
    next: str | None = None


class CrossingRequest(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to send `amount` free credits of this node's account to `to`, a PeerId, in the
    neighbouring committee `to_committee` (name or id)."""

    to: str
    amount: Positive
    to_committee: Annotated[str, msgspec.Meta(max_length=COMMITTEE_NAME_MAX)]


class Funding(Answer, frozen=True):
    """Tasks in `target` that are paid with credits from `source`; `id` names it until its tasks
    are opened and have ids of their own.

    `amount` left `source`, `returned` is the rest that is, or was, sent back. Positions are None
    before the step is done. `stage` is one of `funding_notes.STAGES`; `reason` tells a failure.
    """

    id: str
    source: str
    target: str
    stage: Stage
    amount: int
    created_ms: int
    tasks: tuple[str, ...] = ()
    exported_position: int | None = None
    opened_position: int | None = None
    returned: int | None = None
    returned_position: int | None = None
    reason: str = ""


class Fundings(Answer, frozen=True):
    """The last ones, the oldest first."""

    fundings: tuple[Funding, ...]
    next: str | None = None


class FundingRequest(Answer, frozen=True, forbid_unknown_fields=True):
    """Tasks as in a TaskBatch, paid with credits from the neighbouring committee `funded_by`."""

    tasks: Annotated[
        tuple[TaskRequest, ...], msgspec.Meta(min_length=1, max_length=TASKS_PER_REQUEST_MAX)
    ]
    budget: Positive
    duration_ms: Positive
    funded_by: Annotated[str, msgspec.Meta(max_length=COMMITTEE_NAME_MAX)]
    options: TaskOptions = PLAIN
    """Without a pool."""


class CrossingService(Protocol):
    """Credits of one committee that cross to others. Methods may raise Problem."""

    async def export(self, wanted: CrossingRequest) -> Crossing:
        """Returns once the credits have left; nodes carry them on without being asked, this one
        also after a restart. Problems: not-found, no-border, frozen, insufficient-credits."""
        ...

    async def crossing(self, operation: str) -> Crossing:
        """A transfer out of this committee by its id. Problem: not-found."""
        ...

    async def crossings(self) -> Crossings: ...

    async def fund_tasks(self, wanted: FundingRequest) -> Funding:
        """Open tasks here that another committee's credits pay. Returns once that is noted: this
        node goes on with it, also after a restart. Problems: as of `submit_tasks` and `export`,
        and too-many-fundings."""
        ...

    async def funding(self, prefix: str) -> Funding:
        """The one whose id, or a task of which, begins with `prefix`. Problem: not-found."""
        ...

    async def fundings(self) -> Fundings: ...

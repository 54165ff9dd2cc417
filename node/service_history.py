"""What a node tells its owner of the past: newest tasks and auctions, and the story of one thing.
The contract is `NodeService`'s."""

from typing import Any, Literal, Protocol

from node.answer import Answer
from node.service import Task, TaskState
from node.service_auctions import AuctionState, AuctionSummary

HISTORY_PER_PAGE_MAX = 200
FOUND_MAX = 20
"""Things of one kind that a search gives."""
FIND_CHARS_MAX = 64
FoundKind = Literal["task", "auction", "variable", "account"]


class TaskHistory(Answer, frozen=True):
    """Tasks whose opening this node's ledger holds, the last opened first. `counts` are of all
    tasks that it knows, by state; `next` is the cursor of the page after this one, None at the
    end."""

    counts: dict[str, int]
    tasks: tuple[Task, ...]
    next: str | None


class AuctionHistory(Answer, frozen=True):
    """The same of general auctions."""

    counts: dict[str, int]
    auctions: tuple[AuctionSummary, ...]
    next: str | None


class StoryFact(Answer, frozen=True):
    """The fact at `item` of the entry at `position`. `certified`: a quorum signed that entry or a
    later one."""

    position: int
    item: int
    time_ms: int
    certified: bool
    fact: dict[str, Any]


class Story(Answer, frozen=True):
    """The facts about a task, an auction, a variable or the market of a capability, the oldest
    first."""

    id: str
    facts: tuple[StoryFact, ...]
    next: str | None


class FoundThing(Answer, frozen=True):
    """A thing that a search found; an account's id is its PeerId, a variable's its name."""

    kind: FoundKind
    id: str


class Found(Answer, frozen=True):
    """At most FOUND_MAX of each kind."""

    found: tuple[FoundThing, ...]


class HistoryService(Protocol):
    """The past of one committee. See NodeService for what holds for all methods. Pages have at
    most HISTORY_PER_PAGE_MAX items; a cursor is the `next` of the page before."""

    async def tasks(
        self, state: TaskState | None, limit: int, cursor: str | None
    ) -> TaskHistory: ...

    async def auctions(
        self, state: AuctionState | None, limit: int, cursor: str | None
    ) -> AuctionHistory: ...

    async def story(self, subject: bytes, limit: int, cursor: str | None) -> Story:
        """All that happened to it; nothing where nothing is known."""
        ...

    async def find(self, text: str) -> Found:
        """Tasks and auctions whose id begins with `text`, variables of that name, and accounts
        whose PeerId ends with it."""
        ...

    async def prove_entry(self, position: int) -> bytes:
        """A light proof of all facts of an entry, as `econode ledger prove --position` writes it.
        Problems: not-found, not-certified, epoch-not-held."""
        ...

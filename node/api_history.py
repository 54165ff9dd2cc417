"""The local API's routes about the past: newest tasks and auctions, stories, proofs of entries."""

from typing import Annotated

from fastapi import Path, Query, Response

from identity.schema import U63_MAX
from node import service_history as service
from node.api_checks import CommitteeName, Cursor
from node.api_json import AddRoute, answer, give_bytes
from node.service import PREFIX_MIN, NodeService, TaskState
from node.service_auctions import AuctionState
from protocols.genesis import MAIN_COMMITTEE

_Limit = Annotated[int, Query(ge=1, le=service.HISTORY_PER_PAGE_MAX)]
_Id = Annotated[str, Path(pattern="^[0-9a-f]{64}$", description="The whole id.")]
_Text = Annotated[str, Query(min_length=PREFIX_MIN, max_length=service.FIND_CHARS_MAX)]
_Position = Annotated[int, Path(ge=0, le=U63_MAX)]


class HistoryRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/history/tasks", self._tasks, service.TaskHistory)
        route("GET", "/v1/history/auctions", self._auctions, service.AuctionHistory)
        route("GET", "/v1/history/about/{id}", self._story, service.Story)
        route("GET", "/v1/history/find", self._find, service.Found)
        route(*("GET", "/v1/history/entries/{position}/proof", self._prove, bytes), problems=(409,))

    async def _tasks(
        self,
        state: TaskState | None = None,
        limit: _Limit = 100,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Tasks, the last opened first, and how many there are in each state."""
        return answer(await self._node.history_of(committee).tasks(state, limit, cursor))

    async def _auctions(
        self,
        state: AuctionState | None = None,
        limit: _Limit = 100,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """General auctions, the last opened first, and how many there are in each state."""
        return answer(await self._node.history_of(committee).auctions(state, limit, cursor))

    async def _story(
        self,
        id: _Id,
        limit: _Limit = 100,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """What happened to a task, an auction, a variable or the market of a capability."""
        subject = bytes.fromhex(id)
        return answer(await self._node.history_of(committee).story(subject, limit, cursor))

    async def _find(self, text: _Text, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Tasks, auctions, variables and accounts by the first digits of an id, a name, or a PeerId
        or its end."""
        return answer(await self._node.history_of(committee).find(text))

    async def _prove(
        self, position: _Position, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """A light proof of all facts of an entry of the committee's log."""
        return give_bytes(await self._node.history_of(committee).prove_entry(position))

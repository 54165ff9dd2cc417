"""The local API's routes about the past: newest tasks and auctions, stories, proofs of entries."""

from fastapi import Response

from identity.schema import U63_MAX
from node import service_history as service
from node.api_checks import check_range, invalid, is_hex
from node.api_json import AddRoute, answer
from node.service import PREFIX_MIN, TASK_STATES, NodeService
from node.service_auctions import AUCTION_STATES
from protocols.genesis import MAIN_COMMITTEE

ID_DIGITS = 64
CURSOR_CHARS_MAX = 64


class HistoryRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/history/tasks", self._tasks, service.TaskHistory)
        route("GET", "/v1/history/auctions", self._auctions, service.AuctionHistory)
        route("GET", "/v1/history/about/{id}", self._story, service.Story)
        route("GET", "/v1/history/find", self._find, service.Found)
        route("GET", "/v1/history/entries/{position}/proof", self._prove, bytes)

    async def _tasks(
        self,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """Tasks, the last opened first, and how many there are in each state."""
        known = next((item for item in TASK_STATES if item == state), None)
        if known != state:
            raise invalid("state", f"one of {', '.join(TASK_STATES)}")
        _check_page(limit, cursor)
        return answer(await self._node.history_of(committee).tasks(known, limit, cursor))

    async def _auctions(
        self,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """General auctions, the last opened first, and how many there are in each state."""
        known = next((item for item in AUCTION_STATES if item == state), None)
        if known != state:
            raise invalid("state", f"one of {', '.join(AUCTION_STATES)}")
        _check_page(limit, cursor)
        return answer(await self._node.history_of(committee).auctions(known, limit, cursor))

    async def _story(
        self,
        id: str,
        limit: int = 100,
        cursor: str | None = None,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """What happened to a task, an auction, a variable or the market of a capability."""
        if len(id) != ID_DIGITS or not is_hex(id):
            raise invalid("id", f"{ID_DIGITS} hex digits in lower case")
        _check_page(limit, cursor)
        subject = bytes.fromhex(id)
        return answer(await self._node.history_of(committee).story(subject, limit, cursor))

    async def _find(self, text: str, committee: str = MAIN_COMMITTEE) -> Response:
        """Tasks, auctions, variables and accounts by the first digits of an id, a name, or a PeerId
        or its end."""
        if not PREFIX_MIN <= len(text) <= service.FIND_CHARS_MAX:
            raise invalid("text", f"of {PREFIX_MIN} to {service.FIND_CHARS_MAX} characters")
        return answer(await self._node.history_of(committee).find(text))

    async def _prove(self, position: int, committee: str = MAIN_COMMITTEE) -> Response:
        """A light proof of all facts of an entry of the committee's log."""
        check_range("position", position, 0, U63_MAX)
        data = await self._node.history_of(committee).prove_entry(position)
        return Response(data, media_type="application/octet-stream")


def _check_page(limit: int, cursor: str | None) -> None:
    check_range("limit", limit, 1, service.HISTORY_PER_PAGE_MAX)
    if cursor is not None and len(cursor) > CURSOR_CHARS_MAX:
        raise invalid("cursor", "the `next` of the page before")

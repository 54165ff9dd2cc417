"""The local API's routes about a committee's log: its entries, and the views that follow."""

from typing import Annotated

from fastapi import Header, Query, Response

from identity.schema import U63_MAX
from node import service
from node.api_checks import CommitteeName, Position, invalid
from node.api_contract import EVENTS
from node.api_json import AddRoute, answer
from node.event_stream import OpenStream, parse_position
from node.feeds import feed_entries
from node.service import NodeService
from protocols.genesis import MAIN_COMMITTEE


class LogRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService, open_stream: OpenStream) -> None:
        self._node, self._open_stream = node, open_stream

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/facts", self._facts, service.LogPage)
        route("GET", "/v1/events", self._events, service.LogEntry, media=EVENTS)
        route("GET", "/v1/views", self._views, bytes)

    async def _facts(
        self,
        position: Position = 0,
        limit: Annotated[int, Query(ge=1, le=service.ENTRIES_PER_PAGE_MAX)] = 100,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Entries of the committee's log, from a position on; `next` is the `from` of the page
        after it."""
        return answer(await self._node.at(committee).facts(position, limit))

    async def _views(self, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """All views and peers' data as a Yjs v1 update, for Yjs clients. The header
        Econode-Position names the entry of the log that it was folded up to."""
        position, data = await self._node.at(committee).views()
        headers = {"Econode-Position": str(position)}
        return Response(data, media_type="application/octet-stream", headers=headers)

    async def _events(
        self,
        position: Annotated[
            int | None, Query(alias="from", ge=0, le=U63_MAX, description="A position.")
        ] = None,
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Entries as Server-Sent Events: id = position, data = LogEntry. Starts at `from`, or
        after the header Last-Event-ID, or with what comes next."""
        node = self._node.at(committee)
        if last_event_id is not None:
            last = parse_position(last_event_id)
            if last is None:
                raise invalid("Last-Event-ID", "a position")
            position = last + 1
        elif position is None:
            position = (await node.status()).position + 1
        return self._open_stream(feed_entries(node, position))

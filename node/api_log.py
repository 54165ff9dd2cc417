"""The local API's routes about a committee's log: its entries, and the views that follow."""

from typing import Annotated

from fastapi import Header, Query, Response

from identity.schema import U63_MAX
from node import service
from node.api_checks import CommitteeName, Position, invalid
from node.api_contract import EVENTS
from node.api_json import AddRoute, answer
from node.event_stream import OpenStream
from node.feeds import TOPICS, Start, Topic, feed_topics, parse_event_id
from node.service import NodeService
from protocols.genesis import MAIN_COMMITTEE

Topics = Annotated[
    tuple[Topic, ...],
    Query(min_length=1, max_length=len(TOPICS), description="Repeat it for more than one."),
]


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
        topic: Topics = ("entries",),
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Server-Sent Events of the topics asked for. From the ledger, with an id: `entry` (data:
        LogEntry), `task` and `auction` (FactEvent); they start at `from`, or behind the event that
        the header Last-Event-ID names, or with what comes next. Live, without an id: `peers`
        (Peers, once) and `peer` (Peer) when its link changes, `views` (ViewsUpdate); they start
        with the present state."""
        node = self._node.at(committee)
        start = None if position is None else Start(position)
        if last_event_id is not None:
            start = parse_event_id(last_event_id)
            if start is None:
                raise invalid("Last-Event-ID", "the id of an event")
        if start is None:
            start = Start((await node.status()).position + 1)
        return self._open_stream(feed_topics(self._node, node, frozenset(topic), start))

"""Routes of the local API for application data."""

from typing import Annotated

from fastapi import Query, Request, Response

from node import service_data as service
from node.api_checks import Cursor, Name, PeerId, check_peer
from node.api_contract import EVENTS
from node.api_json import AddRoute, answer
from node.event_stream import OpenStream
from node.feeds import feed_data
from node.service import NodeService
from node.service_data import KEYS_PER_PAGE_MAX


class DataRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService, open_stream: OpenStream) -> None:
        self._node, self._open_stream = node, open_stream

    def add(self, route: AddRoute) -> None:
        route("PUT", "/v1/data", self._set, service.DataWritten, body=bytes)
        route("DELETE", "/v1/data", self._remove, service.DataWritten)
        route("GET", "/v1/data", self._get, service.DataPage)
        route("GET", "/v1/data/keys", self._list, service.DataKeys)
        route("GET", "/v1/data/events", self._watch, service.DataChange, media=EVENTS)

    async def _set(self, request: Request, namespace: Name, key: Name) -> Response:
        """Set a value of this node's own (body: its bytes)."""
        body = await request.body()
        return answer(await self._node.data.set(namespace, key, body))

    async def _remove(self, namespace: Name, key: Name) -> Response:
        """Remove a value of this node's own."""
        return answer(await self._node.data.set(namespace, key, None))

    async def _get(
        self, namespace: Name, key: Name, peer: PeerId | None = None, cursor: Cursor = None
    ) -> Response:
        """What all peers, or one, have set under a key."""
        _check_peer(peer)
        return answer(await self._node.data.get(namespace, key, peer, cursor))

    async def _list(
        self,
        namespace: Name,
        peer: PeerId | None = None,
        cursor: Cursor = None,
        limit: Annotated[int, Query(ge=1, le=KEYS_PER_PAGE_MAX)] = 100,
    ) -> Response:
        """Keys of a namespace, of all peers or of one."""
        _check_peer(peer)
        return answer(await self._node.data.list(namespace, peer, cursor, limit))

    async def _watch(self, namespace: Name, key: Name, peer: PeerId | None = None) -> Response:
        """What is there under a key, and from then on its changes, as Server-Sent Events: event
        `data`, data = DataChange."""
        _check_peer(peer)
        return self._open_stream(feed_data(self._node.data, namespace, key, peer))


def _check_peer(peer: str | None) -> None:
    if peer is not None:
        check_peer("peer", peer)

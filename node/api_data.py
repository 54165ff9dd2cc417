"""Routes of the local API for application data."""

from fastapi import Request, Response

from node import service_data as service
from node.api_checks import check_range, invalid
from node.api_json import AddRoute, answer
from node.event_stream import OpenStream
from node.feeds import feed_data
from node.service import NodeService
from node.service_data import KEYS_PER_PAGE_MAX

NAME_CHARS_MAX = 64
CURSOR_CHARS_MAX = 1_024


class DataRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService, open_stream: OpenStream) -> None:
        self._node, self._open_stream = node, open_stream

    def add(self, route: AddRoute) -> None:
        route("PUT", "/v1/data", self._set, service.DataWritten)
        route("DELETE", "/v1/data", self._remove, service.DataWritten)
        route("GET", "/v1/data", self._get, service.DataPage)
        route("GET", "/v1/data/keys", self._list, service.DataKeys)
        route("GET", "/v1/data/events", self._watch, service.DataChange)

    async def _set(self, request: Request, namespace: str, key: str) -> Response:
        """Set a value of this node's own (body: its bytes)."""
        _check_names(namespace, key)
        body = await request.body()
        return answer(await self._node.data.set(namespace, key, body))

    async def _remove(self, namespace: str, key: str) -> Response:
        """Remove a value of this node's own."""
        _check_names(namespace, key)
        return answer(await self._node.data.set(namespace, key, None))

    async def _get(
        self, namespace: str, key: str, peer: str | None = None, cursor: str | None = None
    ) -> Response:
        """What all peers, or one, have set under a key."""
        _check_names(namespace, key)
        _check_cursor(cursor)
        return answer(await self._node.data.get(namespace, key, peer, cursor))

    async def _list(
        self,
        namespace: str,
        peer: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Response:
        """Keys of a namespace, of all peers or of one."""
        _check_names(namespace)
        _check_cursor(cursor)
        check_range("limit", limit, 1, KEYS_PER_PAGE_MAX)
        return answer(await self._node.data.list(namespace, peer, cursor, limit))

    async def _watch(self, namespace: str, key: str, peer: str | None = None) -> Response:
        """What is there under a key, and from then on its changes, as Server-Sent Events: event
        `data`, data = DataChange."""
        _check_names(namespace, key)
        if peer is not None:
            await self._node.data.get(namespace, key, peer, None)  # refuses what is no PeerId
        return self._open_stream(feed_data(self._node.data, namespace, key, peer))


def _check_names(*names: str) -> None:
    for name in names:
        if not 1 <= len(name) <= NAME_CHARS_MAX:
            raise invalid("namespace and key", f"of 1 to {NAME_CHARS_MAX} characters")


def _check_cursor(cursor: str | None) -> None:
    if cursor is not None and len(cursor) > CURSOR_CHARS_MAX:
        raise invalid("cursor", "the `next` of the page before")

"""The routes of the local API for machines that watch: metrics, and whether the node is ready."""

import msgspec
from fastapi import Response
from prometheus_client import CONTENT_TYPE_LATEST

from node.answer import Answer
from node.api_json import AddRoute
from node.service import NodeService


class Ready(Answer, frozen=True):
    """Whether the node takes part now: it has caught up and is linked to a quorum of each of its
    committees. `missing` says what is not so."""

    ready: bool
    missing: tuple[str, ...]


class TelemetryRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("GET", "/metrics", self._metrics, bytes, media=CONTENT_TYPE_LATEST)
        route("GET", "/ready", self._ready, Ready, others=(503,))

    async def _metrics(self) -> Response:
        """Metrics in the text format of Prometheus; docs/reference-metrics.md tells each."""
        return Response(await self._node.metrics(), media_type=CONTENT_TYPE_LATEST)

    async def _ready(self) -> Response:
        """200 when the node takes part now, else 503."""
        missing = await self._node.list_missing()
        found = Ready(ready=not missing, missing=tuple(missing))
        status = 200 if found.ready else 503
        data = msgspec.json.encode(found)
        return Response(data, status_code=status, media_type="application/json")

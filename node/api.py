"""The local API: HTTP for this node's owner (FastAPI on Hypercorn's trio worker).

Every answer is JSON of a struct of `node/service.py`, every failure problem+json (RFC 9457).
Changes of state stream as Server-Sent Events. `Api.stop` ends the streams before the server:
the server would otherwise wait for them.
"""

import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, cast

import trio
from fastapi import FastAPI
from hypercorn.config import Config as ServerConfig
from hypercorn.trio import serve

from crdt.items import VALUE_BYTES_MAX
from identity.envelope import STATEMENT_OVERHEAD_BYTES
from node.api_auctions import AuctionRoutes
from node.api_contract import Contract
from node.api_crossing import CrossingRoutes
from node.api_dashboard import DashboardRoutes
from node.api_data import DataRoutes
from node.api_evidence import EvidenceRoutes
from node.api_guard import LOOPBACK, Guard, Hosts, Limits, is_open
from node.api_history import HistoryRoutes
from node.api_log import LogRoutes
from node.api_market import MarketRoutes
from node.api_node import NodeRoutes
from node.api_problems import answer_problems
from node.api_stake import StakeRoutes
from node.api_tasks import TaskRoutes
from node.api_telemetry import TelemetryRoutes
from node.api_upgrades import UpgradeRoutes
from node.api_views import ViewRoutes
from node.event_stream import EventStream, OpenStream, ReadEvents
from node.idempotency import Idempotent
from node.problem import Problem
from node.service import NodeService
from node.service_evidence import EVIDENCE_BODY_BYTES_MAX
from node.version import get_version
from protocols.economy.operations import BLOB_BYTES_MAX, OPERATION_BYTES_MAX
from protocols.light import BUNDLE_BYTES_MAX

STREAMS_MAX = 32
JSON_BYTES_MAX = 64 * 1024
STOP_GRACE_S = 0.5
"""Time for answers under way once the server stops."""
HEADER_BYTES_MAX = 16 * 1024
STALLED_MS_MAX = 30_000
"""A connection whose reader takes nothing for so long is closed by the kernel (tcp(7),
TCP_USER_TIMEOUT): the server waits for it without an end, and an event stream holds its place."""

logger = logging.getLogger("econode.api")


def compute_body_bytes_max(method: str, path: str) -> int:
    """The largest body taken at a path; nothing is read beyond it."""
    if method in ("GET", "HEAD", "DELETE", "OPTIONS"):
        return 0
    if path == "/v1/blobs":
        return BLOB_BYTES_MAX
    if path == "/v1/data":
        return VALUE_BYTES_MAX
    if path == "/v1/operations":
        return OPERATION_BYTES_MAX + STATEMENT_OVERHEAD_BYTES
    if path == "/v1/proofs/verify":
        return BUNDLE_BYTES_MAX
    if path == "/v1/evidence":
        return EVIDENCE_BODY_BYTES_MAX
    return JSON_BYTES_MAX


def bind(address: str, port: int) -> socket.socket:
    """A socket bound for the API; port 0 takes a free one. Raises Problem when it is taken."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if sys.platform == "linux":  # elsewhere a reader that stalls keeps its place
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STALLED_MS_MAX)
        listener.bind((address, port))
        listener.listen()  # so that a second process on this port is refused from now on
    except OSError as error:
        listener.close()
        raise Problem(
            "port-in-use",
            f"the API cannot listen on {address} port {port}: {error.strerror}",
            where="config.toml, [api] port",
            remedy="give another port, or 0 for a free one: econode start --set api.port=0",
        ) from None
    return listener


def make_app(node: NodeService, open_stream: OpenStream) -> FastAPI:
    """The application with all routes, before the gate."""
    app = FastAPI(
        title="Econode",
        version=get_version(),
        description="The local API of a node. Send the content of api.token as bearer token.",
        docs_url=None,  # its page loads scripts from elsewhere
        redoc_url=None,
    )
    answer_problems(app)
    add = Contract(app, is_open).add
    for routes in (
        NodeRoutes(node),
        TaskRoutes(node),
        AuctionRoutes(node),
        MarketRoutes(node),
        StakeRoutes(node),
        CrossingRoutes(node),
        ViewRoutes(node, open_stream),
        LogRoutes(node, open_stream),
        DataRoutes(node, open_stream),
        EvidenceRoutes(node),
        DashboardRoutes(node),
        TelemetryRoutes(node),
        UpgradeRoutes(node),
        HistoryRoutes(node),
    ):
        routes.add(add)
    return app


def describe_api() -> dict[str, Any]:
    """The OpenAPI document of this version, of no node: routes need one when they are asked."""
    absent = cast(NodeService, None)
    return make_app(absent, cast(OpenStream, None)).openapi()


class Api:
    """The HTTP side of one node. `serve` runs until `stop` is called or it is cancelled."""

    def __init__(
        self,
        node: NodeService,
        token: str,
        hosts: Hosts = LOOPBACK,
        limits: Limits = Limits(),  # noqa: B008
    ) -> None:
        self._stopping = trio.Event()
        self._streams: set[trio.CancelScope] = set()
        self._listener_fd = -1
        self.app = make_app(node, self._open_stream)
        keyed = Idempotent(self.app, node.kept_answers)
        self._guarded = Guard(keyed, token, compute_body_bytes_max, hosts, limits)

    async def serve(
        self,
        listener: socket.socket,
        *,
        task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Answer on `listener` (see `bind`); reports the port once it does."""
        port = listener.getsockname()[1]
        config = ServerConfig()
        descriptor = listener.detach()  # the server owns it from here
        config.bind = [f"fd://{descriptor}"]
        config.graceful_timeout = STOP_GRACE_S
        config.h11_max_incomplete_size = HEADER_BYTES_MAX
        config.accesslog = None
        config.errorlog = logger
        config.loglevel = "WARNING"
        async with trio.open_nursery() as nursery:
            run = _with_trigger(self._stopping.wait)
            await nursery.start(run, self._guarded, config)
            # Hypercorn makes it inheritable for worker processes of its own, which are not used
            # here; a capability's process must not get it.
            os.set_inheritable(descriptor, False)
            task_status.started(port)

    def stop(self) -> None:
        """End every event stream, then the server."""
        self._stopping.set()
        for scope in self._streams:
            scope.cancel()

    def _open_stream(self, feed: AbstractContextManager[ReadEvents]) -> EventStream:
        if len(self._streams) >= STREAMS_MAX:
            raise Problem(
                "too-many-streams",
                f"{STREAMS_MAX} event streams are open already",
                remedy="close one",
                status=503,
            )
        return EventStream(feed, self._streams)


def _with_trigger(trigger: Callable[[], Any]) -> Callable[..., Any]:
    async def run(
        app: Any, config: ServerConfig, *, task_status: trio.TaskStatus[list[str]]
    ) -> None:
        await serve(app, config, shutdown_trigger=trigger, task_status=task_status, mode="asgi")

    return run

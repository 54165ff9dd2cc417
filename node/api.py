"""The local API: HTTP for this node's owner (FastAPI on Hypercorn's trio worker).

Every answer is JSON of a struct of `node/service.py`, every failure problem+json (RFC 9457).
Changes of state stream as Server-Sent Events. `Api.stop` ends the streams before the server:
the server would otherwise wait for them.
"""

import logging
import os
import socket
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Annotated, Any

import msgspec
import trio
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from hypercorn.config import Config as ServerConfig
from hypercorn.trio import serve
from starlette.exceptions import HTTPException

from crdt.items import VALUE_BYTES_MAX
from identity.envelope import STATEMENT_OVERHEAD_BYTES
from identity.errors import EconodeError
from identity.schema import U63_MAX
from node import service
from node.api_auctions import AuctionRoutes
from node.api_checks import check_prefix, check_range, invalid, is_hex
from node.api_crossing import CrossingRoutes
from node.api_dashboard import DashboardRoutes
from node.api_data import DataRoutes
from node.api_evidence import EvidenceRoutes
from node.api_guard import LOOPBACK, Guard, Hosts
from node.api_history import HistoryRoutes
from node.api_json import answer, parse
from node.api_market import MarketRoutes
from node.api_tasks import TaskRoutes
from node.api_telemetry import TelemetryRoutes
from node.api_upgrades import UpgradeRoutes
from node.api_views import ViewRoutes
from node.event_stream import EventStream, ReadEvents, parse_position
from node.feeds import feed_entries
from node.problem import Problem
from node.service import NodeService
from node.service_evidence import EVIDENCE_BODY_BYTES_MAX
from protocols.economy.operations import BLOB_BYTES_MAX, OPERATION_BYTES_MAX
from protocols.genesis import MAIN_COMMITTEE
from protocols.light import BUNDLE_BYTES_MAX

STREAMS_MAX = 32
UPLOADS_MAX = 4
JSON_BYTES_MAX = 64 * 1024
STOP_GRACE_S = 0.5
"""Time for answers under way once the server stops."""
HEADER_BYTES_MAX = 16 * 1024

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


class Api:
    """The HTTP side of one node. `serve` runs until `stop` is called or it is cancelled."""

    def __init__(self, node: NodeService, token: str, hosts: Hosts = LOOPBACK) -> None:
        self._node = node
        self._stopping = trio.Event()
        self._streams: set[trio.CancelScope] = set()
        self._uploads = trio.CapacityLimiter(UPLOADS_MAX)
        self._listener_fd = -1
        self.app = FastAPI(
            title="Econode",
            description="The local API of a node. Send the content of api.token as bearer token.",
            docs_url=None,  # its page loads scripts from elsewhere
            redoc_url=None,
        )
        self._add_routes()
        self.app.openapi = self._describe  # type: ignore[method-assign]
        self._guarded = Guard(self.app, token, compute_body_bytes_max, hosts)

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

    # --- routes

    def _add_routes(self) -> None:
        app = self.app
        app.add_exception_handler(Problem, _answer_problem)
        app.add_exception_handler(EconodeError, _answer_refusal)
        app.add_exception_handler(HTTPException, _answer_http_error)
        app.add_exception_handler(RequestValidationError, _answer_invalid)
        app.add_exception_handler(Exception, _answer_fault)

        def route(method: str, path: str, handler: Callable[..., Any], kind: type) -> None:
            app.add_api_route(
                path,
                handler,
                methods=[method],
                response_class=Response,
                response_model=None,
                responses={200: {"description": kind.__doc__ or "", **_refer(kind)}},
            )

        route("GET", "/health", self._health, service.Health)
        route("GET", "/v1/status", self._status, service.Status)
        route("GET", "/v1/peers", self._peers, service.Peers)
        route("PUT", "/v1/blobs", self._put_blob, service.BlobStored)
        route("POST", "/v1/tasks", self._submit_tasks, service.TasksSubmitted)
        route("GET", "/v1/tasks", self._tasks, service.TaskPage)
        route("GET", "/v1/tasks/{prefix}", self._task, service.Task)
        route("GET", "/v1/tasks/{prefix}/result", self._result, bytes)
        route("GET", "/v1/stake", self._stake, service.Stake)
        route("POST", "/v1/transfers", self._transfer, service.Executed)
        route("POST", "/v1/bonds", self._bond, service.Executed)
        route("POST", "/v1/unbondings", self._unbond, service.Executed)
        route("GET", "/v1/members", self._members, service.Members)
        route("POST", "/v1/members/join", self._join, service.Executed)
        route("POST", "/v1/members/leave", self._leave, service.Executed)
        route("GET", "/v1/capabilities", self._capabilities, service.Capabilities)
        route("GET", "/v1/views", self._views, bytes)
        route("GET", "/v1/facts", self._facts, service.LogPage)
        route("GET", "/v1/events", self._events, service.LogEntry)
        route("GET", "/v1/committees", self._committees, service.Committees)
        route("POST", "/v1/committees", self._form, service.Executed)
        route("POST", "/v1/committees/consents", self._consent, service.Executed)
        EvidenceRoutes(self._node).add(route)
        CrossingRoutes(self._node).add(route)
        AuctionRoutes(self._node).add(route)
        MarketRoutes(self._node).add(route)
        TaskRoutes(self._node).add(route)
        HistoryRoutes(self._node).add(route)
        UpgradeRoutes(self._node).add(route)
        route("POST", "/v1/operations", self._operation, service.Accepted)
        route("POST", "/v1/shutdown", self._shutdown, service.Health)
        ViewRoutes(self._node, self._open_stream).add(route)
        DataRoutes(self._node, self._open_stream).add(route)
        DashboardRoutes(self._node).add(route)
        TelemetryRoutes(self._node).add(route)

    async def _health(self) -> Response:
        return answer(service.Health(status="ok", peer_id=self._node.peer_id))

    async def _status(self, committee: str = MAIN_COMMITTEE) -> Response:
        return answer(await self._node.at(committee).status())

    async def _peers(self) -> Response:
        return answer(await self._node.peers())

    async def _put_blob(self, request: Request) -> Response:
        """The raw bytes of an input; the answer names them by their SHA-256."""
        async with self._uploads:
            return answer(await self._node.put_blob(await request.body()))

    async def _submit_tasks(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Open tasks on blobs that were put before (body: TaskBatch)."""
        batch = parse(await request.body(), service.TaskBatch)
        node = self._node.at(committee)
        done = await node.submit_tasks(batch.tasks, batch.budget, batch.duration_ms, batch.options)
        return answer(done)

    async def _tasks(
        self,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        known = next((item for item in service.TASK_STATES if item == state), None)
        if known != state:
            raise invalid("state", f"one of {', '.join(service.TASK_STATES)}")
        check_range("limit", limit, 1, service.TASKS_PER_PAGE_MAX)
        if cursor is not None and not is_hex(cursor):
            raise invalid("cursor", "the `next` of the page before")
        return answer(await self._node.at(committee).tasks(known, limit, cursor))

    async def _task(self, prefix: str, committee: str = MAIN_COMMITTEE) -> Response:
        return answer(await self._node.at(committee).task(check_prefix(prefix)))

    async def _result(self, prefix: str, committee: str = MAIN_COMMITTEE) -> Response:
        """The output of a task, as raw bytes."""
        data = await self._node.at(committee).result(check_prefix(prefix))
        return Response(data, media_type="application/octet-stream")

    async def _views(self, committee: str = MAIN_COMMITTEE) -> Response:
        """All views and peers' data as a Yjs v1 update, for Yjs clients. The header
        Econode-Position names the entry of the log that it was folded up to."""
        position, data = await self._node.at(committee).views()
        headers = {"Econode-Position": str(position)}
        return Response(data, media_type="application/octet-stream", headers=headers)

    async def _stake(self, account: str | None = None, committee: str = MAIN_COMMITTEE) -> Response:
        return answer(await self._node.at(committee).stake(account))

    async def _transfer(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Pay credits to another account (body: Transfer); answers once it is executed."""
        transfer = parse(await request.body(), service.Transfer)
        done = await self._node.at(committee).transfer(transfer.to, transfer.amount)
        return answer(done)

    async def _bond(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Bond credits (body: Bond); answers once it is executed."""
        bond = parse(await request.body(), service.Bond)
        return answer(await self._node.at(committee).bond(bond.amount))

    async def _unbond(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Begin to take a bond back (body: Bond); answers once that is executed."""
        bond = parse(await request.body(), service.Bond)
        return answer(await self._node.at(committee).unbond(bond.amount))

    async def _members(self, committee: str = MAIN_COMMITTEE) -> Response:
        return answer(await self._node.at(committee).members())

    async def _join(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Become a member of the committee (body: Join); answers once it is executed."""
        join = parse(await request.body(), service.Join)
        return answer(await self._node.at(committee).join_committee(join.bond))

    async def _leave(self, committee: str = MAIN_COMMITTEE) -> Response:
        """Be a member no longer; answers once it is executed."""
        return answer(await self._node.at(committee).leave_committee())

    async def _capabilities(self, committee: str = MAIN_COMMITTEE) -> Response:
        return answer(await self._node.at(committee).capabilities())

    async def _facts(
        self,
        position: Annotated[int, Query(alias="from")] = 0,
        limit: int = 100,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """Entries of the committee's log, from a position on."""
        check_range("from", position, 0, U63_MAX)
        check_range("limit", limit, 1, service.ENTRIES_PER_PAGE_MAX)
        return answer(await self._node.at(committee).facts(position, limit))

    async def _events(
        self,
        request: Request,
        position: Annotated[int | None, Query(alias="from")] = None,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """Entries as Server-Sent Events: id = position, data = LogEntry.

        Starts at `from`, or after the header Last-Event-ID, or with what comes next.
        """
        node = self._node.at(committee)
        seen = request.headers.get("last-event-id")
        if seen is not None:
            last = parse_position(seen)
            if last is None:
                raise invalid("Last-Event-ID", "a position")
            position = last + 1
        elif position is None:
            position = (await node.status()).position + 1
        check_range("from", position, 0, U63_MAX)
        return self._open_stream(feed_entries(node, position))

    def _open_stream(self, feed: AbstractContextManager[ReadEvents]) -> EventStream:
        if len(self._streams) >= STREAMS_MAX:
            raise Problem(
                "too-many-streams",
                f"{STREAMS_MAX} event streams are open already",
                remedy="close one",
                status=503,
            )
        return EventStream(feed, self._streams)

    async def _committees(self) -> Response:
        """The committees that this node knows of."""
        return answer(await self._node.committees())

    async def _form(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Propose a committee in the log of `committee` (body: FormRequest)."""
        terms = parse(await request.body(), service.FormRequest)
        return answer(await self._node.form_committee(committee, terms))

    async def _consent(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Consent to a committee that was proposed in `committee` (body: ConsentRequest)."""
        consent = parse(await request.body(), service.ConsentRequest)
        return answer(await self._node.consent_committee(committee, consent.committee))

    async def _operation(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Take in a signed operation (body: the statement's CBOR)."""
        return answer(await self._node.at(committee).submit_operation(await request.body()))

    async def _shutdown(self) -> Response:
        """Begin to stop the node, as SIGTERM does."""
        await self._node.shutdown()
        return answer(service.Health(status="ok", peer_id=self._node.peer_id))

    def _describe(self) -> dict[str, Any]:
        """The OpenAPI document with the schemas of the structs."""
        if self.app.openapi_schema is None:
            document = FastAPI.openapi(self.app)
            structs = service.Answer.__subclasses__()
            _, schemas = msgspec.json.schema_components(structs, ref_template=_TEMPLATE)
            document.setdefault("components", {}).setdefault("schemas", {}).update(schemas)
            self.app.openapi_schema = document
        return self.app.openapi_schema


_TEMPLATE = "#/components/schemas/{name}"


def _refer(kind: type) -> dict[str, Any]:
    if kind is bytes:
        return {"content": {"application/octet-stream": {}}, "description": "raw bytes"}
    schema = {"$ref": _TEMPLATE.format(name=kind.__name__)}
    return {"content": {"application/json": {"schema": schema}}}


def _with_trigger(trigger: Callable[[], Any]) -> Callable[..., Any]:
    async def run(
        app: Any, config: ServerConfig, *, task_status: trio.TaskStatus[list[str]]
    ) -> None:
        await serve(app, config, shutdown_trigger=trigger, task_status=task_status, mode="asgi")

    return run


async def _answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _to_response(error)


async def _answer_refusal(_: Request, error: Exception) -> Response:
    """What a deeper layer raised on purpose; its message is meant to be read."""
    return _to_response(Problem("refused", str(error), status=409))


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown paths, wrong methods, bad queries."""
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "wrong-method"}.get(error.status_code, "invalid-request")
    return _to_response(
        Problem(
            kind,
            f"{request.method} {request.url.path}: {error.detail}",
            remedy="/openapi.json lists what there is",
            status=error.status_code,
        )
    )


async def _answer_invalid(_: Request, error: Exception) -> Response:
    """A query that is not of its type."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1])
    return _to_response(Problem("invalid-request", f"{field}: {first['msg']}", where=field))


async def _answer_fault(request: Request, error: Exception) -> Response:
    """A fault of the node itself; the server logs the traceback."""
    return _to_response(
        Problem(
            "fault",
            f"{request.method} {request.url.path}: the node failed ({type(error).__name__})",
            remedy="its log (standard error of `econode start`) has the details",
            status=500,
        )
    )


def _to_response(problem: Problem) -> Response:
    return Response(
        msgspec.json.encode(problem.to_document()),
        status_code=problem.status,
        media_type="application/problem+json",
    )

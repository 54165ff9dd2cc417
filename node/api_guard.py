"""The gate before the local API: who may ask, under which host name, with how large a body."""

import hmac
import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api_dashboard import is_file
from node.problem import Problem

OPEN_PATHS = frozenset({"/health", "/ready"})
_LOCAL_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Hosts:
    """Which Host headers are taken: loopback's; if `remote`, IP addresses and `names` too. An IP
    address is safe to take: nobody can make one point elsewhere."""

    remote: bool = False
    names: frozenset[str] = frozenset()

    def has(self, name: str | None) -> bool:
        if name is None or name in _LOCAL_HOSTS:
            return name is not None
        return self.remote and (name in self.names or _is_ip(name))

    def describe(self) -> str:
        """What to do instead."""
        if self.remote:
            return "use the IP address, or list the name: config.toml, [api] hosts"
        return "use http://127.0.0.1:PORT"


LOOPBACK = Hosts()


class Guard:
    """ASGI middleware: Host header, bearer token and body size, before anything else runs.

    Web pages cannot get past it: a page of another site whose name was made to resolve to this
    machine (DNS rebinding) still sends its own name as Host, and no page has the token.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        body_bytes_max: Callable[[str, str], int],
        hosts: Hosts,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._token = token.encode()
        self._body_bytes_max = body_bytes_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        problem = self._check(scope)
        if problem is not None:
            await send_problem(send, problem)
            return
        limit = self._body_bytes_max(scope["method"], scope["path"])
        seen = 0

        async def receive_bounded() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise _too_large(limit)  # the application answers it as any other Problem
            return message

        await self._app(scope, receive_bounded, send)

    def _check(self, scope: Scope) -> Problem | None:
        if scope["type"] != "http":
            return Problem("not-found", "only HTTP is served here", status=404)
        headers = [(bytes(name).lower(), bytes(value)) for name, value in scope["headers"]]
        hosts = [value for name, value in headers if name == b"host"]
        if len(hosts) != 1 or not self._hosts.has(_parse_host(hosts[0])):
            return Problem(
                "foreign-host",
                "the Host header does not name this node's API",
                remedy=self._hosts.describe(),
                status=421,
            )
        if not _is_open(scope) and not self._is_authorised(headers):
            return Problem(
                "unauthorised",
                "the bearer token is absent or wrong",
                remedy="send 'Authorization: Bearer TOKEN' with the content of api.token",
                status=401,
            )
        limit = self._body_bytes_max(scope["method"], scope["path"])
        lengths = [value for name, value in headers if name == b"content-length"]
        if any(not value.isdigit() or int(value) > limit for value in lengths):
            return _too_large(limit)
        return None

    def _is_authorised(self, headers: list[tuple[bytes, bytes]]) -> bool:
        values = [value for name, value in headers if name == b"authorization"]
        if len(values) != 1:
            return False
        scheme, _, token = values[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token, self._token)


def _is_open(scope: Scope) -> bool:
    path = scope["path"]
    return path in OPEN_PATHS or (scope["method"] in ("GET", "HEAD") and is_file(path))


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _parse_host(value: bytes) -> str | None:
    try:
        return urlsplit("//" + value.decode("ascii")).hostname
    except ValueError:
        return None


def _too_large(limit: int) -> Problem:
    return Problem("too-large", f"the body may have at most {limit} bytes here", status=413)


async def send_problem(send: Send, problem: Problem) -> None:
    """Answer with problem+json (RFC 9457) without a framework."""
    headers = [(b"content-type", b"application/problem+json")]
    if problem.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if problem.status == 413:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    body = json.dumps(problem.to_document()).encode()
    await send({"type": "http.response.body", "body": body})

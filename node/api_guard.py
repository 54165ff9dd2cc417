"""The gate before the local API: who may ask, under which host name, how much and how often."""

import hmac
import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.api_dashboard import is_file
from node.problem import Problem

OPEN_PATHS = frozenset({"/health", "/ready"})
TARGET_BYTES_MAX = 8 * 1024
"""Path and query of a request, together."""
UPLOADS_MAX = 4
"""Bodies larger than UPLOAD_BYTES that are taken in at once: each is held in memory."""
UPLOAD_BYTES = 1 << 20
RETRY_AFTER_S = 1
_LOCAL_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one token. Requests in flight hold event streams as well, which have a bound of their
    own; `burst` requests may come at once after a pause."""

    in_flight: int = 256
    requests_per_s: float = 1_000.0
    burst: int = 2_000


class Bucket:
    """A token bucket: `rate` a second, at most `size` saved up."""

    def __init__(self, rate: float, size: int) -> None:
        self._rate, self._size = rate, size
        self._level, self._at = float(size), 0.0

    def take(self, now_s: float) -> bool:
        """Take one, if there is one at `now_s`, a time that does not go back."""
        self._level = min(self._size, self._level + (now_s - self._at) * self._rate)
        self._at = now_s
        if self._level < 1:
            return False
        self._level -= 1
        return True


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
    """ASGI middleware: Host header, bearer token, sizes and rate, before anything else runs.

    Web pages cannot get past it: a page of another site whose name was made to resolve to this
    machine (DNS rebinding) still sends its own name as Host, and no page has the token.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str,
        body_bytes_max: Callable[[str, str], int],
        hosts: Hosts,
        limits: Limits,
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._token = token.encode()
        self._body_bytes_max = body_bytes_max
        self._limits = limits
        self._bucket = Bucket(limits.requests_per_s, limits.burst)
        self._in_flight = 0
        self._uploads = trio.CapacityLimiter(UPLOADS_MAX)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        problem = self._check(scope)
        if problem is not None:
            await send_problem(send, problem)
            return
        self._in_flight += 1
        try:
            await self._pass(scope, receive, send)
        except Problem as raised:  # what is around the application raises it before any answer
            await send_problem(send, raised)
        finally:
            self._in_flight -= 1

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        limit = self._body_bytes_max(scope["method"], scope["path"])
        seen = 0

        async def receive_bounded() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise _too_large(limit)
            return message

        if limit > UPLOAD_BYTES:
            async with self._uploads:
                await self._app(scope, receive_bounded, send)
        else:
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
        if not _is_free(scope) and not self._is_authorised(headers):
            return Problem(
                "unauthorised",
                "the bearer token is absent or wrong",
                remedy="send 'Authorization: Bearer TOKEN' with the content of api.token",
                status=401,
            )
        if len(scope["raw_path"]) + len(scope["query_string"]) > TARGET_BYTES_MAX:
            detail = f"path and query may have at most {TARGET_BYTES_MAX} bytes"
            return Problem("too-long", detail, status=414)
        limit = self._body_bytes_max(scope["method"], scope["path"])
        lengths = [value for name, value in headers if name == b"content-length"]
        if any(not value.isdigit() or int(value) > limit for value in lengths):
            return _too_large(limit)
        return self._check_rate()

    def _check_rate(self) -> Problem | None:
        limits = self._limits
        if self._in_flight >= limits.in_flight:
            detail = f"{limits.in_flight} requests are under way"
        elif not self._bucket.take(trio.current_time()):
            detail = f"more than {limits.requests_per_s:g} requests a second"
        else:
            return None
        remedy = "ask again later, as the header Retry-After says; [api] sets the limits"
        return Problem("too-many-requests", detail, remedy=remedy, status=429)

    def _is_authorised(self, headers: list[tuple[bytes, bytes]]) -> bool:
        values = [value for name, value in headers if name == b"authorization"]
        if len(values) != 1:
            return False
        scheme, _, token = values[0].partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token, self._token)


def is_open(path: str) -> bool:
    """True for paths whose reading needs no token."""
    return path in OPEN_PATHS or is_file(path)


def _is_free(scope: Scope) -> bool:
    return is_open(scope["path"]) and scope["method"] in ("GET", "HEAD")


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
    if problem.status == 429:
        headers.append((b"retry-after", b"%d" % RETRY_AFTER_S))
    if problem.status == 413:
        headers.append((b"connection", b"close"))  # the rest of the body is not read
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    body = json.dumps(problem.to_document()).encode()
    await send({"type": "http.response.body", "body": body})

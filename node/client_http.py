"""How a client asks a node's local API: one connection, the token, repetitions, problems."""

import json
import time
import uuid
from collections.abc import Iterator
from copy import copy
from typing import Any, Self, TypeVar

import httpx
import msgspec

from node.answer import CHANGES, KEY_HEADER
from node.home import NodeInfo
from node.problem import Problem
from protocols.genesis import MAIN_COMMITTEE

CONNECT_S_MAX = 3.0
ANSWER_S_MAX = 60.0
SILENCE_S_MAX = 60.0
"""An event stream sends a heartbeat every 15 s; one that is silent longer is dead."""
REPEATS_MAX = 3
REPEAT_S = 0.2
_LOST = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""The node was there and the answer is not: unlike a connection that is refused."""

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)


class HttpClient:
    """Asks the node of `info`. Failures are Problems, as the API sent them.

    What is asked of a committee is asked of `committee`, by name or id; `at` gives the client of
    another one, with the same connection.
    """

    def __init__(self, info: NodeInfo, token: str, committee: str = MAIN_COMMITTEE) -> None:
        self.info = info
        self.committee = committee
        self._http = httpx.Client(
            base_url=info.api_url,
            timeout=httpx.Timeout(ANSWER_S_MAX, connect=CONNECT_S_MAX),
            trust_env=False,  # a proxy variable must not carry the token away
        )
        self._headers = {"authorization": f"Bearer {token}"}

    def at(self, committee: str) -> Self:
        other = copy(self)
        other.committee = committee
        return other

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stream(self, path: str, params: dict[str, Any], kind: type[T]) -> Iterator[T]:
        given = {key: value for key, value in params.items() if value is not None}
        given["committee"] = self.committee
        timeout = httpx.Timeout(SILENCE_S_MAX, connect=CONNECT_S_MAX)
        with self._http.stream(
            "GET", path, params=given, headers=self._headers, timeout=timeout
        ) as response:
            if response.status_code >= 400:
                response.read()
                raise _read_problem(response)
            for line in response.iter_lines():
                if line.startswith("data: "):
                    yield decode_json(line[6:].encode(), kind)

    def _get(self, path: str, params: dict[str, Any] | None = None) -> httpx.Response:
        given = {key: value for key, value in (params or {}).items() if value is not None}
        return self._send("GET", path, params=given)

    def _get_list(
        self, path: str, kind: type[S], items: str, params: dict[str, Any] | None = None
    ) -> S:
        """A list that comes in pages, whole: the last page with the `items` of all of them."""
        found: tuple[Any, ...] = ()
        given = dict(params or {})
        while True:
            page: Any = decode(self._get(path, given), kind)
            found += getattr(page, items)
            following = page.next
            if following is None:
                whole: S = msgspec.structs.replace(page, **{items: found})
                return whole
            given["cursor"] = following

    def _post(
        self,
        path: str,
        body: msgspec.Struct | None = None,
        params: dict[str, Any] | None = None,
    ) -> httpx.Response:
        content = b"" if body is None else msgspec.json.encode(body)
        return self._send("POST", path, content=content, params=params or {})

    def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        options.setdefault("headers", self._headers)
        if method in CHANGES:  # so that it may be repeated: it is carried out once
            options["headers"] = {**options["headers"], KEY_HEADER: uuid.uuid4().hex}
        if path != "/health":
            options["params"] = {**options.get("params", {}), "committee": self.committee}
        response = self._repeat(method, path, options)
        if response.status_code >= 400:
            raise _read_problem(response)
        return response

    def _repeat(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        """Send a request again when its answer was lost on the way, the node was still at it or
        refused it for its rate. Each time it is the same one, with the same key."""
        deadline = time.monotonic() + ANSWER_S_MAX
        tries = REPEATS_MAX + 1 if path != "/health" else 1
        while True:
            tries -= 1
            try:
                response = self._request(method, path, options)
            except Problem as problem:
                if tries == 0 or not isinstance(problem.__cause__, _LOST):
                    raise
            else:
                if not _is_early(response) or time.monotonic() > deadline:
                    return response
            time.sleep(REPEAT_S)

    def _request(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx.TimeoutException:
            raise Problem(
                "timeout",
                f"the node did not answer {method} {path} in time",
                where=str(self._http.base_url),
                remedy="try again; `econode status` shows whether its committee makes progress",
                status=504,
            ) from None
        except httpx.TransportError as error:
            raise Problem(
                "not-running",
                f"the node cannot be reached: {error}",
                where=str(self._http.base_url),
                remedy="see whether it still runs: econode status",
                status=503,
            ) from error


def _is_early(response: httpx.Response) -> bool:
    """Whether the same request gets its answer a moment later."""
    if response.status_code == 429:
        return True
    return response.status_code == 409 and _read_problem(response).type == "in-flight"


def quote(prefix: str) -> str:
    """An id's prefix as a path segment; anything else is refused before it is sent."""
    if not prefix.isalnum() or not prefix.isascii():
        raise Problem(
            "invalid-request",
            f"{prefix!r} is not an id",
            remedy="`econode task list` or `auction list` shows the ids; first digits are enough",
        )
    return prefix


def _read_problem(response: httpx.Response) -> Problem:
    try:
        document = json.loads(response.content)
    except ValueError:
        document = None
    return Problem.from_document(document, response.status_code)


def decode(response: httpx.Response, kind: type[T]) -> T:
    return decode_json(response.content, kind)


def decode_json(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise Problem(
            "unexpected-answer",
            f"the node's answer is not a {kind.__name__}: {error}",
            remedy="use the command and the node of one version",
            status=502,
        ) from None

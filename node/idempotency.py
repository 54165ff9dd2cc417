"""Idempotency keys: a request that changes something, sent twice under one key, is carried out
once, and its answer is given again (draft-ietf-httpapi-idempotency-key-header-07).

The key is noted on disk before the request is carried out, and the answer before it is sent: both
outlive a crash. What was under way in a crash may or may not have been done, and the key says so.
"""

import hashlib
import re
from typing import Protocol

import msgspec
import trio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.answer import CHANGES, KEY_HEADER
from node.problem import Problem

KEY_CHARS_MAX = 128
ANSWER_BYTES_MAX = 16 * 1024
"""An answer that is kept; those of routes that change something are smaller."""
ANSWERS_KEPT_MAX = 10_000
"""The last ones; an older key is as good as new."""
TEMPORARY = frozenset({429, 503})
"""Statuses that are not kept: nothing was done, and the same request may work next time."""
CONTENT_ADDRESSED = frozenset({"/v1/blobs"})
"""Here the answer follows from the body alone, so a repetition changes nothing without a key."""
_KEY = re.compile(rf'"?([A-Za-z0-9._:-]{{1,{KEY_CHARS_MAX}}})"?', re.ASCII)


class KeptAnswer(msgspec.Struct, frozen=True):
    """What is known of a key: its request's SHA-256, and the answer; status 0 until it is there."""

    request: bytes
    status: int = 0
    media: str = ""
    body: bytes = b""


class AnswerStore(Protocol):
    """Keys and their answers, durable when a call returns; the last ANSWERS_KEPT_MAX."""

    async def read(self, key: str) -> KeptAnswer | None: ...

    async def write(self, key: str, kept: KeptAnswer | None) -> None:
        """None: forget the key."""
        ...


class Idempotent:
    """ASGI middleware around the application. Requests without a key pass."""

    def __init__(self, app: ASGIApp, store: AnswerStore) -> None:
        self._app, self._store = app, store
        self._under_way: dict[str, bytes] = {}
        """Bounded by the requests in flight."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises Problem for a key that cannot be used."""
        key = _read_key(scope)
        if key is None:
            await self._app(scope, receive, send)
            return
        body = await _read_body(receive)
        if body is None:
            return
        request = _digest(scope, body)
        self._check_under_way(key, request)
        self._under_way[key] = request
        try:
            kept = await self._begin(key, request)
            if kept is None:
                answer = _Answer(body, receive)
                try:
                    await self._app(scope, answer.receive, answer.send)
                finally:  # a fault, too: the framework answers 500, and then passes it on
                    kept = await self._keep(key, answer.finish(request))
                    await _send(send, kept)
            else:
                await _send(send, kept)
        finally:
            del self._under_way[key]

    def _check_under_way(self, key: str, request: bytes) -> None:
        if key in self._under_way:
            _check_same(self._under_way[key], request)
            raise Problem(
                "in-flight",
                "the request of this Idempotency-Key is under way",
                where=KEY_HEADER,
                remedy="repeat it in a second: it gets the answer then",
                status=409,
            )

    async def _begin(self, key: str, request: bytes) -> KeptAnswer | None:
        """The answer that was given, or None once the key is noted."""
        kept = await self._store.read(key)
        if kept is None:
            await self._store.write(key, KeptAnswer(request))
            return None
        _check_same(kept.request, request)
        if kept.status == 0:
            raise Problem(
                "outcome-unknown",
                "the node ended while it carried out the request of this Idempotency-Key",
                where=KEY_HEADER,
                remedy="see whether it was done (`econode ledger log`); if not, use another key",
                status=409,
            )
        return kept

    async def _keep(self, key: str, kept: KeptAnswer) -> KeptAnswer:
        with trio.CancelScope(shield=True):  # it is done: the key must say so
            await self._store.write(key, None if kept.status in TEMPORARY else kept)
        return kept


class _Answer:
    """The application's side of one request: its body, and the answer in one piece."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._requests = [body]
        self._receive = receive
        self._head: Message = {}
        self._body = bytearray()

    async def receive(self) -> Message:
        if self._requests:
            return {"type": "http.request", "body": self._requests.pop(), "more_body": False}
        return await self._receive()

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._head = message
        else:
            self._body += message.get("body", b"")

    def finish(self, request: bytes) -> KeptAnswer:
        headers = {bytes(k).lower(): bytes(v).decode() for k, v in self._head["headers"]}
        if len(self._body) > ANSWER_BYTES_MAX:
            raise AssertionError(f"an answer of {len(self._body)} bytes cannot be kept")
        media = headers.get(b"content-type", "")
        return KeptAnswer(request, self._head["status"], media, bytes(self._body))


def _read_key(scope: Scope) -> str | None:
    if scope["type"] != "http" or scope["method"] not in CHANGES:
        return None
    if scope["path"] in CONTENT_ADDRESSED:
        return None
    name = KEY_HEADER.lower().encode()
    values = [bytes(value) for key, value in scope["headers"] if bytes(key).lower() == name]
    if not values:
        return None
    found = _KEY.fullmatch(values[0].decode("latin-1")) if len(values) == 1 else None
    if found is None:
        raise Problem(
            "invalid-request",
            f"{KEY_HEADER} must be 1 to {KEY_CHARS_MAX} of A-Z a-z 0-9 . _ : -, given once",
            where=KEY_HEADER,
        )
    return found[1]


async def _read_body(receive: Receive) -> bytes | None:
    """The whole body, which the gate has bounded; None when the client has gone."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)


def _digest(scope: Scope, body: bytes) -> bytes:
    head = f"{scope['method']} {scope['path']}?".encode() + scope["query_string"] + b"\n"
    return hashlib.sha256(head + body).digest()


def _check_same(noted: bytes, request: bytes) -> None:
    if noted != request:
        raise Problem(
            "key-reused",
            "this Idempotency-Key was used for another request",
            where=KEY_HEADER,
            remedy="make a new key for each request, and keep it for its repetitions",
            status=422,
        )


async def _send(send: Send, kept: KeptAnswer) -> None:
    headers = [
        (b"content-type", kept.media.encode()),
        (b"content-length", b"%d" % len(kept.body)),
    ]
    await send({"type": "http.response.start", "status": kept.status, "headers": headers})
    await send({"type": "http.response.body", "body": kept.body})

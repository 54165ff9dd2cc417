"""Server-Sent Events: what a feed reads, for as long as somebody listens."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

import trio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from identity.schema import U63_MAX

HEARTBEAT_S = 15.0
END_S_MAX = 0.5
"""Time to say the end to a reader that may not read any more."""

ReadEvents = Callable[[], Awaitable[bytes]]
"""Waits for the next events and gives them as Server-Sent Events. A cancelled call loses none."""


class EventStream(Response):
    """Events until either side ends it; `feed` is entered when it begins and left at the end.

    Nothing is buffered here for a slow reader: the feed is read at its pace. One that takes nothing
    loses its connection (`node.api.STALLED_MS_MAX`). `streams` holds its cancel scope from the
    moment it is made until it has ended.
    """

    media_type = "text/event-stream"

    def __init__(
        self, feed: AbstractContextManager[ReadEvents], streams: set[trio.CancelScope]
    ) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._feed = feed
        self._streams = streams
        self._scope = trio.CancelScope()
        streams.add(self._scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._scope, self._feed as read:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch, receive)
                    head = {"status": 200, "headers": self.raw_headers}
                    await send({"type": "http.response.start", **head})
                    while True:
                        body = await _read(read)
                        await send(_make_body(body, more=True))
            with trio.move_on_after(END_S_MAX):
                await send(_make_body(b"", more=False))
        finally:
            self._streams.discard(self._scope)

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._scope.cancel()


OpenStream = Callable[[AbstractContextManager[ReadEvents]], EventStream]
"""Makes a stream of a feed, or raises Problem when there are too many."""


async def _read(read: ReadEvents) -> bytes:
    """The next events, or a comment after HEARTBEAT_S without any."""
    with trio.move_on_after(HEARTBEAT_S):
        return await read()
    return b": still here\n\n"


def _make_body(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def parse_position(text: str) -> int | None:
    """A position from outside (a query or Last-Event-ID), None when it is none."""
    if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= U63_MAX:
        return int(text)
    return None

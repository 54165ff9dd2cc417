"""The committee's log as Server-Sent Events, one event an entry."""

import msgspec
import trio
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from identity.schema import U63_MAX
from node.service import CommitteeService

HEARTBEAT_S = 15.0
ENTRIES_PER_READ = 16
END_S_MAX = 0.5
"""Time to say the end to a reader that may not read any more."""


class EventStream(Response):
    """Entries from `position` on, as Server-Sent Events, until either side ends it.

    Nothing is buffered for a slow reader: it reads the log at its own pace. `streams` holds its
    cancel scope from the moment it is made until it has ended.
    """

    media_type = "text/event-stream"

    def __init__(
        self, node: CommitteeService, position: int, streams: set[trio.CancelScope]
    ) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._node = node
        self._position = position
        self._streams = streams
        self._scope = trio.CancelScope()
        streams.add(self._scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._watch, receive)
                    head = {"status": 200, "headers": self.raw_headers}
                    await send({"type": "http.response.start", **head})
                    while True:
                        body = await self._read()
                        await send(_make_body(body, more=True))
            with trio.move_on_after(END_S_MAX):
                await send(_make_body(b"", more=False))
        finally:
            self._streams.discard(self._scope)

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._scope.cancel()

    async def _read(self) -> bytes:
        """The next entries as events, or a comment after HEARTBEAT_S without any."""
        with trio.move_on_after(HEARTBEAT_S):
            page = await self._node.wait_facts(self._position, ENTRIES_PER_READ)
            self._position = page.next
            return b"".join(
                b"id: %d\nevent: entry\ndata: %b\n\n" % (entry.position, msgspec.json.encode(entry))
                for entry in page.entries
            )
        return b": still here\n\n"


def _make_body(body: bytes, *, more: bool) -> Message:
    return {"type": "http.response.body", "body": body, "more_body": more}


def parse_position(text: str) -> int | None:
    """A position from outside (a query or Last-Event-ID), None when it is none."""
    if text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= U63_MAX:
        return int(text)
    return None

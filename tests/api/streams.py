"""Event streams read from plain sockets, so that a test sees what is on the wire."""

import json
import re
from contextlib import asynccontextmanager

import trio


class Stream:
    """An event stream read from a plain socket."""

    def __init__(self, socket):
        self._socket = socket
        self._data = b""

    async def read_to(self, end):
        """The bytes up to and with `end`; b"" once the stream has ended."""
        while end not in self._data:
            received = await self._socket.receive_some()
            if not received:
                return b""
            self._data += received
        found, self._data = self._data[: self._data.index(end)], self._data.split(end, 1)[1]
        return found + end

    async def read_event(self):
        """Position and facts of the next entry; None at the end. Chunk sizes are skipped."""
        found = re.search(rb"id: (\d+)\nevent: entry\ndata: (.*)\n\n", await self.read_to(b"\n\n"))
        return found and (int(found[1]), json.loads(found[2])["facts"])


@asynccontextmanager
async def open_stream(served, path="/v1/events", *fields):
    async with await trio.open_tcp_stream("127.0.0.1", served.port) as socket:
        authorization = served.client.headers["authorization"]
        head = [f"GET {path} HTTP/1.1", "host: localhost", f"authorization: {authorization}"]
        await socket.send_all("\r\n".join([*head, *fields, "", ""]).encode())
        stream = Stream(socket)
        with trio.fail_after(20):
            yield await stream.read_to(b"\r\n\r\n"), stream

"""Yamux for links: libp2p's muxer with its frame pump replaced by a bounded one.

Same wire format (the yamux 1.0.0 specification), same interface towards libp2p. What differs from
py-libp2p 0.8.1's `Yamux`, and why:

- A peer that sends beyond its window ends its connection. The original logs and keeps buffering.
- The task that reads a connection never waits for a write: replies (acknowledgements, window
  updates, pongs) go into a bounded buffer with its own writer. In the original two busy peers can
  each wait for the other to read.
- A write to the connection is shielded and has a deadline; after a half-done write the connection
  is closed. A cancelled write in the original leaves half a Noise message behind.
- A writer without window waits for the update itself, not in 10 ms polls that give up after 5 s.
- Inbound streams per connection are limited; a frame is parsed from a buffer, not read in two
  locked steps; credit goes back once per half window; no debug string is built per frame.
- Every connection is pinged each second; one that stays silent is closed (SIGSTOP, cable pulled).
"""

import logging
import struct
from contextlib import suppress
from typing import Any

import trio
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import (
    MuxedConnUnavailable,
    MuxedStreamClosed,
    MuxedStreamEOF,
    MuxedStreamError,
    MuxedStreamReset,
)
from libp2p.stream_muxer.yamux.yamux import (
    DEFAULT_WINDOW_SIZE,
    FLAG_ACK,
    FLAG_FIN,
    FLAG_RST,
    FLAG_SYN,
    GO_AWAY_NORMAL,
    HEADER_SIZE,
    TYPE_DATA,
    TYPE_GO_AWAY,
    TYPE_PING,
    TYPE_WINDOW_UPDATE,
    Yamux,
    YamuxStream,
)

from node.log_lines import about

logger = logging.getLogger("econode.links.yamux")

# One yamux frame fits one Noise message: 65,535 bytes less the 16 of its authentication tag.
DATA_FRAME_BYTES_MAX = 65_535 - 16 - HEADER_SIZE
INBOUND_STREAMS_MAX = 64  # open streams a peer may have started on one connection
REPLY_BYTES_MAX = 64 * 1024  # replies owed to a peer that does not read them
WRITE_SECONDS_MAX = 5.0
WINDOW_WAIT_SECONDS_MAX = 30.0  # a peer may hold back a stream this long
PING_INTERVAL_SECONDS = 1.0
"""A peer that was silent for so long is asked whether it lives."""
RTT_INTERVAL_SECONDS = 5.0
"""Any peer is asked so often, for the time it takes."""
SILENCE_SECONDS_MAX = 4.0
STALL_SECONDS = 1.0  # when our own loop stood still this long, silence proves nothing
GO_AWAY_SECONDS_MAX = 0.2
TEARDOWN_SECONDS_MAX = 1.0

_HEADER = struct.Struct("!BBHII")
_CREDIT_BYTES_MIN = DEFAULT_WINDOW_SIZE // 2


def shield_for(seconds: float) -> trio.CancelScope:
    """A scope for cleaning up: safe from cancellation, but not for longer than `seconds`."""
    return trio.CancelScope(shield=True, deadline=trio.current_time() + seconds)


class YamuxViolation(Exception):
    """The peer broke the protocol; its connection is closed."""


class BoundedStream(YamuxStream):
    """One stream. `read` and `write` serve one task each; both end when the connection does."""

    conn: "BoundedYamux"

    def __init__(self, stream_id: int, conn: "BoundedYamux", is_initiator: bool) -> None:
        super().__init__(stream_id, conn, is_initiator)
        self.buffer = bytearray()
        self._uncredited = 0
        self._readable = trio.Event()
        self._writable = trio.Event()

    def wake(self) -> None:
        """Let a waiting reader and writer look at the state again."""
        self._readable.set()
        self._writable.set()

    async def read(self, n: int | None = -1) -> bytes:
        """Up to `n` bytes (all there are without `n`), at least one; waits for the first."""
        while not self.buffer:
            if self.reset_received:
                raise MuxedStreamReset("the stream was reset")
            if self.recv_closed:
                raise MuxedStreamEOF("the peer ended the stream")
            self._readable = trio.Event()
            await self._readable.wait()
        if n is None or n < 0 or n >= len(self.buffer):
            data = bytes(self.buffer)
            self.buffer.clear()
        else:
            data = bytes(self.buffer[:n])
            del self.buffer[:n]
        self._credit(len(data))
        return data

    def _credit(self, size: int) -> None:
        self._uncredited += size
        if self._uncredited >= _CREDIT_BYTES_MIN and not self.recv_closed:
            self.recv_window += self._uncredited
            self.conn.reply(TYPE_WINDOW_UPDATE, 0, self.stream_id, self._uncredited)
            self._uncredited = 0

    async def write(self, data: bytes) -> None:
        """Hand `data` to the connection; waits for the peer's window. Raises MuxedStreamError."""
        sent, total = 0, len(data)
        while sent < total:
            if self.reset_received:
                raise MuxedStreamReset("the stream was reset")
            if self.send_closed:
                raise MuxedStreamClosed("the stream is closed for writing")
            if self.send_window <= 0:
                await self._wait_for_window()
                continue
            size = min(self.send_window, DATA_FRAME_BYTES_MAX, total - sent)
            self.send_window -= size
            header = _HEADER.pack(0, TYPE_DATA, 0, self.stream_id, size)
            await self.conn._write_frame(header + data[sent : sent + size])
            sent += size

    async def _wait_for_window(self) -> None:
        self._writable = trio.Event()
        with trio.move_on_after(WINDOW_WAIT_SECONDS_MAX) as scope:
            await self._writable.wait()
        if scope.cancelled_caught:
            raise MuxedStreamError(f"the peer took nothing for {WINDOW_WAIT_SECONDS_MAX:.0f} s")

    async def close(self) -> None:
        """End our direction; the peer's stays readable."""
        if not self.send_closed:
            self.send_closed = True
            self.conn.reply(TYPE_WINDOW_UPDATE, FLAG_FIN, self.stream_id, 0)
            self.conn.forget_if_closed(self)
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """End both directions at once."""
        if not self.closed:
            self.conn.reply(TYPE_WINDOW_UPDATE, FLAG_RST, self.stream_id, 0)
            self.mark_reset()
            self.conn.forget_if_closed(self)
        await trio.lowlevel.checkpoint()

    def mark_reset(self) -> None:
        """Both directions are dead; buffered bytes are dropped."""
        self.closed = self.send_closed = self.recv_closed = self.reset_received = True
        self.buffer.clear()
        self.wake()


class BoundedYamux(Yamux):
    """One multiplexed connection; `start` runs it until it ends, for whatever reason."""

    streams: dict[int, BoundedStream]  # type: ignore[assignment]

    def __init__(self, secured_conn: Any, peer_id: ID, **options: Any) -> None:
        super().__init__(secured_conn, peer_id, **options)
        send, receive = trio.open_memory_channel[YamuxStream](INBOUND_STREAMS_MAX)
        self.new_stream_send_channel, self.new_stream_receive_channel = send, receive
        self.last_heard = trio.current_time()
        self.ended_because = ""
        self._replies = bytearray()
        self._reply_due = trio.Event()
        self._inbound_open = 0
        self._broken = False
        self._awaited_ping = 0
        self._ping_sent_at = 0.0

    async def start(self) -> None:
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._send_replies)
                nursery.start_soon(self._watch)
                self._established = True
                self.event_started.set()
                await self._pump()
                nursery.cancel_scope.cancel()
        finally:
            self.event_started.set()
            with shield_for(TEARDOWN_SECONDS_MAX):
                await self._teardown()

    async def _pump(self) -> None:
        buffer = bytearray()
        try:
            while not self.event_shutting_down.is_set():
                buffer += await self.secured_conn.read(None)
                self.last_heard = trio.current_time()
                self._parse(buffer)
        except YamuxViolation as error:
            self.ended_because = str(error)
            logger.warning(
                "closing the connection of %s: %s",
                self.peer_id,
                error,
                extra=about("connection_closed", peer=str(self.peer_id)),
            )
        # Everything a peer or its network can cause while reading, decrypting or parsing ends
        # this one connection and nothing else: socket errors, InvalidTag, short reads.
        except Exception as error:
            self.ended_because = self.ended_because or f"{type(error).__name__}: {error}"
            logger.debug(
                "connection of %s ended: %r", self.peer_id, error, extra=about("connection_ended")
            )

    def _parse(self, buffer: bytearray) -> None:
        at, end = 0, len(buffer)
        while end - at >= HEADER_SIZE:
            version, kind, flags, stream_id, length = _HEADER.unpack_from(buffer, at)
            if version != 0 or kind > TYPE_GO_AWAY:
                raise YamuxViolation(f"unknown frame version {version} type {kind}")
            if kind == TYPE_DATA:
                if flags & FLAG_SYN:
                    self._open_inbound(stream_id)
                    # A data frame that opens a stream may be looked at twice while it is partial.
                    _HEADER.pack_into(buffer, at, 0, kind, flags & ~FLAG_SYN, stream_id, length)
                self._check_window(stream_id, length)
                if end - at - HEADER_SIZE < length:
                    break
                start = at + HEADER_SIZE
                self._accept_data(stream_id, flags, buffer, start, start + length)
                at = start + length
            else:
                at += HEADER_SIZE
                self._accept_control(kind, flags, stream_id, length)
        del buffer[:at]

    def _check_window(self, stream_id: int, length: int) -> None:
        stream = self.streams.get(stream_id)
        allowed = DEFAULT_WINDOW_SIZE if stream is None else stream.recv_window
        if length > allowed:
            raise YamuxViolation(f"{length} bytes on stream {stream_id}, window {allowed}")

    def _accept_data(
        self, stream_id: int, flags: int, buffer: bytearray, start: int, end: int
    ) -> None:
        stream = self.streams.get(stream_id)
        if stream is None:
            return  # closed here a moment ago; what was in flight is dropped
        if end > start:
            stream.recv_window -= end - start
            stream.buffer += memoryview(buffer)[start:end]
            stream._readable.set()
        self._accept_flags(stream, flags)

    def _accept_control(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        if kind == TYPE_PING:
            if flags & FLAG_SYN:
                self.reply(TYPE_PING, FLAG_ACK, 0, length)
            elif length == self._awaited_ping:
                self._rtt = trio.current_time() - self._ping_sent_at
            return
        if kind == TYPE_GO_AWAY:
            raise ConnectionClosedError("the peer said goodbye")
        if flags & FLAG_SYN:
            self._open_inbound(stream_id)
        stream = self.streams.get(stream_id)
        if stream is not None:
            stream.send_window += length
            stream._writable.set()
            self._accept_flags(stream, flags)

    def _accept_flags(self, stream: BoundedStream, flags: int) -> None:
        if flags & FLAG_RST:
            stream.mark_reset()
        elif flags & FLAG_FIN:
            stream.recv_closed = True
            stream._readable.set()
        if flags & (FLAG_RST | FLAG_FIN):
            self.forget_if_closed(stream)

    def _open_inbound(self, stream_id: int) -> None:
        if stream_id == 0 or stream_id % 2 == self.next_stream_id % 2 or stream_id in self.streams:
            raise YamuxViolation(f"opened stream {stream_id}, which is not the peer's to open")
        waiting = self.new_stream_send_channel.statistics().current_buffer_used
        if max(self._inbound_open, waiting) >= INBOUND_STREAMS_MAX:
            self.reply(TYPE_WINDOW_UPDATE, FLAG_RST, stream_id, 0)
            return
        stream = BoundedStream(stream_id, self, False)
        self.new_stream_send_channel.send_nowait(stream)
        self._inbound_open += 1
        self.streams[stream_id] = stream
        self.reply(TYPE_WINDOW_UPDATE, FLAG_ACK, stream_id, 0)

    def forget_if_closed(self, stream: BoundedStream) -> None:
        """Drop the bookkeeping of a stream whose two directions ended."""
        if stream.send_closed and stream.recv_closed:
            stream.closed = True
            if self.streams.pop(stream.stream_id, None) and not stream.is_initiator:
                self._inbound_open -= 1

    def reply(self, kind: int, flags: int, stream_id: int, length: int) -> None:
        """Owe the peer a frame without waiting; a peer that reads none of them is cut off."""
        if self._broken:
            return
        self._replies += _HEADER.pack(0, kind, flags, stream_id, length)
        self._reply_due.set()
        if len(self._replies) > REPLY_BYTES_MAX:
            self.ended_because = "the peer asks for replies and reads none"
            self.abort()

    async def _send_replies(self) -> None:
        while True:
            await self._reply_due.wait()
            self._reply_due = trio.Event()
            try:
                await self._write_frame(b"")
            except ConnectionClosedError:
                return  # the reading task sees the closed socket and ends the connection

    async def _write_frame(self, data: bytes, seconds_max: float = WRITE_SECONDS_MAX) -> None:
        """Write owed replies and `data` in one Noise message. Raises ConnectionClosedError."""
        try:
            self._write_lock.acquire_nowait()
        except trio.WouldBlock:
            await self._write_lock.acquire()
        try:
            if self._replies:
                data = bytes(self._replies) + data
                self._replies.clear()
            if self._broken:
                raise ConnectionClosedError("the connection is closed")
            if not data:
                return
            # Half a Noise message would spoil all that follow, so cancelling waits for the end.
            with shield_for(seconds_max) as scope:
                await self.secured_conn.write(data)
            if scope.cancelled_caught:
                raise ConnectionClosedError(f"the peer took no byte for {seconds_max} s")
        except ConnectionClosedError as error:
            self.ended_because = self.ended_because or str(error)
            self.abort()
            raise
        except Exception as error:  # socket errors come in many types; all end the connection
            self.abort()
            raise ConnectionClosedError(f"write failed: {error}") from error
        finally:
            self._write_lock.release()

    async def _watch(self) -> None:
        while True:
            due = trio.current_time() + PING_INTERVAL_SECONDS
            await trio.sleep_until(due)
            if (now := trio.current_time()) - due > STALL_SECONDS:
                self.last_heard = now
            if now - self.last_heard > SILENCE_SECONDS_MAX:
                self.ended_because = f"silent for {SILENCE_SECONDS_MAX:.0f} s"
                logger.info(
                    "closing the connection of %s: %s",
                    self.peer_id,
                    self.ended_because,
                    extra=about("connection_closed", peer=str(self.peer_id)),
                )
                self.abort()
                return
            is_heard = now - self.last_heard < PING_INTERVAL_SECONDS
            if is_heard and now - self._ping_sent_at < RTT_INTERVAL_SECONDS:
                continue
            self._awaited_ping = (self._awaited_ping + 1) & 0xFFFFFFFF
            self._ping_sent_at = now
            self.reply(TYPE_PING, FLAG_SYN, 0, self._awaited_ping)

    async def open_stream(self) -> YamuxStream:
        if self.event_shutting_down.is_set():
            raise MuxedConnUnavailable("the connection is closed")
        stream = BoundedStream(self.next_stream_id, self, True)
        self.next_stream_id += 2
        self.streams[stream.stream_id] = stream
        self.reply(TYPE_WINDOW_UPDATE, FLAG_SYN, stream.stream_id, 0)
        await trio.lowlevel.checkpoint()
        return stream

    def abort(self) -> None:
        """Close the socket now, without a word; the reading task does the rest."""
        self._broken = True
        secured: Any = self.secured_conn
        raw = secured.conn.read_writer.read_write_closer.stream.stream
        raw.socket.close()

    async def close(self, error_code: int = GO_AWAY_NORMAL) -> None:
        if not self._broken and not self._write_lock.locked():
            goodbye = _HEADER.pack(0, TYPE_GO_AWAY, 0, 0, error_code)
            with suppress(ConnectionClosedError):  # the peer left first
                await self._write_frame(goodbye, GO_AWAY_SECONDS_MAX)
        await self._teardown()

    async def _teardown(self) -> None:
        if self.event_shutting_down.is_set():
            return
        self.event_shutting_down.set()
        self.abort()
        self.new_stream_send_channel.close()
        for stream in tuple(self.streams.values()):
            # Bytes that arrived before the end stay readable; then the reader sees a reset.
            stream.closed = stream.send_closed = stream.recv_closed = stream.reset_received = True
            stream.wake()
        self.streams.clear()
        self._inbound_open = 0
        self.event_closed.set()
        if self.on_close is not None:
            await self.on_close()

"""One link: our outgoing stream to one peer, kept alive, and its bounded queue."""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio
from libp2p.stream_muxer.exceptions import MuxedStreamError

from identity.keys import compute_peer_id
from node.framing import OutQueue
from node.host import DialError, Host
from node.log_lines import about
from node.yamux import shield_for

logger = logging.getLogger("econode.links")

RETRY_SECONDS_MIN = 0.1
RETRY_SECONDS_MAX = 1.5  # a peer that comes back is found within two seconds
RETRY_SLOW_SECONDS_MAX = 15.0  # ... unless it was away for AWAY_SECONDS
AWAY_SECONDS = 300.0
SETTLED_SECONDS = 5.0  # a stream that lasted this long starts the retries fast again
STALE_SECONDS = 10.0  # what waited this long for an absent peer is dropped
RESET_SECONDS_MAX = 1.0


@dataclass(frozen=True, slots=True)
class LinkInfo:
    """The state of one link; counters since the link exists, rtt in milliseconds."""

    peer: bytes
    multiaddr: str
    connected: bool
    rtt_ms: float | None
    frames_in: int
    frames_out: int
    bytes_in: int
    bytes_out: int
    drops: int
    last_error: str
    queued_bytes: int


class Link:
    """What we keep of one peer; `keep` runs it."""

    def __init__(
        self, peer: bytes, on_change: Callable[[bool], None] = lambda _is_up: None
    ) -> None:
        """`on_change` is told when the stream is there (True) and when it has ended (False)."""
        self.peer = peer
        self._on_change = on_change
        self.addresses: tuple[str, ...] = ()
        self.queue = OutQueue()
        self.is_running = False
        self.frames_in = self.frames_out = self.bytes_in = self.bytes_out = self.drops = 0
        self.last_error = ""
        self._queued = trio.Event()
        self._poked = trio.Event()
        self._scope: trio.CancelScope | None = None
        self._connection: Any = None  # the one our stream runs on

    def send(self, frame: bytes) -> bool:
        """Queue `frame`; False and a counted drop when the queue is full."""
        if not self.queue.put(frame):
            self.drops += 1
            return False
        self._queued.set()
        return True

    def poke(self) -> None:
        """End a wait before the next attempt."""
        self._poked.set()

    def interrupt(self) -> None:
        """End what the link does now; it looks at its state anew."""
        self.poke()
        if self._scope is not None:
            self._scope.cancel()

    def describe(self) -> LinkInfo:
        rtt = self._connection.muxed_conn.rtt() if self._connection is not None else 0
        return LinkInfo(
            self.peer,
            self.addresses[0] if self.addresses else "",
            self._connection is not None,
            rtt * 1000 if rtt else None,
            self.frames_in,
            self.frames_out,
            self.bytes_in,
            self.bytes_out,
            self.drops,
            self.last_error,
            self.queue.bytes,
        )

    async def keep(self, host: Host, protocol: str, allow: Callable[[bytes], bool]) -> None:
        """Hold a stream to the peer, again and again; ends when nobody wants it.

        Wanted is a peer with an address, or one that is connected and allowed.
        """
        failures, lost_at = 0, trio.current_time()
        try:
            while True:
                connection = host.get_connection(self.peer)
                if not self.addresses and (connection is None or not allow(self.peer)):
                    return
                self._poked = trio.Event()
                began = trio.current_time()
                with trio.CancelScope() as self._scope:
                    await self._hold(host, protocol, connection, failures)
                now = trio.current_time()
                if now - began > SETTLED_SECONDS:
                    failures, lost_at = 0, now
                else:
                    failures += 1
                if now - lost_at > STALE_SECONDS:
                    self.drops += self.queue.clear()
                with trio.move_on_after(compute_retry(failures, now - lost_at)):
                    await self._poked.wait()
        finally:
            self.drops += self.queue.clear()

    async def _hold(self, host: Host, protocol: str, connection: Any, failures: int) -> None:
        stream = None
        try:
            if connection is None:
                address = self.addresses[failures % len(self.addresses)]
                connection = await host.dial(self.peer, address)
            stream = await host.open_stream(connection, protocol)
            logger.info(
                "linked to %s",
                compute_peer_id(self.peer),
                extra=about("link_up", peer=compute_peer_id(self.peer)),
            )
            self._connection = connection
            self.last_error = ""
            self._on_change(True)
            await self._write(stream.muxed_stream)
        except DialError as error:
            self.last_error = str(error)
            logger.debug(
                "no link to %s: %s",
                compute_peer_id(self.peer),
                error,
                extra=about("link_failed", peer=compute_peer_id(self.peer)),
            )
        # libp2p may wrap a closed connection in any of its types; all mean: try again.
        except Exception as error:
            self.last_error = f"{type(error).__name__}: {error}"
            logger.debug(
                "link to %s failed",
                compute_peer_id(self.peer),
                exc_info=True,
                extra=about("link_failed", peer=compute_peer_id(self.peer)),
            )
        finally:
            if self._connection is not None:
                self.last_error = connection.muxed_conn.ended_because or self.last_error
                self._connection = None
                self._on_change(False)
                logger.info(
                    "link to %s lost: %s",
                    compute_peer_id(self.peer),
                    self.last_error,
                    extra=about("link_down", peer=compute_peer_id(self.peer)),
                )
            if stream is not None:
                with shield_for(RESET_SECONDS_MAX):
                    await stream.reset()

    async def _write(self, stream: Any) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_end, stream, nursery.cancel_scope)
            while True:
                if not self.queue:
                    self._queued = trio.Event()
                    await self._queued.wait()
                data, count = self.queue.take()
                try:
                    await stream.write(data)
                except BaseException:  # also when cancelled: these frames are lost
                    self.drops += count
                    raise
                self.frames_out += count
                self.bytes_out += len(data)

    async def _watch_end(self, stream: Any, scope: trio.CancelScope) -> None:
        """The peer never writes on our stream: any end or byte there ends it."""
        try:
            await stream.read(1)
            self.last_error = "the peer wrote on a one-way stream"
        except MuxedStreamError as error:
            self.last_error = f"the peer ended the stream: {error}"
        scope.cancel()


def compute_retry(failures: int, away_seconds: float) -> float:
    """Seconds before the next attempt: doubling, with jitter below."""
    limit = RETRY_SLOW_SECONDS_MAX if away_seconds > AWAY_SECONDS else RETRY_SECONDS_MAX
    return min(limit, RETRY_SECONDS_MIN * 2 ** min(failures, 10)) * random.uniform(0.7, 1.0)

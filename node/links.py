"""Links to peers: framed streams over libp2p, and gossip beside them.

To each peer there is one outgoing stream that we open and one incoming that the peer opens. A
frame is handed over at most once and in order per direction; a stream that breaks loses what was
under way, and `LinkInfo.drops` counts what we know was lost. Peers named by `set_peers` are kept
connected; a peer that connects by itself and passes `allow` gets a link over that connection.
"""

import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import trio
from libp2p.stream_muxer.exceptions import MuxedStreamEOF, MuxedStreamError

from identity.keys import PrivateKey, check_public_key, compute_peer_id
from node import libp2p_shims
from node.faults import Faults
from node.framing import FRAME_BYTES_MAX, FrameSplitter, FrameViolation
from node.gossip import Gossip, GossipMessage
from node.host import Host, ListenError, read_public_key
from node.link import RESET_SECONDS_MAX, Link, LinkInfo
from node.log_lines import about
from node.yamux import shield_for

__all__ = [
    "FRAME_BYTES_MAX",
    "GossipMessage",
    "Inbound",
    "LinkInfo",
    "ListenError",
    "PeerAddress",
    "Transport",
    "TransportError",
]

logger = logging.getLogger("econode.links")

PEERS_MAX = 256  # configured peers
ADDRESSES_PER_PEER_MAX = 8
READ_BYTES = 64 * 1024
INBOUND_FRAMES_MAX = 1024
INBOUND_BYTES_MAX = 32 * 1024 * 1024
INBOUND_WAIT_SECONDS = 0.005
FRAME_SECONDS_MAX = 30.0  # between two reads of one unfinished frame


OnLink = Callable[[bytes, bool], None]


class TransportError(RuntimeError):
    """The transport cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Where to find a peer: its 32-byte key and a multiaddr like /ip4/10.0.0.1/tcp/4001."""

    public_key: bytes
    multiaddr: str


@dataclass(frozen=True, slots=True)
class Inbound:
    """A frame and the key of the peer that sent it, proven by the Noise handshake."""

    peer: bytes
    frame: bytes


class Transport:
    """All links of a node; `run` in a nursery, the rest from the same trio thread.

    Args:
        seed: the 32-byte Ed25519 seed.
        listen: multiaddrs to listen on, e.g. /ip4/127.0.0.1/tcp/0.
        network_id: part of the protocol's name; peers of other networks do not link.
        allow: which keys may send frames; asked at each new stream.
    """

    def __init__(
        self,
        seed: bytes,
        listen: list[str],
        *,
        network_id: bytes,
        allow: Callable[[bytes], bool] = lambda _key: True,
        inbound_frames_max: int = INBOUND_FRAMES_MAX,
    ) -> None:
        libp2p_shims.install()
        self._seed, self._listen, self._allow = seed, list(listen), allow
        self.public_key = PrivateKey(seed).public
        self.protocol = f"/econode/1/{network_id.hex()[:16]}/frames"
        self._links: dict[bytes, Link] = {}
        self._readers: dict[bytes, trio.CancelScope] = {}
        self._inbound_in, self.inbound = trio.open_memory_channel[Inbound](inbound_frames_max)
        self._inbound_sizes: deque[int] = deque()
        self._inbound_bytes = 0
        self._host = Host(seed, is_reserved=self._is_configured, on_inbound=self._on_connected)
        self.faults = Faults()
        self._gossip = Gossip(self._host, self.public_key, self.faults)
        self.gossip = self._gossip.messages
        self._nursery: trio.Nursery | None = None
        self.on_link: OnLink = lambda _peer, _is_up: None
        """Called when a link is there or broke; must not block."""
        self.unknown_drops = 0  # frames for peers we have no link to
        self.violations = 0  # streams ended for breaking the framing

    # -- what the node calls ---------------------------------------------------------------

    async def run(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and keep the links until cancelled.

        Raises ListenError when an address cannot be had and TransportError when libp2p fails as a
        whole. Cancelling closes listeners and connections within about two seconds.
        """
        try:
            await self._run(task_status)
        except BaseExceptionGroup as group:
            failures, _ = group.split(_is_failure)
            if failures is None:
                raise
            raise _pick(failures) from group

    async def _run(self, task_status: Any) -> None:
        async with trio.open_nursery() as nursery:
            try:
                await nursery.start(self._host.run, (self._gossip.router, self._gossip.pubsub))
                self._host.serve(self.protocol, self._serve)
                await self._host.listen(self._listen)
                async with trio.open_nursery() as links:
                    links.start_soon(self._gossip.run)
                    self._nursery = links
                    for link in tuple(self._links.values()):
                        self._start(link)
                    await trio.lowlevel.checkpoint()
                    task_status.started()
                    await trio.sleep_forever()
            finally:
                self._nursery = None
                await self._host.close()

    def listen_addresses(self) -> list[str]:
        """The addresses listened on, with real ports."""
        return self._host.list_addresses()

    def set_peers(self, addresses: Iterable[PeerAddress]) -> None:
        """Keep links to exactly these peers (a peer may have several addresses)."""
        wanted: dict[bytes, list[str]] = {}
        for entry in addresses:
            check_public_key(entry.public_key)
            if entry.public_key != self.public_key:
                wanted.setdefault(entry.public_key, []).append(entry.multiaddr)
        if len(wanted) > PEERS_MAX or any(
            len(own) > ADDRESSES_PER_PEER_MAX for own in wanted.values()
        ):
            raise ValueError(f"at most {PEERS_MAX} peers of {ADDRESSES_PER_PEER_MAX} addresses")
        for peer, link in self._links.items():
            if peer not in wanted and link.addresses:
                link.addresses = ()
                link.interrupt()
        for peer, own in wanted.items():
            link = self._links.get(peer) or self._links.setdefault(peer, self._make_link(peer))
            if link.addresses != tuple(own):
                link.addresses = tuple(own)
                link.poke()
            self._start(link)

    def send(self, peer: bytes, frame: bytes) -> bool:
        """Queue `frame` for `peer`; False (and a counted drop) if it is unknown or full."""
        link = self._links.get(peer)
        if link is None:
            self.unknown_drops += 1
            return False
        return link.send(frame)

    def links(self) -> list[LinkInfo]:
        """One entry for each peer we keep or are kept by."""
        return [link.describe() for link in self._links.values()]

    def publish(self, topic: str, data: bytes) -> None:
        """Best-effort news to all; over the rate limit it is dropped and counted."""
        self._gossip.publish(topic, data)

    async def subscribe(
        self, topic: str, validate: Callable[[bytes, bytes], bool] | None = None
    ) -> None:
        """Receive `topic` on `gossip`; `validate(source, data)` may refuse messages."""
        await self._gossip.subscribe(topic, validate)

    def gossip_drops(self) -> dict[str, int]:
        """Messages lost on our side, by reason."""
        return {
            "publish_limit": self._gossip.publish_drops,
            "delivery_queue": self._gossip.delivery_drops,
            "forwarder_limit": self._gossip.pubsub.forward_drops,
            "outbound_queue": libp2p_shims.gossip_outbound_drops,
            "violations": self._gossip.pubsub.violations,
        }

    # -- keeping links ---------------------------------------------------------------------

    def _is_configured(self, peer: bytes) -> bool:
        link = self._links.get(peer)
        return link is not None and bool(link.addresses)

    def _on_connected(self, peer: bytes) -> None:
        """A peer connected to us: worth a link of its own, or an attempt at once."""
        link = self._links.get(peer)
        if link is None and self._nursery is not None and self._allow(peer):
            link = self._links[peer] = self._make_link(peer)
            self._start(link)
        if link is not None:
            link.poke()

    def _make_link(self, peer: bytes) -> Link:
        return Link(peer, lambda is_up: self.on_link(peer, is_up))

    def _start(self, link: Link) -> None:
        if self._nursery is not None and not link.is_running:
            link.is_running = True
            self._nursery.start_soon(self._keep, link)

    async def _keep(self, link: Link) -> None:
        try:
            await link.keep(self._host, self.protocol, self._allow)
        finally:
            link.is_running = False
            if self._links.get(link.peer) is link and not link.addresses:
                del self._links[link.peer]

    # -- serving peers ---------------------------------------------------------------------

    async def _serve(self, net_stream: Any) -> None:
        peer = read_public_key(net_stream.muxed_conn.peer_id)
        if peer is None or not self._allow(peer):
            await net_stream.reset()
            return
        scope = trio.CancelScope()
        try:
            older = self._readers.get(peer)
            if older is not None:
                older.cancel()
            with scope:
                self._readers[peer] = scope
                await self._read(peer, net_stream.muxed_stream)
        finally:
            if self._readers.get(peer) is scope:
                del self._readers[peer]
            with shield_for(RESET_SECONDS_MAX):
                await net_stream.reset()

    async def _read(self, peer: bytes, stream: Any) -> None:
        splitter = FrameSplitter()
        try:
            while True:
                # An idle stream may stay silent (pings tell the living); half a frame may not.
                patience = FRAME_SECONDS_MAX if splitter.is_partial else float("inf")
                with trio.fail_after(patience):
                    chunk = await stream.read(READ_BYTES)
                for frame in splitter.feed(chunk):
                    await self._deliver(peer, frame)
        except MuxedStreamEOF:
            pass
        except MuxedStreamError as error:
            logger.debug(
                "stream of %s ended: %s",
                compute_peer_id(peer),
                error,
                extra=about("stream_ended", peer=compute_peer_id(peer)),
            )
        except (FrameViolation, trio.TooSlowError) as error:
            self.violations += 1
            reason = str(error) or f"half a frame for {FRAME_SECONDS_MAX:.0f} s"
            self.faults.note(peer, f"stream closed: {reason}")
            if peer in self._links:
                self._links[peer].last_error = reason

    async def _deliver(self, peer: bytes, frame: bytes) -> None:
        while self._inbound_bytes + len(frame) > INBOUND_BYTES_MAX:
            self._forget_taken()
            if self._inbound_bytes + len(frame) > INBOUND_BYTES_MAX:
                await trio.sleep(INBOUND_WAIT_SECONDS)
        item = Inbound(peer, frame)
        self._inbound_sizes.append(len(frame))
        self._inbound_bytes += len(frame)
        try:
            self._inbound_in.send_nowait(item)
        except trio.WouldBlock:
            await self._inbound_in.send(item)
        if len(self._inbound_sizes) > INBOUND_FRAMES_MAX:
            self._forget_taken()
        link = self._links.get(peer)
        if link is not None:
            link.frames_in += 1
            link.bytes_in += len(frame)

    def _forget_taken(self) -> None:
        """The channel is first in, first out: what is not in it any more was the oldest."""
        state = self._inbound_in.statistics()
        while len(self._inbound_sizes) > state.current_buffer_used + state.tasks_waiting_send:
            self._inbound_bytes -= self._inbound_sizes.popleft()


def _is_failure(error: BaseException) -> bool:
    return not isinstance(error, trio.Cancelled | BaseExceptionGroup)


def _pick(failures: BaseException) -> BaseException:
    """One plain error out of a nest of groups."""
    while isinstance(failures, BaseExceptionGroup):
        failures = failures.exceptions[0]
    if isinstance(failures, ListenError | KeyboardInterrupt | SystemExit):
        return failures
    return TransportError(f"the transport failed: {type(failures).__name__}: {failures}")

"""Every patch of py-libp2p 0.8.1 that a subclass of ours cannot express, in one place.

`install()` applies them once and refuses another version, so that an upgrade is noticed: go
through the table again, drop what was fixed, raise `LIBP2P_VERSION`. What a subclass can express
stands in `node/yamux.py` (muxer), `node/host.py` (swarm, tasks) and `node/gossip.py` (pubsub).

| symbol replaced | the trap |
|---|---|
| `muxer_multistream.Yamux` | named directly, `muxer_opt` is ignored; see `node/yamux.py` |
| `TrioTCPStream.__init__`, `.read` | a socket read for each Noise length, one for each body |
| `multiselect_communicator.read_delim` | no bound: a stranger's protocol name of any size |
| `tcp._set_reuse_flags` | SO_REUSEPORT lets two processes share one port without an error |
| `SwarmConn._handle_muxed_stream` | an exception in any stream handler ends the whole service |
| `swarm_connection.logging` | logs to the root logger, which installs a handler on stderr |
| `pubsub.RpcQueue`, `SUBSCRIPTION_CHANNEL_SIZE` | queues of 32 that drop without a trace |
| `pubsub/gossipsub.maybe_consume_signed_record` | verifies the same record again on each message |
| `pubsub/gossipsub.env_to_send_in_RPC` | parses all own addresses again for each message |
| logger `libp2p` | `propagate` is off and it has no handler: warnings go unseen |

Measured between two processes, 200 B request and answer, one outstanding (median of five runs on
two shared cores; CPU of one process per request): as shipped 864 us, 540 us CPU; the TCP buffer
alone 717, 478; our yamux alone 359, 212; both 363, 196. Credit per read instead of per half window
522, 330. One way both carry about 80,000 frames a second, since our writes are joined. Locks
without a reschedule and a `read_msg` without debug strings made no difference beside these and
are left out, as is the happy-eyeballs delay, which `Host.dial` avoids (12 ms to the first answer).
"""

import importlib.metadata
import logging
import types
import weakref
from typing import Any

import libp2p.io.trio as io_trio
import libp2p.network.connection.swarm_connection as swarm_connection
import libp2p.protocol_muxer.multiselect_communicator as multiselect_communicator
import libp2p.pubsub.gossipsub as gossipsub
import libp2p.pubsub.pubsub as pubsub
import libp2p.pubsub.rpc_queue as rpc_queue
import libp2p.stream_muxer.muxer_multistream as muxer_multistream
import libp2p.transport.tcp.tcp as tcp
import trio
from libp2p.exceptions import ParseError
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.peerstore import env_to_send_in_RPC
from libp2p.pubsub.utils import maybe_consume_signed_record
from libp2p.utils.varint import read_varint_prefixed_bytes_limited

from node.log_lines import about
from node.yamux import BoundedYamux

LIBP2P_VERSION = "0.8.1"
RECEIVE_BUFFER_BYTES = 64 * 1024
NEGOTIATION_BYTES_MAX = 4096
GOSSIP_OUTBOUND_RPCS_MAX = 512  # per peer
GOSSIP_SUBSCRIPTION_MESSAGES_MAX = 1024
RECORD_CACHE_PEERS_MAX = 512

logger = logging.getLogger("econode.links")

_installed = False
gossip_outbound_drops = 0  # RPCs that found a peer's queue full, over the life of the process


class UnknownLibp2pVersion(RuntimeError):
    """The installed py-libp2p is not the one these patches were written for."""


_init_tcp_stream_as_shipped = io_trio.TrioTCPStream.__init__


def _init_tcp_stream(self: Any, stream: trio.SocketStream) -> None:
    _init_tcp_stream_as_shipped(self, stream)
    self._received = bytearray()


async def _read_tcp_stream(self: Any, n: int | None = None) -> bytes:
    async with self.read_lock:
        if n == 0:
            return b""
        if not self._received:
            try:
                self._received += await self.stream.receive_some(RECEIVE_BUFFER_BYTES)
            except trio.BrokenResourceError as error:
                raise ConnectionClosedError("reset by the peer", transport="tcp") from error
            except trio.ClosedResourceError:
                return b""
            if not self._received:
                # `read_exactly` would ask a closed socket a hundred times before it gives up.
                raise ConnectionClosedError("closed by the peer", transport="tcp")
        if n is None or n >= len(self._received):
            data = bytes(self._received)
            self._received.clear()
        else:
            data = bytes(self._received[:n])
            del self._received[:n]
        return data


async def _read_negotiation(reader: Any) -> bytes:
    line = await read_varint_prefixed_bytes_limited(reader, NEGOTIATION_BYTES_MAX)
    if not line.endswith(b"\n"):
        raise ParseError("a negotiation line without its end")
    return line[:-1]


def _set_reuse_flags(sock: trio.socket.SocketType) -> None:
    sock.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_REUSEADDR, 1)


_handle_muxed_stream = swarm_connection.SwarmConn._handle_muxed_stream


async def _guarded_handle_muxed_stream(self: Any, muxed_stream: Any) -> None:
    try:
        await _handle_muxed_stream(self, muxed_stream)
    # Whatever one peer's stream caused, in our handlers or the library's, ends that stream only.
    except Exception as error:
        logger.info(
            "a stream of %s ended: %r", self.muxed_conn.peer_id, error, extra=about("stream_ended")
        )
        await muxed_stream.reset()


class CountedRpcQueue(rpc_queue.RpcQueue):
    """A larger queue to one gossip peer that counts what it refuses."""

    def __init__(self) -> None:
        super().__init__(max_size=GOSSIP_OUTBOUND_RPCS_MAX)

    def push(self, rpc: Any, priority: bool = False) -> bool:
        global gossip_outbound_drops
        taken = super().push(rpc, priority)
        if not taken and not self.closed:
            gossip_outbound_drops += 1
        return taken


_consume_signed_record = maybe_consume_signed_record
_consumed: "weakref.WeakKeyDictionary[Any, dict[Any, bytes]]" = weakref.WeakKeyDictionary()


def consume_signed_record_once(msg: Any, host: Any, peer_id: Any) -> bool:
    """False for a bad signed address record; the same one again is not verified again."""
    if not msg.HasField("senderRecord"):
        return True
    known = _consumed.setdefault(host, {})
    if known.get(peer_id) == msg.senderRecord:
        return True
    if not _consume_signed_record(msg, host, peer_id):
        return False
    if len(known) >= RECORD_CACHE_PEERS_MAX:
        del known[next(iter(known))]
    known[peer_id] = msg.senderRecord
    return True


_make_own_record = env_to_send_in_RPC
_own_records: "weakref.WeakKeyDictionary[Any, tuple[int, bytes]]" = weakref.WeakKeyDictionary()


def _own_record_once(host: Any) -> tuple[bytes, bool]:
    listeners = len(host.get_network().listeners)  # ours change only when a listener comes
    cached = _own_records.get(host)
    if cached is not None and cached[0] == listeners:
        return cached[1], False
    record, is_new = _make_own_record(host)
    _own_records[host] = (listeners, record)
    return record, is_new


def _list_patches() -> list[tuple[Any, str, Any]]:
    quiet = logging.getLogger("libp2p.network.connection")
    patches: list[tuple[Any, str, Any]] = [
        (muxer_multistream, "Yamux", BoundedYamux),
        (io_trio.TrioTCPStream, "__init__", _init_tcp_stream),
        (io_trio.TrioTCPStream, "read", _read_tcp_stream),
        (multiselect_communicator, "read_delim", _read_negotiation),
        (tcp, "_set_reuse_flags", _set_reuse_flags),
        (swarm_connection.SwarmConn, "_handle_muxed_stream", _guarded_handle_muxed_stream),
        (
            swarm_connection,
            "logging",
            types.SimpleNamespace(debug=quiet.debug, warning=quiet.info),
        ),
        (pubsub, "RpcQueue", CountedRpcQueue),
        (pubsub, "SUBSCRIPTION_CHANNEL_SIZE", GOSSIP_SUBSCRIPTION_MESSAGES_MAX),
    ]
    for module in (pubsub, gossipsub):
        patches.append((module, "maybe_consume_signed_record", consume_signed_record_once))
        patches.append((module, "env_to_send_in_RPC", _own_record_once))
    return patches


def install() -> None:
    """Apply the patches, once per process. Raises UnknownLibp2pVersion."""
    global _installed
    if _installed:
        return
    found = importlib.metadata.version("libp2p")
    if found != LIBP2P_VERSION:
        raise UnknownLibp2pVersion(
            f"py-libp2p {found} is installed, the patches are for {LIBP2P_VERSION}: "
            "install the locked dependencies, or review node/libp2p_shims.py"
        )
    for owner, name, replacement in _list_patches():
        if not hasattr(owner, name):
            raise UnknownLibp2pVersion(f"py-libp2p {found} has no {owner.__name__}.{name}")
        setattr(owner, name, replacement)
    libp2p_logger = logging.getLogger("libp2p")
    libp2p_logger.propagate = True
    if libp2p_logger.level == logging.NOTSET:
        libp2p_logger.setLevel(logging.WARNING)
    for name in ("libp2p.transport.tcp.tcp", "libp2p.host.basic_host"):
        # Each failed dial and refused stream an ERROR: remote peers' doing, and we report ours.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _installed = True

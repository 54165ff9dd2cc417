"""The libp2p host of a node: one Ed25519 key, Noise, yamux and TCP, and who may connect.

`Host.run` keeps libp2p's services alive under one roof and closes them in order. Nothing a remote
peer does ends them: tasks that serve a peer are guarded, handshakes are bounded in time and
number, and a connection gives its place back when it ends (py-libp2p 0.8.1 keeps each accepted
connection's place for the life of the process, so 250 reconnects lock everybody out).

Room for the configured ("reserved") peers is never taken by others: strangers have their own
budget, and when it is full the oldest stranger makes place, as does the oldest unfinished
handshake. A flood therefore costs the flooder's own connections.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.identity.identify_push.identify_push import ID_PUSH as IDENTIFY_PUSH_PROTOCOL_ID
from libp2p.network.config import ConnectionConfig, RetryConfig
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.network.connection.swarm_connection import SwarmConn
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore, PeerStoreError
from libp2p.protocol_muxer.multiselect_communicator import MultiselectCommunicator
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE_PROTOCOL_ID
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX_PROTOCOL_ID
from libp2p.tools.anyio_service import TrioManager
from libp2p.transport.tcp.tcp import TCP
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr  # type: ignore[import-untyped]

from identity.errors import InvalidKey
from identity.keys import compute_peer_id, parse_peer_id
from node.log_lines import about
from node.yamux import BoundedYamux, shield_for

logger = logging.getLogger("econode.links")

HANDSHAKE_SECONDS_MAX = 5.0
DIAL_SECONDS_MAX = 5.0
STREAM_OPEN_SECONDS_MAX = 5
CLOSE_SECONDS_MAX = 1.0
PENDING_MAX = 128  # handshakes under way
PENDING_PER_ADDRESS_MAX = 32
STRANGERS_MAX = 128  # connections of peers that are not configured
STRANGERS_PER_ADDRESS_MAX = 64
CONNECTIONS_PER_PEER_MAX = 4  # both sides dialling at once makes two
CONNECTIONS_MAX = 2048  # libp2p's own limit, above all of ours together


class ListenError(OSError):
    """An address cannot be listened on; the message names it and says what to do."""


class DialError(Exception):
    """A peer could not be reached at an address."""


def make_peer_id(public_key: bytes) -> ID:
    """The libp2p id of a 32-byte Ed25519 public key."""
    return ID.from_string(compute_peer_id(public_key))


def read_public_key(peer_id: ID) -> bytes | None:
    """The Ed25519 public key inside a peer id; None for other kinds of keys."""
    try:
        return parse_peer_id(peer_id.to_base58())
    except InvalidKey:
        return None


class GuardedManager(TrioManager):
    """Runs one libp2p service; a failing task of one peer does not end the service.

    Parents are not tracked: finding one walks the whole tree of tasks on each start, and a
    parent's thousandth child raises.
    """

    def _find_parent_task(self, trio_task: Any) -> None:
        return None

    def run_task(
        self,
        async_fn: Any,
        *args: Any,
        daemon: bool = False,
        name: str | None = None,
        _internal: bool = False,
    ) -> None:
        if daemon or _internal:
            super().run_task(async_fn, *args, daemon=daemon, name=name, _internal=_internal)
            return

        async def guarded() -> None:
            try:
                await async_fn(*args)
            # Any failure here was caused by one connection or one message; the rest goes on.
            except Exception as error:
                logger.info(
                    "libp2p task %s ended: %r",
                    name or async_fn,
                    error,
                    extra=about("libp2p_task_ended"),
                )

        super().run_task(guarded, name=name)


@asynccontextmanager
async def run_service(service: Any) -> AsyncIterator[None]:
    """Run a libp2p service in the background of the block."""
    async with trio.open_nursery() as nursery:
        manager = GuardedManager(service)
        service._manager = manager
        nursery.start_soon(manager.run)
        await manager.wait_started()
        try:
            yield
        finally:
            if manager.is_running:
                await manager.stop()


@dataclass(eq=False, slots=True)
class _Pending:
    address: str
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)


class NoAutoConnector:
    """Dials nobody. libp2p's own dials whatever addresses strangers advertised, limits at 0 too."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def run_background_task(self, nursery: trio.Nursery) -> None: ...

    async def maybe_connect(self) -> None: ...

    def record_disconnect(self, peer_id: ID) -> None: ...


class GuardedSwarm(Swarm):
    """libp2p's swarm with our admission of connections and without its auto-dialling."""

    def __init__(
        self,
        *args: Any,
        is_reserved: Callable[[bytes], bool],
        on_inbound: Callable[[bytes], None],
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        self.auto_connector: Any = NoAutoConnector()
        self._is_reserved = is_reserved
        self._on_inbound = on_inbound
        self._pending: dict[_Pending, None] = {}  # oldest first, as all dicts here
        self._strangers: dict[SwarmConn, str] = {}

    async def _handle_inbound_connection(self, read_write_closer: Any, maddr: Any) -> None:
        address = _read_remote_address(read_write_closer)
        pending = self._enter_pending(address)
        connection: Any = None
        try:
            with pending.scope:
                raw = RawConnection(read_write_closer, False)
                muxed: Any = await self.upgrade_inbound_raw_conn(raw, maddr)
                connection = self._find(muxed)
        # A handshake fails in as many ways as there are bytes; it is the caller's loss alone.
        except Exception as error:
            logger.debug(
                "no connection from %s: %r", address, error, extra=about("connection_refused")
            )
        finally:
            self._pending.pop(pending, None)
        # The listener closes the socket when this handler returns.
        if connection is not None:
            await connection.event_closed.wait()

    def _enter_pending(self, address: str) -> _Pending:
        same = [entry for entry in self._pending if entry.address == address]
        if len(same) >= PENDING_PER_ADDRESS_MAX:
            self._drop_pending(same[0])
        if len(self._pending) >= PENDING_MAX:
            self._drop_pending(next(iter(self._pending)))
        pending = _Pending(address)
        self._pending[pending] = None
        return pending

    def _drop_pending(self, pending: _Pending) -> None:
        del self._pending[pending]
        pending.scope.cancel()

    def _find(self, muxed: Any) -> Any:
        for connection in self.connections.get(muxed.peer_id, ()):
            if connection.muxed_conn is muxed:
                return connection
        return None

    async def add_conn(self, muxed_conn: Any, direction: str = "unknown") -> SwarmConn:
        connection = await super().add_conn(muxed_conn, direction)
        key = read_public_key(muxed_conn.peer_id)
        if key is None or key == read_public_key(self.self_id):
            await connection.close()
            raise DialError("the peer's key is not an Ed25519 key, or is our own")
        same_peer = self.connections.get(muxed_conn.peer_id, [])
        if len(same_peer) > CONNECTIONS_PER_PEER_MAX:
            self._close_soon(same_peer[0])
        if direction == "inbound":
            if not self._is_reserved(key):
                self._admit_stranger(connection)
            self._on_inbound(key)
        return connection

    def _admit_stranger(self, connection: SwarmConn) -> None:
        remote = connection.get_transport_addresses()
        address = str(remote[0]).split("/tcp/")[0] if remote else ""
        same = [other for other, at in self._strangers.items() if at == address]
        if len(same) >= STRANGERS_PER_ADDRESS_MAX:
            self._close_soon(same[0])
        elif len(self._strangers) >= STRANGERS_MAX:
            self._close_soon(next(iter(self._strangers)))
        self._strangers[connection] = address

    def _close_soon(self, connection: Any) -> None:
        self._strangers.pop(connection, None)
        self.manager.run_task(connection.close)

    def remove_conn(self, swarm_conn: SwarmConn) -> None:
        super().remove_conn(swarm_conn)
        self._strangers.pop(swarm_conn, None)
        peer_id = swarm_conn.muxed_conn.peer_id
        if peer_id not in self.connections:
            with suppress(PeerStoreError):  # what a stranger told of itself must not pile up
                self.peerstore.clear_peerdata(peer_id)


def _read_remote_address(read_write_closer: Any) -> str:
    # libp2p's own get_remote_address returns None for IPv6.
    try:
        return str(read_write_closer.stream.socket.getpeername()[0])
    except OSError:
        return ""


class Host:
    """A running libp2p host. `run` it in a nursery, wait for `started`, then use the rest."""

    def __init__(
        self,
        seed: bytes,
        *,
        is_reserved: Callable[[bytes], bool],
        on_inbound: Callable[[bytes], None],
    ) -> None:
        keys = create_new_key_pair(seed)
        security = NoiseTransport(keys, create_new_noise_key_pair().private_key)
        store = PeerStore()
        peer_id = ID.from_pubkey(keys.public_key)
        store.add_key_pair(peer_id, keys)
        config = ConnectionConfig(
            max_connections=CONNECTIONS_MAX,
            high_watermark=CONNECTIONS_MAX,
            min_connections=0,
            low_watermark=0,
            max_connections_per_peer=CONNECTIONS_PER_PEER_MAX,
            inbound_upgrade_timeout=HANDSHAKE_SECONDS_MAX,
            outbound_upgrade_timeout=HANDSHAKE_SECONDS_MAX,
            inbound_stream_protocol_negotiation_timeout=STREAM_OPEN_SECONDS_MAX,
            outbound_stream_protocol_negotiation_timeout=STREAM_OPEN_SECONDS_MAX,
        )
        self.swarm = GuardedSwarm(
            peer_id,
            store,
            TransportUpgrader(
                {NOISE_PROTOCOL_ID: security},
                {TProtocol(YAMUX_PROTOCOL_ID): BoundedYamux},
                STREAM_OPEN_SECONDS_MAX,
            ),
            [TCP()],
            RetryConfig(max_retries=0),
            config,
            is_reserved=is_reserved,
            on_inbound=on_inbound,
        )
        self.libp2p = BasicHost(self.swarm, disable_identify_address_discovery=True)
        # A push would only put addresses into our store that we never dial.
        self.libp2p.remove_stream_handler(IDENTIFY_PUSH_PROTOCOL_ID)
        self._stop = trio.Event()
        self._scope = trio.CancelScope(shield=True)

    async def run(
        self, services: Iterable[Any] = (), *, task_status: Any = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Run until `close`; shielded, so that the owner decides when and in which order."""
        with self._scope:
            async with run_service(self.swarm):
                await self.swarm.event_background_nursery_created.wait()
                await self._run_services(tuple(services), task_status)

    async def _run_services(self, services: tuple[Any, ...], task_status: Any) -> None:
        if services:
            async with run_service(services[0]):
                await self._run_services(services[1:], task_status)
            return
        task_status.started()
        await self._stop.wait()

    async def listen(self, addresses: list[str]) -> None:
        """Listen on every address or raise ListenError."""
        for text in addresses:
            try:
                maddr = Multiaddr(text)
                listener = self.swarm.transport_manager.add_listen_addr(
                    maddr, partial(self.swarm._handle_inbound_connection, maddr=maddr)
                )
                if listener is None:
                    raise ValueError("not a TCP address")
                await listener.listen(maddr)
            # multiaddr and libp2p raise many types for what is one thing to a person.
            except Exception as error:
                raise ListenError(
                    f"cannot listen on {text}: {_innermost(error)}. Give an address like "
                    "/ip4/127.0.0.1/tcp/4001 whose port no other program uses; "
                    "port 0 picks a free one"
                ) from error
            self.swarm.listeners[text] = listener

    def list_addresses(self) -> list[str]:
        """The addresses listened on, with real ports."""
        return [str(address) for address in self.libp2p.get_transport_addrs()]

    def get_connection(self, public_key: bytes) -> Any:
        """The newest open connection to a peer, or None."""
        for connection in reversed(self.swarm.connections.get(make_peer_id(public_key), ())):
            if not connection.is_closed and connection.muxed_conn.is_established:
                return connection
        return None

    async def dial(self, public_key: bytes, address: str) -> Any:
        """Connect to `public_key` at `address`; raises DialError.

        Straight to the address: `dial_peer` would sit out the happy-eyeballs delay of 250 ms,
        keep a 60 s cache of failures and try stale addresses.
        """
        with trio.move_on_after(DIAL_SECONDS_MAX):
            try:
                return await self.swarm.dial_addr(Multiaddr(address), make_peer_id(public_key))
            # One failed dial is ordinary, whatever libp2p wraps it in; the caller tries again.
            except Exception as error:
                raise DialError(f"{address}: {_innermost(error)}") from error
        raise DialError(f"{address}: no answer in {DIAL_SECONDS_MAX:.0f} s")

    def serve(self, protocol: str, handler: Callable[[Any], Awaitable[None]]) -> None:
        """Call `handler` with each stream of `protocol` that a peer opens."""
        self.libp2p.set_stream_handler(TProtocol(protocol), handler)

    async def open_stream(self, connection: Any, protocol: str) -> Any:
        """A stream of `protocol` on `connection`; raises DialError."""
        stream = await connection.new_stream()
        try:
            await self.libp2p.multiselect_client.select_one_of(
                [TProtocol(protocol)], MultiselectCommunicator(stream), STREAM_OPEN_SECONDS_MAX
            )
        except Exception as error:  # as in `dial`
            await stream.reset()
            raise DialError(f"no stream: {_innermost(error)}") from error
        return stream

    async def close(self) -> None:
        """Close listeners and connections, then stop the services. Bounded in time."""
        with shield_for(CLOSE_SECONDS_MAX):
            async with trio.open_nursery() as nursery:
                for listener in self.swarm.listeners.values():
                    nursery.start_soon(listener.close)
                for connection in self.swarm.get_connections():
                    nursery.start_soon(connection.close)
        left: list[Any] = self.swarm.get_connections()
        for connection in left:
            connection.muxed_conn.abort()
        for scope in tuple(self.libp2p._identify_tasks):
            scope.cancel()
        self._stop.set()
        self._scope.deadline = trio.current_time() + CLOSE_SECONDS_MAX


def _innermost(error: BaseException) -> str:
    while True:
        if isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        elif error.__cause__ is not None:
            error = error.__cause__
        else:
            return str(error) or type(error).__name__

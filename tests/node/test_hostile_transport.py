"""What one hostile peer can send must cost nobody else anything.

Each test attacks a real transport and then demands that honest links still carry frames both ways
and that `run` is alive (its nursery would have raised).
"""

import contextlib
import logging
import os
import struct

import pytest
import trio
from linking import LOOPBACK, address_of, exchange, find_link, make, running, wait_until

from node import framing, host, libp2p_shims, yamux
from node.host import DialError, Host
from node.links import Transport

MESHSUB = "/meshsub/1.1.0"
# 51 bytes that no protobuf decoder takes: field 2 announces more bytes than there are.
GARBAGE_RPC = b"\x12\x7f" + bytes(range(49))
PING_SYN = struct.Struct("!BBHII")


@contextlib.asynccontextmanager
async def attacked():
    """Two linked honest transports; the first is attacked. Afterwards both must still work."""
    victim, witness = make(1), make(2)
    async with running(victim, witness):
        victim.set_peers([address_of(witness)])
        witness.set_peers([address_of(victim)])
        await exchange(victim, witness)
        yield victim
        await exchange(victim, witness)
        newcomer = make(3)
        async with running(newcomer):
            newcomer.set_peers([address_of(victim)])
            await exchange(newcomer, victim)


@contextlib.asynccontextmanager
async def attacker(victim: Transport, seed: bytes = bytes([66]) * 32):
    """A libp2p host of its own, connected to the victim: (host, connection)."""
    enemy = Host(seed, is_reserved=lambda _: True, on_inbound=lambda _: None)
    async with trio.open_nursery() as nursery:
        await nursery.start(enemy.run)
        try:
            yield enemy, await enemy.dial(victim.public_key, victim.listen_addresses()[0])
        finally:
            await enemy.close()


async def open_tcp(victim: Transport) -> trio.SocketStream:
    port = int(victim.listen_addresses()[0].rsplit("/", 1)[1])
    return await trio.open_tcp_stream("127.0.0.1", port)


async def is_closed(stream: trio.SocketStream) -> bool:
    """True when the other side ends the connection."""
    with trio.fail_after(15), contextlib.suppress(trio.BrokenResourceError):
        while await stream.receive_some(65536):
            pass
    return True


async def test_undecodable_gossip():
    async with attacked() as victim:
        await victim.subscribe("news")
        async with attacker(victim) as (enemy, connection):
            for rpc in (GARBAGE_RPC, b"\xff" * 51):
                stream = await enemy.open_stream(connection, MESHSUB)
                await stream.write(bytes([len(rpc)]) + rpc)
            await wait_until(lambda: victim.gossip_drops()["violations"] == 2)


@pytest.mark.parametrize("frame", [b"\xff" * 9 + b"\x7f", b"\xff\xff\xff\xff\x0f", b"\x80" * 200])
async def test_gossip_that_announces_too_much(frame):
    async with attacked() as victim, attacker(victim) as (enemy, connection):
        stream = await enemy.open_stream(connection, MESHSUB)
        await stream.write(frame)
        await wait_until(lambda: stream.muxed_stream.reset_received)


async def test_a_handler_that_raises():
    async def handler(_stream: object) -> None:
        raise RuntimeError("a defect")

    async with attacked() as victim:
        victim._host.serve("/raises", handler)
        async with attacker(victim) as (enemy, connection):
            for _ in range(5):
                await enemy.open_stream(connection, "/raises")


async def test_random_bytes_on_the_port():
    async with attacked() as victim:
        for size in (1, 51, 1_000, 100_000):
            stream = await open_tcp(victim)
            with contextlib.suppress(trio.BrokenResourceError):
                await stream.send_all(os.urandom(size))
                await stream.send_eof()
            assert await is_closed(stream)
            await stream.aclose()


async def test_silent_connections_do_not_lock_others_out():
    async with attacked() as victim:
        streams = [await open_tcp(victim) for _ in range(host.PENDING_PER_ADDRESS_MAX + 20)]
        assert await is_closed(streams[0])  # the oldest made place
        await exchange_with_newcomer(victim)
        for stream in streams:
            await stream.aclose()


async def exchange_with_newcomer(victim: Transport) -> None:
    newcomer = make(7)
    async with running(newcomer):
        newcomer.set_peers([address_of(victim)])
        await exchange(newcomer, victim)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, framing.FRAME_BYTES_MAX + 1])
async def test_a_length_prefix_out_of_bounds(length):
    async with attacked() as victim, attacker(victim) as (enemy, connection):
        stream = await enemy.open_stream(connection, victim.protocol)
        await stream.write(length.to_bytes(4) + b"beginning")
        await wait_until(lambda: victim.violations == 1)


async def test_a_half_frame_may_not_stay_half(monkeypatch):
    monkeypatch.setattr("node.links.FRAME_SECONDS_MAX", 0.2)
    async with attacked() as victim, attacker(victim) as (enemy, connection):
        stream = await enemy.open_stream(connection, victim.protocol)
        await stream.write((1000).to_bytes(4) + b"half")
        await wait_until(lambda: victim.violations == 1)


async def test_streams_opened_and_never_written():
    async with attacked() as victim, attacker(victim) as (enemy, connection):
        for _ in range(3):  # each replaces the one before
            await enemy.open_stream(connection, victim.protocol)
        for _ in range(yamux.INBOUND_STREAMS_MAX * 3):  # not even a protocol named
            await connection.new_stream()
        inbound = next(iter(victim._host.swarm.connections[enemy.libp2p.get_id()])).muxed_conn
        await wait_until(lambda: inbound._inbound_open > 2)
        assert len(victim._readers) == 2
        with pytest.raises(DialError):
            await enemy.open_stream(connection, victim.protocol)
        assert inbound._inbound_open <= yamux.INBOUND_STREAMS_MAX


async def test_more_bytes_than_the_window_ends_the_connection():
    async def never_read(_stream: object) -> None:
        await trio.sleep_forever()

    async with attacked() as victim:
        victim._host.serve("/sleeps", never_read)
        async with attacker(victim) as (enemy, connection):
            stream = await enemy.open_stream(connection, "/sleeps")
            stream.muxed_stream.send_window = 1 << 40
            # The victim may end the connection at any byte, as any of libp2p's errors.
            with contextlib.suppress(Exception):
                for _ in range(200):
                    await stream.write(bytes(60_000))
            await wait_until(lambda: enemy.libp2p.get_id() not in victim._host.swarm.connections)


async def test_asking_for_replies_and_reading_none():
    async with attacked() as victim, attacker(victim) as (enemy, connection):
        muxed = connection.muxed_conn
        pings = PING_SYN.pack(0, 2, 1, 0, 7) * 5_000
        # The victim may end the connection at any byte, as any of libp2p's errors.
        with trio.fail_after(30), contextlib.suppress(Exception):
            await muxed.secured_conn.conn.read_writer.read_write_closer.stream.read_lock.acquire()
            while not muxed._broken:
                await muxed._write_frame(pings)
        await wait_until(lambda: enemy.libp2p.get_id() not in victim._host.swarm.connections)


@pytest.mark.parametrize(
    "frame",
    [
        PING_SYN.pack(9, 0, 0, 1, 0),  # version
        PING_SYN.pack(0, 9, 0, 1, 0),  # type
        PING_SYN.pack(0, 1, 1, 0, 0),  # opens stream 0
        PING_SYN.pack(0, 1, 1, 2, 0),  # opens a stream of ours
        PING_SYN.pack(0, 0, 0, 77, 0xFFFFFFFF),  # announces 4 GB
    ],
)
async def test_broken_yamux_frames(frame):
    async with attacked() as victim, attacker(victim) as (enemy, connection):
        await connection.muxed_conn._write_frame(frame)
        await wait_until(lambda: connection.is_closed)
        assert enemy.get_connection(victim.public_key) is None


async def test_many_connections_of_one_peer_and_many_strangers(monkeypatch):
    monkeypatch.setattr("node.host.STRANGERS_PER_ADDRESS_MAX", 6)
    async with attacked() as victim, contextlib.AsyncExitStack() as stack:
        for number in range(100, 110):
            enemy, _ = await stack.enter_async_context(attacker(victim, bytes([number]) * 32))
        for _ in range(host.CONNECTIONS_PER_PEER_MAX + 3):
            await enemy.dial(victim.public_key, victim.listen_addresses()[0])
        swarm = victim._host.swarm
        await wait_until(lambda: len(swarm.connections[enemy.libp2p.get_id()]) <= 4)
        await wait_until(lambda: len(swarm._strangers) <= 6)
        assert all(link.connected for link in victim.links() if link.multiaddr)


async def test_reconnecting_never_uses_up_the_places():
    async with attacked() as victim:
        enemy = Host(bytes([66]) * 32, is_reserved=lambda _: True, on_inbound=lambda _: None)
        async with trio.open_nursery() as nursery:
            await nursery.start(enemy.run)
            for _ in range(40):
                connection = await enemy.dial(victim.public_key, victim.listen_addresses()[0])
                connection.muxed_conn.abort()
            await enemy.close()
        swarm = victim._host.swarm
        await wait_until(lambda: not swarm._pending and not swarm._strangers)
        assert enemy.libp2p.get_id() not in swarm.peerstore.peer_ids()


def test_an_upgrade_of_the_library_is_noticed(monkeypatch):
    monkeypatch.setattr(libp2p_shims, "_installed", False)
    monkeypatch.setattr(libp2p_shims, "LIBP2P_VERSION", "0.8.0")
    with pytest.raises(libp2p_shims.UnknownLibp2pVersion, match="locked dependencies"):
        libp2p_shims.install()


def test_the_library_warns_where_it_can_be_seen(caplog):
    make(1, LOOPBACK)
    logging.getLogger("libp2p.pubsub").warning("seen")
    assert "seen" in caplog.text
    assert not logging.getLogger("libp2p.pubsub").isEnabledFor(logging.DEBUG)


async def test_a_forgotten_link_is_none():
    one = make(1)
    assert find_link(one, bytes(32)) is None

"""Helpers for tests of links: transports over loopback, and waiting for what must come."""

import contextlib

import trio

from node.links import Inbound, LinkInfo, PeerAddress, Transport

NETWORK = bytes(range(32))
LOOPBACK = ["/ip4/127.0.0.1/tcp/0"]


def make(number: int, listen: list[str] = LOOPBACK, **options) -> Transport:
    return Transport(bytes([number]) * 32, listen, network_id=NETWORK, **options)


def address_of(transport: Transport) -> PeerAddress:
    return PeerAddress(transport.public_key, transport.listen_addresses()[0])


def find_link(transport: Transport, peer: bytes) -> LinkInfo | None:
    return next((link for link in transport.links() if link.peer == peer), None)


async def wait_until(condition, seconds_max: float = 15.0) -> None:
    with trio.fail_after(seconds_max):
        while not condition():
            await trio.sleep(0.01)


@contextlib.asynccontextmanager
async def running(*transports: Transport):
    async with trio.open_nursery() as nursery:
        for transport in transports:
            await nursery.start(transport.run)
        yield nursery
        nursery.cancel_scope.cancel()


async def exchange(one: Transport, other: Transport, frame: bytes = b"still here") -> None:
    """Fails unless a frame passes both ways."""
    await wait_until(lambda: one.send(other.public_key, frame))
    await wait_until(lambda: other.send(one.public_key, frame))
    with trio.fail_after(15):
        assert await other.inbound.receive() == Inbound(one.public_key, frame)
        assert await one.inbound.receive() == Inbound(other.public_key, frame)

"""Gossip between real transports over loopback."""

import pytest
import trio
from linking import address_of, make, running, wait_until

from node.gossip import GOSSIP_BYTES_MAX, PUBLISH_BURST_MAX, GossipMessage, RateLimit
from node.links import Transport


async def meet(*transports: Transport, topic: str = "news") -> None:
    """All know each other and have each other in the topic's mesh."""
    for transport in transports:
        transport.set_peers(map(address_of, transports))
        await transport.subscribe(topic)
    others = len(transports) - 1
    await wait_until(
        lambda: all(len(t._gossip.router.mesh.get(topic, ())) == others for t in transports)
    )


async def collect(transport: Transport, count: int) -> list[GossipMessage]:
    with trio.fail_after(15):
        return [await transport.gossip.receive() for _ in range(count)]


async def test_news_reaches_all_others_with_its_source_once():
    peers = [make(number) for number in range(1, 4)]
    async with running(*peers):
        await meet(*peers)
        for number in range(20):
            peers[0].publish("news", bytes([number]))
        for other in peers[1:]:
            got = await collect(other, 20)
            assert {item.data for item in got} == {bytes([number]) for number in range(20)}
            assert {(item.topic, item.source) for item in got} == {("news", peers[0].public_key)}
        with pytest.raises(trio.WouldBlock):
            peers[0].gossip.receive_nowait()


async def test_a_node_restarted_with_its_key_that_publishes_fast_is_heard():
    listener, before, after = make(1), make(2), make(2)
    async with running(listener):
        async with running(before):
            await meet(listener, before)
            for number in range(PUBLISH_BURST_MAX - 1):
                before.publish("news", b"before %d" % number)
            await collect(listener, PUBLISH_BURST_MAX - 1)
        async with running(after):
            await meet(listener, after)
            for number in range(10):
                after.publish("news", b"after %d" % number)
            got = {item.data for item in await collect(listener, 10)}
            assert got == {b"after %d" % number for number in range(10)}


async def test_our_own_rate_is_limited_and_counted():
    one = make(1)
    async with running(one):
        for _ in range(PUBLISH_BURST_MAX + 25):
            one.publish("news", b"x")
        assert one.gossip_drops()["publish_limit"] >= 24
        with pytest.raises(ValueError, match="at most"):
            one.publish("news", bytes(GOSSIP_BYTES_MAX + 1))


def test_the_rate_limit_refills_to_its_burst_and_no_further():
    limit = RateLimit(10, 5)
    assert [limit.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert [limit.take(100.25) for _ in range(3)] == [True, True, False]
    assert [limit.take(900.0) for _ in range(6)] == [True] * 5 + [False]


async def test_the_largest_message_passes_and_a_refusing_or_raising_validator_refuses():
    def validate(source: bytes, data: bytes) -> bool:
        if data == b"raise":
            raise KeyError("a defect")
        return data != b"refuse"

    one, other = make(1), make(2)
    async with running(one, other):
        await other.subscribe("news", validate)
        await meet(one, other)
        for data in (b"raise", b"refuse", bytes(GOSSIP_BYTES_MAX), b"raise", b"last"):
            one.publish("news", data)
        got = await collect(other, 2)
        assert {len(item.data) for item in got} == {GOSSIP_BYTES_MAX, 4}

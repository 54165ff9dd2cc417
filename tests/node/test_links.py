"""Links between real transports over loopback."""

import os
import signal
import subprocess
import sys

import pytest
import trio
from linking import LOOPBACK, address_of, exchange, find_link, make, running, wait_until
from multiaddr import Multiaddr

from node.framing import (
    FRAME_BYTES_MAX,
    QUEUE_FRAMES_MAX,
    FrameSplitter,
    FrameViolation,
    OutQueue,
)
from node.link import compute_retry
from node.links import (
    ListenError,
    PeerAddress,
    Transport,
)

# -- framing -----------------------------------------------------------------------------------


def test_frames_survive_any_cut():
    queue = OutQueue()
    frames = [os.urandom(size) for size in (1, 3, 200, 70_000, 5)]
    assert all(queue.put(frame) for frame in frames)
    wire, count = queue.take()
    assert count == 5
    assert queue.bytes == 0
    for step in (1, 2, 7, 4096, len(wire)):
        splitter = FrameSplitter()
        out = [f for at in range(0, len(wire), step) for f in splitter.feed(wire[at : at + step])]
        assert out == frames
        assert not splitter.is_partial


@pytest.mark.parametrize("length", [0, FRAME_BYTES_MAX + 1, 0xFFFFFFFF])
def test_a_length_out_of_bounds_is_refused_on_sight(length):
    with pytest.raises(FrameViolation):
        FrameSplitter().feed(length.to_bytes(4))


def test_the_queue_is_bounded_in_count_and_bytes():
    queue = OutQueue()
    assert sum(queue.put(b"x") for _ in range(QUEUE_FRAMES_MAX + 5)) == QUEUE_FRAMES_MAX
    assert queue.clear() == QUEUE_FRAMES_MAX
    assert sum(queue.put(bytes(FRAME_BYTES_MAX)) for _ in range(9)) == 4
    for bad in (b"", bytes(FRAME_BYTES_MAX + 1)):
        with pytest.raises(ValueError, match="a frame has"):
            queue.put(bad)


# -- links -------------------------------------------------------------------------------------


async def test_a_peer_learned_inbound_is_answered_over_its_connection():
    one, other = make(1), make(2)
    async with running(one, other):
        one.set_peers([address_of(other)])
        await exchange(one, other)
        await exchange(one, other, os.urandom(FRAME_BYTES_MAX))
        link = find_link(other, one.public_key)
        assert link is not None
        assert link.multiaddr == ""
        assert link.frames_in == link.frames_out == 2
        await wait_until(lambda: find_link(one, other.public_key).rtt_ms is not None)


async def test_four_peers_keep_order_in_every_direction():
    peers = [make(number) for number in range(1, 5)]
    count = 10_000
    got: dict[tuple[bytes, bytes], int] = {}

    async def feed(sender: Transport, receiver: bytes) -> None:
        for number in range(count):
            while not sender.send(receiver, number.to_bytes(4)):
                await trio.sleep(0.001)
            if number % 500 == 0:
                await trio.sleep(0)

    async def drain(receiver: Transport) -> None:
        for _ in range(3 * count):
            item = await receiver.inbound.receive()
            key = (item.peer, receiver.public_key)
            assert int.from_bytes(item.frame) == got.get(key, 0)
            got[key] = got.get(key, 0) + 1

    async with running(*peers):
        for peer in peers:
            peer.set_peers(map(address_of, peers))
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for one in peers:
                    nursery.start_soon(drain, one)
                    for other in peers:
                        if other is not one:
                            nursery.start_soon(feed, one, other.public_key)
    assert set(got.values()) == {count}
    assert len(got) == 12


async def test_a_full_inbound_holds_the_sender_back_and_loses_nothing():
    fast, slow = make(1), make(2, inbound_frames_max=4)
    async with running(fast, slow):
        fast.set_peers([address_of(slow)])
        await exchange(fast, slow)
        sent = 0
        while fast.send(slow.public_key, sent.to_bytes(4) + bytes(20_000)):
            sent += 1
            await trio.sleep(0)
        assert find_link(fast, slow.public_key).drops == 1
        for number in range(sent):
            with trio.fail_after(15):
                item = await slow.inbound.receive()
            assert int.from_bytes(item.frame[:4]) == number


async def test_who_is_not_allowed_sends_nothing_and_others_are_not_disturbed():
    friend, stranger = make(1), make(2)
    host = make(3, allow=lambda key: key == friend.public_key)
    async with running(friend, stranger, host):
        stranger.set_peers([address_of(host)])
        friend.set_peers([address_of(host)])
        stranger.send(host.public_key, b"let me in")
        await exchange(friend, host)
        assert find_link(host, stranger.public_key) is None
        assert not host.send(stranger.public_key, b"no")
        await wait_until(lambda: find_link(stranger, host.public_key).last_error)
        with pytest.raises(trio.WouldBlock):
            host.inbound.receive_nowait()


async def test_another_network_does_not_link():
    one = make(1)
    other = Transport(bytes([2]) * 32, LOOPBACK, network_id=bytes(32))
    async with running(one, other):
        one.set_peers([address_of(other)])
        await wait_until(lambda: find_link(one, other.public_key).last_error)
        assert not find_link(one, other.public_key).connected


def test_a_failed_dial_is_followed_by_another_within_two_seconds():
    assert all(compute_retry(failures, 0.0) <= 1.5 for failures in range(2_000))
    assert compute_retry(50, 3_600.0) > 5


async def test_a_peer_that_was_not_there_yet_is_found():
    early, late = make(1), make(2)
    async with running(late):
        place = address_of(late)
    late = make(2, [place.multiaddr])
    async with running(early) as nursery:
        early.set_peers([place])
        await wait_until(lambda: "refused" in find_link(early, late.public_key).last_error)
        await nursery.start(late.run)
        await wait_until(lambda: find_link(early, late.public_key).connected)
        await exchange(early, late)


async def test_a_restarted_peer_is_found_again_and_can_be_removed():
    stays = make(1)
    async with running(stays):
        goes = make(2)
        async with running(goes):
            stays.set_peers([address_of(goes)])
            await exchange(stays, goes)
            place = address_of(goes)
        await wait_until(lambda: not find_link(stays, goes.public_key).connected)
        again = make(2, [place.multiaddr])
        async with running(again):
            await exchange(stays, again)
        stays.set_peers([])
        await wait_until(lambda: not stays.links())
        assert not stays.send(goes.public_key, b"gone")


async def test_a_port_in_use_is_said_plainly():
    first = make(1)
    async with running(first):
        taken = first.listen_addresses()[0]
        with pytest.raises(ListenError, match=taken):
            await make(2, [taken]).run()
    with pytest.raises(ListenError, match="/ip4/300"):
        await make(2, ["/ip4/300.1.1.1/tcp/0"]).run()


async def test_cancelling_ends_cleanly_under_traffic():
    one, other = make(1), make(2)

    async def babble(sender: Transport, to: bytes) -> None:
        while True:
            sender.send(to, bytes(5_000))
            sender.publish("news", b"x" * 100)
            await trio.sleep(0)

    for _ in range(3):
        one, other = make(1), make(2)
        async with running(other):
            async with running(one) as nursery:
                one.set_peers([address_of(other)])
                other.set_peers([address_of(one)])
                await one.subscribe("news")
                await other.subscribe("news")
                await exchange(one, other)
                nursery.start_soon(babble, one, other.public_key)
                nursery.start_soon(babble, other, one.public_key)
                await wait_until(lambda: find_link(one, other.public_key).frames_out > 100)  # noqa: B023
            await wait_until(lambda: not find_link(other, one.public_key).connected)  # noqa: B023


CHILD = """
import sys, trio
from node.links import PeerAddress, Transport
async def main():
    peer = Transport(bytes([9]) * 32, ["/ip4/127.0.0.1/tcp/0"], network_id=bytes(range(32)))
    async with trio.open_nursery() as nursery:
        await nursery.start(peer.run)
        print(peer.listen_addresses()[0], flush=True)
        async for item in peer.inbound:
            peer.send(item.peer, item.frame)
trio.run(main)
"""


async def test_a_frozen_peer_is_noticed_and_found_again(monkeypatch):
    monkeypatch.setattr("node.yamux.SILENCE_SECONDS_MAX", 2.0)
    child = await trio.lowlevel.open_process([sys.executable, "-c", CHILD], stdout=subprocess.PIPE)
    try:
        place = (await child.stdout.receive_some(200)).decode().strip()
        assert str(Multiaddr(place)) == place
        one = make(1)
        frozen = make(9).public_key
        async with running(one):
            one.set_peers([PeerAddress(frozen, place)])
            await wait_until(lambda: find_link(one, frozen).connected)
            child.send_signal(signal.SIGSTOP)
            await wait_until(lambda: not find_link(one, frozen).connected)
            assert "silent" in find_link(one, frozen).last_error
            child.send_signal(signal.SIGCONT)
            await wait_until(lambda: find_link(one, frozen).connected)
            assert one.send(frozen, b"awake?")
            with trio.fail_after(15):
                assert (await one.inbound.receive()).frame == b"awake?"
    finally:
        child.kill()
        await child.wait()
        await child.stdout.aclose()

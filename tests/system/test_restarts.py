"""Nodes that are killed and come back: found again, heard again, and nothing is lost or doubled."""

import contextlib
import hashlib
import random
import threading
import time
from collections import Counter

import pytest
import trio

from identity import envelope
from identity.keys import PrivateKey, parse_peer_id
from node import client
from node.gossip import PUBLISH_BURST_MAX
from node.links import PeerAddress, Transport
from node.problem import Problem
from tests.system.network import FREE, POLL_S, WAIT_S_MAX, Network, RealNode, wait_until

PUBLISHER, LISTENER = (PrivateKey(bytes([n]) * 32) for n in (120, 121))
"""Accounts of the tests' own; whoever has none is not listened to."""
REDIAL_S_MAX = 2.0
ROUNDS = 3
DEAD_ADDRESS = "/ip4/127.0.0.1/tcp/1"


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Four nodes. The last one started cannot dial the first: it must be found by it."""
    network = Network(tmp_path_factory.mktemp("four"), 4, accounts=[PUBLISHER, LISTENER])
    *first, last = network.nodes
    peers = {first[0].peer_id: DEAD_ADDRESS}
    network.configure(last, {("network", "peers"): peers})
    for node in first:
        node.start()
    yield network
    network.end()


def find_link(node: RealNode, peer_id: str):
    return next(peer for peer in node.client.peers().peers if peer.peer_id == peer_id)


def test_a_peer_that_comes_late_is_found_within_two_seconds(four):
    """By redialling: its first dials have failed, and the late one does not know the address."""
    early, late = four.nodes[0], four.nodes[-1]
    wait_until(lambda: find_link(early, late.peer_id).last_error, "a failed dial")
    late.start()
    linked = f"linked to {late.peer_id}"
    wait_until(lambda: early.find_times(linked), "the late node is found")
    (found_s,) = early.find_times(linked)
    (ready_s,) = late.find_times("ready: API on")
    assert found_s - ready_s <= REDIAL_S_MAX
    four.wait_linked()


@contextlib.asynccontextmanager
async def listening(network: Network, key: PrivateKey, *nodes: RealNode):
    """A transport of the tests' own with links to `nodes`, subscribed to the logs' topic."""
    transport = Transport(key.seed, ["/ip4/127.0.0.1/tcp/0"], network_id=network.id)
    topic = f"/econode/1/{network.id.hex()[:16]}/logs"
    wanted = [
        PeerAddress(parse_peer_id(node.peer_id), network.addresses[network.nodes.index(node)])
        for node in nodes
    ]
    async with trio.open_nursery() as nursery:
        await nursery.start(transport.run)
        transport.set_peers(wanted)
        await transport.subscribe(topic)
        with trio.fail_after(20):
            while len(transport._gossip.router.mesh.get(topic, ())) < len(nodes):
                await trio.sleep(POLL_S)
        yield transport, topic
        nursery.cancel_scope.cancel()


async def test_a_publisher_that_restarts_is_heard_through_real_nodes_at_once(four):
    """More than a message a second, then again with the same key: py-libp2p's sequence numbers
    as shipped would repeat, and the nodes would pass nothing on for 120 s."""
    through = four.nodes[1]
    async with listening(four, LISTENER, through) as (listener, _):

        async def hear(wanted: set[bytes]) -> None:
            with trio.fail_after(15):
                while wanted:
                    message = await listener.gossip.receive()
                    if message.source == PUBLISHER.public:
                        wanted.discard(message.data)

        for life in range(2):
            async with listening(four, PUBLISHER, through) as (publisher, topic):
                news = {b"life %d, message %d" % (life, n) for n in range(PUBLISH_BURST_MAX - 2)}
                for data in sorted(news):
                    publisher.publish(topic, data)
                await hear(news)


async def test_a_restarted_node_is_heard_by_gossip(four):
    """What it writes arrives as gossip, signed by the same key, through a node that remembers
    what it heard from it before."""
    through, node = four.nodes[1:3]
    key = parse_peer_id(node.peer_id)
    async with listening(four, LISTENER, through) as (listener, _):

        async def hear() -> None:
            with trio.fail_after(WAIT_S_MAX):
                while (await listener.gossip.receive()).source != key:
                    pass

        async def write(value: bytes) -> None:
            await trio.to_thread.run_sync(
                wait_until, lambda: node.client.set_data("chess", "opening", value), "written"
            )

        await write(b"e2e4")
        await hear()
        node.kill()
        node.start()
        await write(b"d2d4")
        await hear()
    roots = wait_until(
        lambda: len({n.client.status().logs_root for n in four.nodes}) == 1, "equal logs"
    )
    assert roots


class Load(threading.Thread):
    """Transfers of 1 from one node to the next, for as long as it is asked to; those that were
    acknowledged are kept. A node that is down is asked again until it is back."""

    def __init__(self, node: RealNode, to: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._node, self._to, self._stop_asked = node, to, stop
        self.done: list[str] = []
        self.start()

    def run(self) -> None:
        while not self._stop_asked.is_set():
            try:
                # Its own, since `RealNode.start` closes the node's in the middle of anything.
                with contextlib.closing(client.connect(self._node.home)) as own:
                    while not self._stop_asked.is_set():
                        self.done.append(own.transfer(self._to, 1).operation)
            except Problem:
                self._stop_asked.wait(POLL_S)


@pytest.mark.full
def test_kill_at_random_moments_loses_and_doubles_nothing(four):
    """Any node, the primary too, while all of them pay: afterwards one head everywhere, every
    acknowledged transfer is there once, and all four ledgers are sound."""
    source, stop = random.Random(4), threading.Event()
    primary = next(n for n in four.nodes if n.peer_id == n.client.status().primary)
    before = sum(account.free for account in four.nodes[0].client.stake().accounts)
    loads = [
        Load(node, four.nodes[number - 1].peer_id, stop) for number, node in enumerate(four.nodes)
    ]
    victims = [primary, *(source.choice(four.nodes) for _ in range(ROUNDS - 1))]
    for victim in victims:
        paid = len(loads[0].done)
        wait_until(lambda paid=paid: len(loads[0].done) > paid + source.randrange(10), "paying")
        deadline = time.monotonic() + source.random() * 0.2  # in the middle of whatever it does
        wait_until(lambda deadline=deadline: time.monotonic() > deadline, "the moment")
        victim.kill()
        victim.start()
        wait_until(lambda victim=victim: victim.client.status(), "up again")
    stop.set()
    for load in loads:
        load.join(90)
        assert not load.is_alive()
    four.wait_linked()
    four.wait_equal()
    stake = four.nodes[0].client.stake()
    assert stake.conserved
    fees = sum(account.free for account in stake.accounts) + stake.treasury
    assert fees == 6 * FREE >= before
    for node in four.nodes:
        assert node.stop() == 0  # and the ledger file, which may lag, has everything
    check_once(four, {operation for load in loads for operation in load.done})
    reports = [node.verify() for node in four.nodes]
    assert all(report["valid"] for report in reports), reports
    assert len({(report["position"], report["head"]) for report in reports}) == 1


def check_once(network: Network, acknowledged: set[str]) -> None:
    """In every ledger each account's nonces are 1, 2, 3, ... and every acknowledged operation
    stands in it."""
    assert len(acknowledged) > 20
    for node in network.nodes:
        digests, signers = [], Counter()
        for data in node.read_operations():
            digests.append(hashlib.sha256(data).hexdigest())
            signers[envelope.parse(data, size_max=1 << 20).signer] += 1
        assert len(set(digests)) == len(digests)
        assert acknowledged <= set(digests)

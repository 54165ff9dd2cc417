"""Peers' logs between two real transports and ledgers: what is written, told and frozen."""

import contextlib

import pytest
import trio_asyncio

from crdt import log
from crdt.heads import ForkProof, sign_head
from crdt.items import Data
from crdt.replica import ENTRY_BYTES_MAX
from identity.errors import InvalidBytes
from identity.keys import PrivateKey
from node.gossip import GOSSIP_BYTES_MAX
from node.ledger import Ledger
from node.links import Transport
from node.logs import Logs
from node.outbox import ITEMS_WAITING_BYTES_MAX
from node.router import decode_frame
from protocols.committee import Committee
from tests.node.linking import NETWORK, address_of, make, running, wait_until

KEYS = [PrivateKey(bytes([n]) * 32) for n in (1, 2)]
COMMITTEE = Committee(NETWORK, bytes(16), 0, tuple(sorted(key.public for key in KEYS)))
APPENDS = 100


class Pair:
    """A writer and a reader. `gossiped` are the sizes of what the reader heard as gossip."""

    def __init__(self, logs: list[Logs], transports: list[Transport]) -> None:
        self.writer, self.reader = logs
        self.transports = transports
        self.gossiped: list[int] = []

    @property
    def author(self) -> bytes:
        return KEYS[0].public

    def count(self) -> int:
        return self.reader.replica.get_count(self.author)


async def pump(transport: Transport, logs: Logs) -> None:
    """Frames to the logs, as the driver hands them on."""
    async for inbound in transport.inbound:
        logs.handle(inbound.peer, decode_frame(inbound.frame))


@contextlib.asynccontextmanager
async def exchanging(folder):
    transports = [make(n) for n in (1, 2)]
    async with (
        trio_asyncio.open_loop(),
        Ledger.open(folder / "1.sqlite3", NETWORK) as one,
        Ledger.open(folder / "2.sqlite3", NETWORK) as two,
        running(*transports) as nursery,
    ):
        transports[0].set_peers([address_of(transports[1])])
        transports[1].set_peers([address_of(transports[0])])
        logs = [
            Logs(NETWORK, lambda: COMMITTEE, key, ledger, transport, lambda _: True)
            for key, ledger, transport in zip(KEYS, (one, two), transports, strict=True)
        ]
        pair = Pair(logs, transports)
        take = logs[1]._take_gossip

        def note(message):
            pair.gossiped.append(len(message.data))
            take(message)

        logs[1]._take_gossip = note
        for each, transport in zip(logs, transports, strict=True):
            nursery.start_soon(each.run)
            nursery.start_soon(pump, transport, each)
        router = transports[0]._gossip.router
        await wait_until(lambda: any(router.mesh.values()))
        await wait_until(logs[0]._may_write)
        yield pair


def count_items(pair: Pair) -> int:
    return sum(len(entry.items) for entry in pair.reader.replica.iterate(pair.author))


@pytest.mark.parametrize(("size", "messages_max"), [(100, 2), (1_000, 4), (10_000, 26)])
async def test_appends_of_one_moment_share_entries_and_messages(tmp_path, size, messages_max):
    async with exchanging(tmp_path) as pair:
        pair.writer.append([Data("n", f"key-{i}", bytes(size)) for i in range(APPENDS)])
        await wait_until(lambda: count_items(pair) == APPENDS)
        assert pair.count() <= messages_max
        assert len(pair.gossiped) <= pair.count()
        assert max(pair.gossiped, default=0) <= GOSSIP_BYTES_MAX
        entries = pair.reader.replica.entries_since(
            pair.author, 0, count_max=APPENDS, bytes_max=1 << 30
        )
        assert max(entry.count_bytes() for entry in entries) <= ENTRY_BYTES_MAX


async def test_more_than_may_wait_drops_the_oldest(tmp_path):
    async with exchanging(tmp_path) as pair:
        large = [Data("n", f"key-{i}", bytes(65_536)) for i in range(300)]
        pair.writer.append(large)
        waiting = pair.writer._outbox._waiting
        assert sum(len(each.data) for each in waiting) <= ITEMS_WAITING_BYTES_MAX
        assert len(waiting) < len(large)


async def test_a_fork_that_is_submitted_freezes_the_author_everywhere(tmp_path):
    async with exchanging(tmp_path) as pair:
        pair.writer.append([Data("n", "key", b"value")])
        await wait_until(lambda: pair.count() == 1)
        proofs = [
            sign_head(KEYS[0], NETWORK, log.append(pair.author, 0, bytes(32), n, []).header)
            for n in range(2)
        ]
        fork = ForkProof.make(pair.author, 0, *proofs)
        with pytest.raises(InvalidBytes):
            pair.reader.take_fork(ForkProof.make(pair.author, 0, proofs[0], proofs[0]).encode())
        pair.reader.take_fork(fork.encode())
        await wait_until(lambda: pair.writer.replica.get_fork(pair.author) is not None)
        pair.writer.append([Data("n", "key", b"more")])
        await wait_until(lambda: not pair.writer._outbox)  # dropped: nobody would count it
        assert pair.count() == pair.writer.replica.get_count(pair.author) == 0
        assert pair.writer.replica.get_root() == pair.reader.replica.get_root()

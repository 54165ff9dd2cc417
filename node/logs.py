"""Peers' logs at this node: its own, and those of every account, replicated.

New entries go out as gossip, at once and unreliably; anti-entropy over the links repairs what was
missed. Only accounts that hold credits have logs here, so strangers cannot fill the replica.

A node that lost its ledger must not begin its log anew: that would be a fork, and freeze it. So
nothing is written before f+1 members have shown how much of this node's log they hold, and what
they hold beyond our own has been pulled back.
"""

import logging
import secrets
from collections.abc import Callable, Sequence

import trio

from crdt import log
from crdt.antientropy import AntiEntropy, read_count
from crdt.directory import Directory
from crdt.exchange import AntiEntropyMessage, HeadLine, LogEntries, LogHeads, LogRanges, Range
from crdt.exchange import CarriedEntry as Carried
from crdt.heads import Prover, sign_head
from crdt.items import Item, encode_item
from crdt.replica import Change, ProvenEntry, Replica, ReplicaFull
from identity import cbor, schema
from identity.errors import InvalidBytes
from identity.keys import PrivateKey
from node.driver import read_clock_ms
from node.gossip import GOSSIP_BYTES_MAX, GossipMessage
from node.ledger import Ledger
from node.links import Transport
from node.router import encode_frame
from protocols.committee import Committee

logger = logging.getLogger("econode.logs")

TICK_SECONDS = 1.0
READ_ENTRIES = 256
ITEMS_WAITING_MAX = 4_096
ENTRY_ITEMS_MAX = 256


class Logs:
    """The replica of a node, kept in its ledger and exchanged with its peers: the members of the
    network's founding committee, and whoever sends heads."""

    def __init__(
        self,
        network: bytes,
        get_committee: Callable[[], Committee],
        key: PrivateKey,
        ledger: Ledger,
        transport: Transport,
        is_account: Callable[[bytes], bool],
    ) -> None:
        self.replica = Replica(Prover(network, {}))
        self.directory = Directory()
        self._network = network
        self._get_committee = get_committee
        self._key = key
        self._ledger = ledger
        self._transport = transport
        self._is_account = is_account
        self._exchange = AntiEntropy(self.replica, self._on_change, secrets.token_bytes(32))
        self._topic = f"/econode/1/{network.hex()[:16]}/logs"
        self._items: list[Item] = []
        self._heard: set[bytes] = set()

    async def load(self) -> None:
        """Fold what the ledger holds."""
        for author, last in await self._ledger.read_log_authors():
            for start in range(0, last + 1, READ_ENTRIES):
                for entry, proof in await self._ledger.read_log(
                    author, start, count_max=READ_ENTRIES
                ):
                    self._fold(self.replica.merge(ProvenEntry(entry, proof)))
        for _, _, proof in await self._ledger.read_forks():
            self._fold(self.replica.merge_fork(proof))

    async def run(self) -> None:
        """Exchange until cancelled."""
        await self._transport.subscribe(self._topic, self._is_plausible)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            while True:
                for member in self._get_committee().members:
                    if member != self._key.public:
                        self._exchange.add_peer(member)
                self._write()
                self._ask_members()
                self._send(self._exchange.tick())
                await trio.sleep(TICK_SECONDS)

    def handle(self, peer: bytes, message: AntiEntropyMessage) -> None:
        """Raises InvalidBytes for what no honest peer sends."""
        match message:
            case LogHeads():
                self._exchange.add_peer(peer)
                if message.root == self.replica.get_root():
                    self._note_held(peer, self.replica.get_count(self._key.public))
                lines = self._choose(message.lines)
                message = LogHeads(message.root, message.weight, lines)
            case LogRanges():
                self._note_held(peer, read_count(message, self._key.public))
                message = LogRanges(tuple(map(self._choose_range, message.ranges)))
            case LogEntries():
                if not self._is_account(message.author):
                    return
        self._send(self._exchange.handle(peer, message))

    def _choose(self, lines: tuple[HeadLine, ...]) -> tuple[HeadLine, ...]:
        return tuple(line for line in lines if self._is_account(line.author))

    def _choose_range(self, told: Range) -> Range:
        return Range(told.prefix, told.shorts, self._choose(told.lines))

    def append(self, items: Sequence[Item]) -> None:
        """Write items to the own log, as soon as that is safe; beyond a bound the oldest that
        wait are dropped."""
        self._items = [*self._items, *items][-ITEMS_WAITING_MAX:]

    def _write(self) -> None:
        while self._items and self._may_write():
            batch, self._items = self._items[:ENTRY_ITEMS_MAX], self._items[ENTRY_ITEMS_MAX:]
            me, replica = self._key.public, self.replica
            entry = log.append(
                me,
                replica.get_count(me),
                replica.get_head(me),
                read_clock_ms(),
                [encode_item(item) for item in batch],
            )
            proof = sign_head(self._key, self._network, entry.header)
            try:
                change = replica.merge(ProvenEntry(entry, proof))
            except ReplicaFull as full:
                logger.warning("the own log takes nothing more: %s", full)
                return
            self._on_change(change)
            count = replica.get_count(me)
            data = schema.encode(LogEntries(me, count, (Carried(entry, proof),)))
            if len(data) <= GOSSIP_BYTES_MAX:
                self._transport.publish(self._topic, data)

    def _may_write(self) -> bool:
        committee = self._get_committee()
        return len(self._heard) >= min(committee.f + 1, committee.n - 1)

    def _ask_members(self) -> None:
        """How much of our log do you hold? Asked while too few have answered."""
        if self._may_write():
            return
        for member in self._get_committee().members:
            if member != self._key.public and member not in self._heard:
                self._send([(member, self._exchange.ask_for(self._key.public))])

    def _note_held(self, peer: bytes, held: int | None) -> None:
        """A member that holds no more of our log than we do was heard."""
        if held is None or not self._get_committee().is_member(peer):
            return
        if held <= self.replica.get_count(self._key.public):
            self._heard.add(peer)

    async def _listen(self) -> None:
        async for message in self._transport.gossip:
            self._take_gossip(message)

    def _take_gossip(self, message: GossipMessage) -> None:
        try:
            value = cbor.decode_hop(message.data, size_max=GOSSIP_BYTES_MAX)
            self.handle(message.source, schema.convert(value, LogEntries))
        except InvalidBytes as error:
            self._transport.faults.note(message.source, f"gossip: {error}")

    def _is_plausible(self, source: bytes, data: bytes) -> bool:
        return self._is_account(source) and len(data) <= GOSSIP_BYTES_MAX

    def _send(self, sends: Sequence[tuple[bytes, AntiEntropyMessage]]) -> None:
        for peer, message in sends:
            self._transport.send(peer, encode_frame(message))

    def _on_change(self, change: Change) -> None:
        for proven in change.entries:
            self._ledger.append_log_entry(proven.entry, proven.proof)
        if change.fork is not None:
            fork = change.fork
            logger.warning("%s forked its log", fork.author.hex()[:16])
            self._ledger.put_fork(fork.author, fork.position, fork.encode())
        self._fold(change)

    def _fold(self, change: Change) -> None:
        for proven in change.entries:
            self.directory.apply(proven.entry)
        if change.fork is not None:
            author = change.fork.author
            self.directory.freeze(author, self.replica.iterate(author))

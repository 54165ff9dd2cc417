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
from crdt.directory import Directory, Touched
from crdt.exchange import AntiEntropyMessage, HeadLine, LogEntries, LogHeads, LogRanges, Range
from crdt.exchange import CarriedEntry as Carried
from crdt.heads import ForkProof, Prover, check_fork, sign_head
from crdt.items import Item
from crdt.replica import LOG_BYTES_MAX, LOG_ENTRIES_MAX, Change, ProvenEntry, Replica, ReplicaFull
from identity import cbor, schema
from identity.errors import EconodeError, InvalidBytes
from identity.keys import PrivateKey
from node.driver import read_clock_ms
from node.gossip import GOSSIP_BYTES_MAX, GossipMessage
from node.ledger import Ledger
from node.links import Transport
from node.log_lines import about
from node.outbox import Outbox, Waiting
from node.router import encode_frame
from protocols.committee import Committee

logger = logging.getLogger("econode.logs")

TICK_SECONDS = 1.0
WRITE_PAUSE_SECONDS = 0.1
"""Between two entries that somebody waits for: what comes meanwhile shares the next one."""
READ_ENTRIES = 256
DATA_LOG_ENTRIES_MAX = LOG_ENTRIES_MAX * 9 // 10
DATA_LOG_BYTES_MAX = LOG_BYTES_MAX * 9 // 10
"""A log of more entries or bytes takes no more application data: the rest is for cards and
receipts."""


class LogClosed(EconodeError):
    """The own log takes nothing that others would keep; the message says why."""


_FORKED = LogClosed("this node's log was forked, and nobody reads on")


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
        self._outbox = Outbox()
        self._awaited = trio.Event()
        self._listeners: list[Callable[[Touched], None]] = []
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
            nursery.start_soon(self._write_awaited)
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
        self._outbox.put(items)

    async def write(self, item: Item) -> int:
        """Write one item to the own log, and return the position of its entry once that is safe on
        disk. Waits for as long as writing is not safe; a cancelled call takes the item back if it
        was not written yet. Raises LogClosed, OutboxFull or ReplicaFull."""
        if not self._is_account(self._key.public):
            raise LogClosed("this account never held credits, and nobody keeps its log")
        if self.replica.get_fork(self._key.public) is not None:
            raise _FORKED
        if self.replica.get_count(self._key.public) >= DATA_LOG_ENTRIES_MAX:
            raise LogClosed(
                f"this node's log has {DATA_LOG_ENTRIES_MAX} entries: too many for data"
            )
        ticket = self._outbox.put_tracked(item)
        self._awaited.set()
        try:
            await ticket.done.wait()
        finally:
            self._outbox.withdraw(ticket)
        if ticket.failure is not None:
            raise ticket.failure
        await self._ledger.flush()
        return ticket.position

    def take_fork(self, data: bytes) -> ForkProof:
        """Freeze the author that a fork proof convicts, here and by anti-entropy everywhere.
        Raises InvalidBytes, or ReplicaFull."""
        fork = check_fork(data, Prover(self._network, {}))
        change = self.replica.merge_fork(data)
        if change.fork is not None:
            self._on_change(change)
        return fork

    def add_listener(self, callback: Callable[[Touched], None]) -> None:
        """Call `callback` with whatever changes in the directory from now on."""
        self._listeners.append(callback)

    def remove_listener(self, callback: Callable[[Touched], None]) -> None:
        self._listeners.remove(callback)

    async def _write_awaited(self) -> None:
        while True:
            await self._awaited.wait()
            self._awaited = trio.Event()
            self._write()
            await trio.sleep(WRITE_PAUSE_SECONDS)

    def _write(self) -> None:
        while self._outbox and self._may_write():
            if not self._write_entry(self._outbox.take()):
                return

    def _write_entry(self, taken: Sequence[Waiting]) -> bool:
        me, replica = self._key.public, self.replica
        tickets = [each.ticket for each in taken if each.ticket is not None]
        if replica.get_fork(me) is not None:
            logger.error(
                "the own log is frozen: %d items are not written",
                len(taken),
                extra=about("own_log_frozen"),
            )
            for ticket in tickets:
                ticket.fail(_FORKED)
            return False
        position = replica.get_count(me)
        items = [each.data for each in taken]
        entry = log.append(me, position, replica.get_head(me), read_clock_ms(), items)
        proof = sign_head(self._key, self._network, entry.header)
        try:
            change = replica.merge(ProvenEntry(entry, proof))
        except ReplicaFull as full:
            logger.warning("the own log takes nothing more: %s", full, extra=about("own_log_full"))
            for ticket in tickets:
                ticket.fail(full)
            return False
        self._on_change(change)
        data = schema.encode(LogEntries(me, position + 1, (Carried(entry, proof),)))
        if len(data) <= GOSSIP_BYTES_MAX:
            self._transport.publish(self._topic, data)
        for ticket in tickets:
            ticket.succeed(position)
        return True

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
            logger.warning(
                "%s forked its log",
                fork.author.hex()[:16],
                extra=about("log_forked", author=fork.author),
            )
            self._ledger.put_fork(fork.author, fork.position, fork.encode())
        self._fold(change)

    def _fold(self, change: Change) -> None:
        for proven in change.entries:
            self._tell(self.directory.apply(proven.entry))
        if change.fork is not None:
            author = change.fork.author
            self._tell(self.directory.freeze(author, self.replica.iterate(author)))

    def _tell(self, touched: Touched) -> None:
        for callback in tuple(self._listeners):
            callback(touched)

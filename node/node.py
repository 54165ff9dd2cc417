"""One node, put together: ledger, vote log, links, blobs, executor, and a place in each committee.

Start: the ledger is replayed into fresh chains, the vote log's rows become slots again, then the
links open. Stop is the reverse; nothing is lost by being killed instead.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from crdt.exchange import AntiEntropyMessage
from identity.keys import PrivateKey, parse_peer_id
from node.agent import list_capabilities
from node.bid_book import BidBook
from node.blob_store import AsyncBlobStore, BlobStore
from node.blobs import Blobs
from node.border_guard import BorderGuard
from node.capabilities import Executor, Limits
from node.card_writer import CardWriter
from node.carrier import Carrier
from node.config import Config
from node.docket import Docket
from node.driver import Driver, read_clock_ms
from node.funding import Funder
from node.home import Home
from node.homing import Homing
from node.judging import pair_judges
from node.ledger import Ledger
from node.links import ADDRESSES_PER_PEER_MAX, PEERS_MAX, PeerAddress, Transport
from node.log_lines import about
from node.logs import Logs
from node.opener import Opener
from node.place import Place
from node.problem import Problem
from node.pruner import HOUR_MS, Pruner
from node.router import AnyHop, Router, encode_frame
from node.telemetry import Telemetry
from node.vote_log import VoteLog
from protocols import blob_messages
from protocols.blob_messages import BlobChunk, BlobHave, BlobMissing, BlobOffer, BlobWant
from protocols.committee import Committee
from protocols.evidence import TellEvidence
from protocols.genesis import MAIN_COMMITTEE, Genesis, compute_committee_id
from protocols.messages import GiveReceipt, Hop, WantReceipt

logger = logging.getLogger("econode.node")

SCRATCH_NAME = "scratch"
PEERS_SECONDS = 5.0
"""Time between two looks at who is to be dialled where."""


class Node:
    """The parts of a running node, for its service and its agent."""

    def __init__(
        self,
        home: Home,
        config: Config,
        key: PrivateKey,
        genesis: Genesis,
        ledger: Ledger,
        vote_log: VoteLog,
    ) -> None:
        self.home, self.config, self.key, self.genesis = home, config, key, genesis
        self.network = genesis.compute_network_id()
        self.main_id = compute_committee_id(self.network, MAIN_COMMITTEE)
        self.places: dict[bytes, Place] = {}
        """By committee; the founding one's is there once the node has started."""
        self.started_ms = read_clock_ms()
        self.ledger = ledger
        self.transport = Transport(
            key.seed,
            list(config.network.listen),
            network_id=self.network,
            allow=self.is_account,
        )
        self.blobs = Blobs(
            AsyncBlobStore(
                BlobStore(home.blobs_path, bytes_max=config.storage.blob_store_bytes_max)
            ),
            self.send_to,
            read_clock_ms,
        )
        self.logs = Logs(
            self.network, self._get_committee, key, ledger, self.transport, self.is_account
        )
        self.executor = _make_executor(home, config)
        self.driver = Driver(Router(), vote_log, ledger, self.transport)
        self.driver.set_other(self)
        self.telemetry = Telemetry(self)
        self.card_writer = CardWriter(self)
        self.docket = Docket(self)
        self.bids = BidBook(ledger)
        self.carrier = Carrier(self.places)
        self.border_guard = BorderGuard(self.places, ledger, self.docket)
        self.funder = Funder(self)
        self._homing = Homing(self)
        self._opener = Opener(self)
        self._pruner = Pruner(self)
        self._peers: list[PeerAddress] = []

    @property
    def main(self) -> Place:
        """The place in the network's founding committee."""
        return self.places[self.main_id]

    async def start(self) -> None:
        """Bring everything to where it was. Raises EconodeError or LedgerError."""
        await self.bids.load()
        await self._opener.open_all()
        await self.logs.load()
        await self.docket.load()
        await self.funder.load()

    async def run(self) -> None:
        """Take part until cancelled. Raises VoteLogError, LedgerError or Diverged."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.blobs.run)
            nursery.start_soon(self.driver.run)
            nursery.start_soon(self.logs.run)
            nursery.start_soon(self.docket.run)
            nursery.start_soon(self._opener.run)
            nursery.start_soon(self.carrier.run)
            nursery.start_soon(self.border_guard.run)
            nursery.start_soon(self.funder.run)
            nursery.start_soon(self._homing.run)
            nursery.start_soon(self._pruner.run)
            nursery.start_soon(self._keep_peers)

    def handle(self, peer: bytes, message: AnyHop) -> None:
        """Hop messages that are about no consensus. Raises InvalidBytes."""
        match message:
            case BlobOffer() | BlobWant() | BlobChunk() | BlobHave() | BlobMissing():
                self.blobs.handle(peer, message)
            case WantReceipt() | GiveReceipt():
                place = self.places.get(message.committee)
                if place is not None:
                    place.receipts.handle(peer, message)
            case TellEvidence():
                self.docket.handle(peer, message)
            case _ if isinstance(message, AntiEntropyMessage):
                self.logs.handle(peer, message)

    def list_peers(self) -> list[PeerAddress]:
        """Where the members are: genesis, and the config before it; for members that stand in
        neither, what their agent cards say. A peer has one link, however many committees it
        shares with this one."""
        known: dict[bytes, tuple[str, ...]] = {
            parse_peer_id(m.peer): (m.address,) for m in self.genesis.members
        }
        known.update({parse_peer_id(p): (a,) for p, a in self.config.network.peers.items()})
        for place in self.places.values():
            for member in place.committee.members:
                card = self.logs.directory.get_card(member)
                if member not in known and card is not None and len(known) < PEERS_MAX:
                    known[member] = card.addresses[:ADDRESSES_PER_PEER_MAX]
        return [
            PeerAddress(key, address)
            for key, addresses in sorted(known.items())
            for address in addresses
            if address
        ]

    def update_peers(self) -> None:
        """Have the links follow `list_peers`, where that has changed."""
        wanted = self.list_peers()
        if wanted != self._peers:
            self._peers = wanted
            self.transport.set_peers(wanted)

    async def _keep_peers(self) -> None:
        """Members and their cards come later."""
        while True:
            await trio.sleep(PEERS_SECONDS)
            self.update_peers()

    def is_account(self, key: bytes) -> bool:
        """Members, and whoever ever held credits: nobody else may send frames here."""
        return any(place.is_account(key) for place in self.places.values())

    def _get_committee(self) -> Committee:
        return self.main.committee

    def send_to(self, peer: bytes, message: Hop | blob_messages.Message) -> None:
        self.transport.send(peer, encode_frame(message))


@asynccontextmanager
async def open_node(
    home: Home, config: Config, key: PrivateKey, genesis: Genesis
) -> AsyncIterator[Node]:
    """A running node until the end of the block. Needs an open trio_asyncio loop.

    Raises Problem, LedgerError, VoteLogError or ListenError when it cannot start or go on.
    """
    _check_size(genesis, config)
    network = genesis.compute_network_id()
    retention_ms = config.ledger.retention_hours * HOUR_MS
    async with Ledger.open(home.ledger_path, network, retention_ms=retention_ms) as ledger:
        vote_log = VoteLog(home.votes_path, network, key.public)
        try:
            node = Node(home, config, key, genesis, ledger, vote_log)
            await node.start()
            async with trio.open_nursery() as nursery:
                await nursery.start(node.executor.run)
                await nursery.start(node.transport.run)
                node.update_peers()
                nursery.start_soon(node.run)
                yield node
                nursery.cancel_scope.cancel()
        finally:
            vote_log.close()


def _check_size(genesis: Genesis, config: Config) -> None:
    if len(genesis.members) == 1 and not config.consensus.allow_single:
        raise Problem(
            "single-member",
            "a committee of one member survives no fault (f = 0), and nobody checks it",
            where="genesis.json",
            remedy="add members (econode genesis add), or ask for it: "
            "econode start --set consensus.allow_single=true",
        )
    if len(genesis.members) < 4:
        logger.warning(
            "n = %d members: f = 0, no faulty or lying member is survived (4 survive one)",
            len(genesis.members),
            extra=about("no_fault_survived"),
        )


def _make_executor(home: Home, config: Config) -> Executor:
    limits = config.limits
    return Executor(
        [spec for pair in pair_judges(config, list_capabilities) for spec in pair if spec],
        Limits(
            wall_s=limits.wall_s,
            cpu_s=limits.cpu_s,
            memory_bytes=limits.memory_bytes,
            input_bytes_max=limits.input_bytes_max,
            output_bytes_max=limits.output_bytes_max,
            processes_max=limits.processes_max,
            files_max=limits.files_max,
            file_bytes_max=limits.file_bytes_max,
        ),
        config.agent.workers,
        home.path / SCRATCH_NAME,
        home.path,
    )

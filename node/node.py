"""One node, put together: ledger, vote log, cores, links, blobs, account and agent.

Start: the ledger is replayed into a fresh chain, the vote log's rows become slots again, then the
links open. Stop is the reverse; nothing is lost by being killed instead.
"""

import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import trio

from crdt.antientropy import LogEntries, LogHeads, LogWant
from identity.errors import EconodeError
from identity.keys import PrivateKey, parse_peer_id
from node.account import Account
from node.accuser import Accuser
from node.agent import Agent
from node.blob_store import AsyncBlobStore, BlobStore
from node.blobs import Blobs
from node.capabilities import CapabilitySpec, Executor, Limits
from node.config import Config
from node.driver import Driver, read_clock_ms, read_timer_ms
from node.home import Home
from node.journal import Journal
from node.keeper import Keeper
from node.ledger import Ledger
from node.ledger_rows import make_genesis_batch
from node.links import PeerAddress, Transport
from node.logs import Logs
from node.problem import Problem
from node.receipts import Receipts, check_receipt
from node.router import AnyHop, Router, Seat, encode_frame
from node.views import Views
from node.vote_log import VoteLog
from protocols import blob_messages
from protocols.blob_messages import BlobChunk, BlobHave, BlobMissing, BlobOffer, BlobWant
from protocols.committee import Committee
from protocols.economy.chain import Chain
from protocols.genesis import MAIN_COMMITTEE, Genesis, compute_committee_id
from protocols.messages import GiveReceipt, Hop, WantReceipt
from protocols.pbft.core import Core
from protocols.requests import parse_request
from protocols.submitter import Submitter

logger = logging.getLogger("econode.node")

REPLAY_BATCHES = 256
REPLAY_BYTES = 16 * 1024 * 1024
SCRATCH_NAME = "scratch"


class Node:
    """The parts of a running node, for its service and its agent."""

    def __init__(
        self,
        home: Home,
        config: Config,
        key: PrivateKey,
        genesis: Genesis,
        ledger: Ledger,
    ) -> None:
        self.home, self.config, self.key, self.genesis = home, config, key, genesis
        self.network = genesis.compute_network_id()
        members = genesis.get_member_keys()
        committee_id = compute_committee_id(self.network, MAIN_COMMITTEE)
        self.committee = Committee(self.network, committee_id, 0, members)
        self.started_ms = read_clock_ms()
        self.ledger = ledger
        self.chain = Chain(genesis, self.committee, partial(check_receipt, self.committee))
        self.transport = Transport(
            key.seed,
            list(config.network.listen),
            network_id=self.network,
            allow=self._is_account,
        )
        self.blobs = Blobs(
            AsyncBlobStore(
                BlobStore(home.blobs_path, bytes_max=config.storage.blob_store_bytes_max)
            ),
            self._send_to,
            read_clock_ms,
        )
        self.logs = Logs(self.committee, key, ledger, self.transport, self._is_account)
        self.views = Views(self.committee.id, ledger)
        self.receipts = Receipts(self.committee, key, self.blobs, self._send_to)
        self.executor = _make_executor(home, config)

    async def start(self, vote_log: VoteLog) -> None:
        """Bring the cores to where they were, and make what drives them."""
        await self._replay()
        await self.logs.load()
        core = Core(
            self.committee,
            self.key,
            self.chain,
            lambda statement: statement.check(self.network),
            checkpoint_batches=self.genesis.parameters.checkpoint_batches,
        )
        self.seat = Seat(core)
        self.driver = Driver(Router([self.seat]), vote_log, self.ledger, self.transport)
        self.driver.set_other(self)
        next_nonce = self.chain.get_next_nonce(self.key.public)
        submitter = Submitter(self.committee, self.key, next_nonce)
        self.account = Account(self.driver, self.seat, submitter)
        self.agent = Agent(self, list_capabilities(self.config), compute_agent_secret(self.key))
        self.driver.add_listener(self.account)
        self.driver.add_listener(self.agent)
        self.driver.add_listener(Journal(self))
        self.driver.add_accuser(Accuser(self).on_evidence)
        self.driver.add_listener(Keeper(self.chain.state, self.blobs.store.store))
        step = self.seat.restore(vote_log.read_rows(self.committee.id), read_timer_ms())
        await self.driver.drive(step)

    def handle(self, peer: bytes, message: AnyHop) -> None:
        """Hop messages that are about no consensus. Raises InvalidBytes."""
        match message:
            case BlobOffer() | BlobWant() | BlobChunk() | BlobHave() | BlobMissing():
                self.blobs.handle(peer, message)
            case WantReceipt() | GiveReceipt():
                self.receipts.handle(peer, message)
            case LogHeads() | LogWant() | LogEntries():
                self.logs.handle(peer, message)

    def list_peers(self) -> list[PeerAddress]:
        """Where the members are: genesis, and the config before it."""
        known = {parse_peer_id(m.peer): m.address for m in self.genesis.members}
        known.update({parse_peer_id(p): a for p, a in self.config.network.peers.items()})
        return [PeerAddress(key, address) for key, address in sorted(known.items()) if address]

    def _is_account(self, key: bytes) -> bool:
        """Members, and whoever ever held credits: nobody else may send frames here."""
        return self.committee.is_member(key) or self.chain.state.stake.has(key)

    def _send_to(self, peer: bytes, message: Hop | blob_messages.Message) -> None:
        self.transport.send(peer, encode_frame(message))

    async def _replay(self) -> None:
        committee = self.committee.id
        last = await self.ledger.get_last(committee)
        if last is None:
            self.ledger.append(make_genesis_batch(self.network, self.chain.genesis_entry))
            await self.ledger.flush()
            return
        position = 1
        while position <= last[0]:
            found = await self.ledger.read_batches(
                committee, position, count_max=REPLAY_BATCHES, bytes_max=REPLAY_BYTES
            )
            for batch in found:
                requests = [parse_request(data, self.committee)[0] for data in batch.operations]
                self.chain.execute(batch.position, batch.time_ms, batch.digest, requests)
            position = self.chain.get_position() + 1
        if self.chain.get_head() != last[1]:
            raise EconodeError(
                f"{self.home.ledger_path}: replaying the batches gives another head than the one "
                "recorded. The file is damaged: `econode ledger verify` names the place; restore "
                "it from another member or remove it to fetch it anew."
            )


@asynccontextmanager
async def open_node(
    home: Home, config: Config, key: PrivateKey, genesis: Genesis
) -> AsyncIterator[Node]:
    """A running node until the end of the block. Needs an open trio_asyncio loop.

    Raises Problem, LedgerError, VoteLogError or ListenError when it cannot start or go on.
    """
    _check_size(genesis, config)
    network = genesis.compute_network_id()
    async with Ledger.open(home.ledger_path, network) as ledger:
        node = Node(home, config, key, genesis, ledger)
        vote_log = VoteLog(home.votes_path, network, key.public)
        try:
            await node.start(vote_log)
            async with trio.open_nursery() as nursery:
                await nursery.start(node.executor.run)
                await nursery.start(node.transport.run)
                node.transport.set_peers(node.list_peers())
                nursery.start_soon(node.blobs.run)
                nursery.start_soon(node.driver.run)
                nursery.start_soon(node.account.run)
                nursery.start_soon(node.logs.run)
                nursery.start_soon(node.agent.run)
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
        )


def _make_executor(home: Home, config: Config) -> Executor:
    limits = config.limits
    return Executor(
        list_capabilities(config),
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


def list_capabilities(config: Config) -> list[CapabilitySpec]:
    """The capabilities of the config, as the executor and the agent know them."""
    return [
        CapabilitySpec(
            name=item.name,
            version=item.version,
            kind=item.kind,
            target=item.target,
            verification=item.verification,
            specification=item.specification,
        )
        for item in config.capability
    ]


def compute_agent_secret(key: PrivateKey) -> bytes:
    """The secret that an agent's salts are derived from, so that a restart finds them again."""
    return hashlib.sha256(b"econode/agent-secret" + key.seed).digest()

"""A node's place in one committee: its copy of the committee's log, its seat, its account there
and the agent that works for it. A node has one for each committee it belongs to or follows."""

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from identity.errors import InvalidBytes
from node.account import Account
from node.accuser import Accuser
from node.agent import Agent, compute_agent_secret
from node.anomaly_desk import AnomalyDesk
from node.bidder import Bidder
from node.fact_lines import FactLines, tell_submitted
from node.journal import Journal
from node.keeper import Keeper
from node.log_lines import about
from node.receipts import Receipts, check_receipt
from node.replay import Replayed, replay
from node.reporter import Reporter
from node.router import Seat
from node.solver import Solver
from node.upgrades import Announcer
from node.views import Views
from protocols.committee import Committee
from protocols.economy.chain import Chain
from protocols.genesis import MAIN_COMMITTEE, Founding
from protocols.pbft.core import Core
from protocols.pbft.pool import Request
from protocols.submitter import Submitter

if TYPE_CHECKING:
    from node.node import Node

logger = logging.getLogger("econode.place")


FLUSH_PAUSE_SECONDS = 0.01


class Place:
    """Made by `open_place`. `run` it once it is joined to the driver."""

    def __init__(
        self,
        node: "Node",
        name: str,
        make_chain: Callable[[], Chain],
        chain: Chain,
        replayed: Replayed,
    ) -> None:
        """`chain` stands where a replay brought what `make_chain` gives, the genesis."""
        self.node = node
        self._start = replayed.start
        self.name = name
        """What people call the committee, unique in the network: see `name_child`."""
        self.chain = chain
        self.id = chain.get_committee().id
        core = Core(
            chain.get_committee(),
            node.key,
            chain,
            lambda statement: statement.check(node.network),
            checkpoint_batches=chain.state.parameters.checkpoint_batches,
        )
        core.checkpoints.recall(replayed.passed)
        self.seat = Seat(core)
        self.views = Views(make_chain, node.ledger, node.logs)
        self.receipts = Receipts(lambda: self.committee, node.key, node.blobs, node.send_to)
        submitter = Submitter(self.committee, node.key, chain.get_next_nonce(node.key.public))
        observe = node.telemetry.observe_commit
        self.account = Account(node.driver, self.seat, submitter, observe, self._tell_submitted)
        self.agent = Agent(self)
        self.bidder = Bidder(self, compute_agent_secret(node.key))
        self.accuser = Accuser(self)
        self.solver = Solver(self)
        self.announcer = Announcer(self)
        self.reporter = Reporter(self)
        self.anomalies = AnomalyDesk(self)

    @property
    def committee(self) -> Committee:
        """The committee as it is now. Do not keep it: members change."""
        return self.seat.core.committee

    def name_child(self, name: str) -> str:
        """The name in the network of what this committee forms by that name. What the founding
        one forms needs no prefix."""
        return name if self.name == MAIN_COMMITTEE else f"{self.name}/{name}"

    def _tell_submitted(self, request: Request) -> None:
        tell_submitted(request, self.committee, self.name)

    def is_account(self, key: bytes) -> bool:
        """Members, and whoever ever held credits here."""
        return self.committee.is_member(key) or self.chain.state.stake.has(key)

    async def join(self) -> None:
        """Have the node's driver drive this seat, from the vote log's rows on."""
        driver, store = self.node.driver, self.node.blobs.store.store
        driver.add_listener(self.id, self.account)
        driver.add_listener(self.id, self.agent)
        driver.add_listener(self.id, self.solver)
        driver.add_listener(self.id, self.bidder)
        driver.add_listener(self.id, self.reporter)
        driver.add_listener(self.id, Journal(self))
        driver.add_listener(self.id, self.announcer)
        driver.add_listener(self.id, self.node.telemetry.meter(self))
        driver.add_listener(self.id, FactLines(self))
        driver.add_listener(self.id, Keeper(self.chain.state, store))
        driver.add_accuser(self.id, self.accuser.on_evidence)
        await self._resume_transfer()
        await driver.join(self.seat, self._start)

    async def _resume_transfer(self) -> None:
        """Go on with the state that was being fetched when the node ended."""
        coming = await self.node.ledger.get_coming(self.id)
        if coming is not None and coming.position > self.chain.get_position():
            chunks = await self.node.ledger.read_chunks(self.id, coming.position)
            place = (coming.certificate, coming.size, coming.root)
            try:
                self.seat.catch_up.transfer.resume(*place, chunks)
            except InvalidBytes as error:
                logger.warning(
                    "what was fetched of a state is damaged: %s",
                    error,
                    extra=about("fetched_state_damaged", committee=self.name),
                )

    async def flush(self) -> None:
        """Until the ledger holds whatever the state has seen by now. Raises LedgerError."""
        ledger, position = self.node.ledger, self.chain.get_position()
        while True:
            await ledger.flush()
            last = await ledger.get_last(self.id)
            if last is not None and last[0] >= position:
                return
            await trio.sleep(FLUSH_PAUSE_SECONDS)  # executed, and on its way to the ledger

    async def run(self) -> None:
        """Repeat what was not ordered yet, and do the agent's work, until cancelled."""
        self.announcer.announce()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.account.run)
            nursery.start_soon(self.agent.run)
            nursery.start_soon(self.solver.run)
            nursery.start_soon(self.bidder.run)
            nursery.start_soon(self.reporter.run)
            nursery.start_soon(self.anomalies.run)


async def open_place(node: "Node", name: str, founding: Founding, committee: Committee) -> Place:
    """The place in `committee`, as far as the ledger knows. Raises EconodeError or LedgerError."""
    make_chain = partial(Chain, founding, committee, partial(check_receipt, committee))
    chain = make_chain()
    replayed = await replay(node.ledger, node.home.ledger_path, chain)
    return Place(node, name, make_chain, chain, replayed)

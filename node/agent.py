"""This node's agent: does what the committed state asks of it, again and again.

Whenever a batch was executed it looks at its duties (`protocols/agents`), runs the capabilities
that are asked for and submits the operations that the planner made. Nothing is remembered that a
restart could lose: duties follow from the state, salts from the key, results from running again.
"""

import hashlib
import logging
from typing import TYPE_CHECKING

import trio

from crdt.facts import OfferedCapability
from identity.keys import PrivateKey
from node import config
from node.agent_findings import Finder
from node.blob_store import StoreFull
from node.blobs import BlobUnavailable
from node.capabilities import CapabilitySpec, Completed, ExecutorClosed
from node.config import Config
from node.judging import pair_judges
from node.log_lines import about
from node.woken import Woken
from protocols.agents.plan import Failure, Output, Planner, list_work
from protocols.agents.strategies import STRATEGIES, Cost
from protocols.economy.model import Duty
from protocols.economy.operations import Offer

if TYPE_CHECKING:
    from node.place import Place

logger = logging.getLogger("econode.agent")

RUNS_MAX = 64
"""Runs that may wait for a worker or run at once; more wait in the committed state."""
OFFER_PAUSE_SECONDS = 5.0
"""Time between two offers, also when the committee has paused this agent again."""


class Agent(Woken):
    """Bids, works, verifies and takes inventory for the node's own key, in one committee. The
    executor is the node's: agents of several committees wait for the same workers."""

    def __init__(self, place: "Place") -> None:
        super().__init__()
        self._place = place
        self._node = node = place.node
        self._specs = list_capabilities(node.config) if node.config.agent.enabled else []
        items = node.config.capability if self._specs else ()
        self._planner = Planner(
            committee=place.committee,
            me=node.key.public,
            secret=compute_agent_secret(node.key),
            strategy=STRATEGIES[node.config.agent.strategy],
            costs={
                spec.id: make_cost(node.config.agent, item)
                for spec, item in zip(self._specs, items, strict=True)
            },
            strategies={
                spec.id: STRATEGIES[item.strategy]
                for spec, item in zip(self._specs, items, strict=True)
                if item.strategy is not None
            },
        )
        self._outcomes: dict[bytes, Output | Failure] = {}
        self._running: set[bytes] = set()
        self._offered_at = float("-inf")
        judges = {
            spec.id: None if judge is None else judge.id
            for spec, judge in pair_judges(node.config, list_capabilities)
        }
        self._finder = Finder(place, judges, lambda: self._news.set())

    async def run(self) -> None:
        """Act until cancelled."""
        self._news.set()
        async with trio.open_nursery() as nursery:
            while True:
                with trio.move_on_after(self._finder.get_wait_s(OFFER_PAUSE_SECONDS)):
                    await self._news.wait()
                self._news = trio.Event()
                if not self._place.seat.catch_up.is_behind():
                    self._offer()
                    self._start_work(nursery)
                    self._finder.start(nursery, self._outcomes)
                    self._submit()

    def _offer(self) -> None:
        """Say what this agent can do, at first and whenever the committee paused it."""
        if trio.current_time() < self._offered_at + OFFER_PAUSE_SECONDS:
            return
        wanted = tuple(
            OfferedCapability(s.id, s.name, s.version, s.verification) for s in self._specs
        )
        state, me = self._place.chain.state, self._node.key.public
        offered = state.get_offer(me)
        if offered == (wanted or None) or state.is_banned(me):
            return
        if state.get_standing_bond(me) < state.parameters.bond_min:
            return  # refused, for a fee
        if self._place.account.try_submit(Offer(wanted)) is not None:
            self._offered_at = trio.current_time()

    def _start_work(self, nursery: trio.Nursery) -> None:
        state, me = self._place.chain.state, self._node.key.public
        for task in [t for t in self._outcomes if state.get_task(t) is None]:
            del self._outcomes[task]
        for duty in list_work(state, me, self._outcomes):
            if duty.task not in self._running and len(self._running) < RUNS_MAX:
                self._running.add(duty.task)
                nursery.start_soon(self._work, duty)

    async def _work(self, duty: Duty) -> None:
        try:
            self._outcomes[duty.task] = await self._run_capability(duty)
        except ExecutorClosed:
            return
        finally:
            self._running.discard(duty.task)
        self._news.set()

    async def _run_capability(self, duty: Duty) -> Output | Failure:
        node = self._node
        holders = [key for key in self._place.committee.members if key != node.key.public]
        try:
            data = await node.blobs.fetch(duty.input, duty.input_bytes, holders)
            began_s = trio.current_time()
            outcome = await node.executor.execute(duty.capability, data, duty.task)
            if not isinstance(outcome, Completed):
                logger.warning(
                    "task %s: %s: %s",
                    duty.task.hex()[:8],
                    outcome.reason,
                    outcome.detail,
                    extra=about("capability_failed", task=duty.task, reason=outcome.reason.value),
                )
                return Failure(outcome.reason.value)
            wall_ms = round(1_000 * (trio.current_time() - began_s))
            ended = about("capability_ended", task=duty.task, round=duty.round, wall_ms=wall_ms)
            logger.info("", extra=ended)
            await node.blobs.store.put(outcome.output)
        except (BlobUnavailable, StoreFull) as error:
            logger.warning(
                "task %s: %s",
                duty.task.hex()[:8],
                error,
                extra=about("work_failed_here", task=duty.task),
            )
            return Failure("blob")
        return Output(hashlib.sha256(outcome.output).digest(), len(outcome.output))

    def _submit(self) -> None:
        place = self._place
        account, pool = place.account, place.seat.core.pool
        held = ((request.signer, request.operation) for request in pool.requests())
        for body in self._planner.plan_operations(
            place.chain.state,
            self._outcomes,
            account.get_pending(),
            held,
            self._finder.get_findings(),
        ):
            if account.try_submit(body) is None:
                return
            self._finder.mark_submitted(body)


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


def make_cost(agent: config.Agent, item: config.Capability) -> Cost:
    """What runs of a capability cost, as its entry says, else as [agent] does."""

    def choose(own: int | None, general: int) -> int:
        return general if own is None else own

    return Cost(
        choose(item.price_base, agent.price_base),
        choose(item.price_per_kib, agent.price_per_kib),
        choose(item.margin_ppm, agent.margin_ppm),
    )


def compute_agent_secret(key: PrivateKey) -> bytes:
    """The secret that an agent's salts are derived from, so that a restart finds them again."""
    return hashlib.sha256(b"econode/agent-secret" + key.seed).digest()

"""A simulated member's agent: the product's planner, with runs that end at once."""

import hashlib
from typing import TYPE_CHECKING

from devnet.sim.foundation import CAPABILITY
from protocols.agents.plan import Output, Planner, list_work, plan_offer
from protocols.agents.strategies import Cost, cost_plus
from protocols.economy.operations import AnyBody, Operation
from protocols.pbft.pool import Request
from protocols.step import Send
from protocols.submitter import RESEND_MS, Submitter, pack_submits

if TYPE_CHECKING:
    from devnet.sim.member import Member
    from devnet.sim.world import World

OUTPUT_BYTES = 64
LIE_SHARE_MAX = 3
"""One in this many Byzantine members lies about its results, too."""


class Worker:
    """Bids, works, verifies and takes inventory for one member."""

    def __init__(self, world: "World", member: "Member") -> None:
        self._world, self._member = world, member
        secret = hashlib.sha256(b"sim/secret" + member.key.seed).digest()
        costs = {CAPABILITY.id: Cost(base=100 + member.index)}
        self._planner = Planner(world.committee, member.public, secret, cost_plus, costs)
        self._lies = not member.is_honest and world.plan.seed % LIE_SHARE_MAX == 0
        self._submitter: Submitter | None = None
        self._life = -1
        self._pending: list[Operation] = []
        self._is_acting = False
        world.at(RESEND_MS + member.id % 97, self._on_resend)

    def on_executed(self) -> None:
        """Do what the committed state asks for now."""
        if self._is_acting:  # driving its own operations may execute more: the loop sees it
            return
        self._is_acting = True
        try:
            self._act()
        finally:
            self._is_acting = False

    def _act(self) -> None:
        member, submitter = self._member, self._get_submitter()
        if submitter is None or member.seat.catch_up.is_behind():
            return
        state, me = member.chain.state, member.public
        submitter.on_executed(member.chain.get_next_nonce(me))
        next_nonce = member.chain.get_next_nonce(me)
        self._pending = [op for op in self._pending if op.nonce >= next_nonce]
        pending = list(self._pending)
        outcomes = {duty.task: self._run(duty.input) for duty in list_work(state, me, {})}
        held = [(r.signer, r.operation) for r in member.core.pool.requests()]
        offer = plan_offer(state, me, (CAPABILITY,), pending)
        bodies: list[AnyBody] = [offer] if offer is not None else []
        bodies += self._planner.plan_operations(state, outcomes, pending, held)
        for body in bodies:
            request = submitter.sign(body)
            if request is not None and member.is_up:
                self._pending.append(request.operation)
                self._submit([request])

    def _run(self, blob: bytes) -> Output:
        lie = self._member.public if self._lies else b""
        return Output(hashlib.sha256(b"sim/output" + blob + lie).digest(), OUTPUT_BYTES)

    def _get_submitter(self) -> Submitter | None:
        """A process that has started anew knows only the committed nonce."""
        member = self._member
        if not member.is_up or member.is_paused:
            return None
        if self._submitter is None or self._life != member.life:
            self._life, self._pending = member.life, []
            next_nonce = member.chain.get_next_nonce(member.public)
            self._submitter = Submitter(self._world.committee, member.key, next_nonce)
        return self._submitter

    def _submit(self, requests: list[Request]) -> None:
        member, committee = self._member, self._world.committee.id
        step = member.seat.on_own_requests(requests, member.read_timer_ms())
        step.sends += [Send(None, submit) for submit in pack_submits(committee, requests)]
        member.drive(step)

    def _on_resend(self) -> None:
        world = self._world
        world.at(world.now_ms + RESEND_MS, self._on_resend)
        submitter = self._get_submitter()
        if submitter is None:
            return
        overdue = submitter.get_overdue(world.now_ms)
        if overdue:
            self._submit(overdue)
        self.on_executed()

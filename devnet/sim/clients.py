"""Clients of a simulated committee: they sign operations and repeat them until executed."""

import hashlib
from random import Random
from typing import TYPE_CHECKING

from devnet.sim.foundation import CAPABILITY
from identity import envelope, schema
from identity.envelope import Context
from identity.keys import PrivateKey
from protocols.economy.operations import (
    RECEIPT_KIND,
    STATEMENT_EPOCH,
    AnyBody,
    OpenTasks,
    Receipt,
    TaskSpec,
    Transfer,
)
from protocols.submitter import RESEND_MS, Submitter, pack_submits

if TYPE_CHECKING:
    from devnet.sim.world import World

IN_FLIGHT_MAX = 32
"""Operations that a client waits for at once; the nonce window of the economy is 64."""
TASK_PAUSE_MS = 6_000
TASK_DURATION_MS = 600_000
BUDGET = 1_000


class Client:
    """Pays a member a few credits, again and again: one operation every pause of the plan."""

    def __init__(self, world: "World", id_: int, key: PrivateKey) -> None:
        self.world, self.id, self.public = world, id_, key.public
        self.peer = key.public
        """Who sends what this client signs."""
        self.key = key
        self.submitted: dict[int, int] = {}
        """Simulated time at which each nonce was first sent, until it is executed."""
        self.pause_ms = world.plan.operation_pause_ms
        self.at_once = world.plan.operations_at_once
        self.hearers = world.plan.hearers or None
        """Indexes of the members that it reaches; None when it reaches everybody."""
        self._submitter = Submitter(world.committee, key, 1)
        self._random = Random(world.plan.seed * 7 + id_)

    def start(self) -> None:
        self.world.at(100 + self.id % 7, self._on_submit)
        self.world.at(RESEND_MS + self.id % 7, self._on_resend)

    def make_body(self) -> AnyBody:
        members = self.world.committee.members
        to = members[int(self._random.random() * len(members))]
        return Transfer(to=to, amount=1 + int(self._random.random() * 5))

    def _on_submit(self) -> None:
        world = self.world
        world.at(world.now_ms + self.pause_ms, self._on_submit)
        self._forget()
        for _ in range(self.at_once):
            self._submit()

    def _submit(self) -> None:
        world = self.world
        if len(self._submitter) >= IN_FLIGHT_MAX:
            return
        request = self._submitter.sign(self.make_body())
        if request is not None:
            self.submitted[request.operation.nonce] = world.now_ms
            for message in pack_submits(world.committee.id, [request]):
                world.send_from_client(self, message)

    def _on_resend(self) -> None:
        world = self.world
        world.at(world.now_ms + RESEND_MS, self._on_resend)
        self._forget()
        overdue = self._submitter.get_overdue(world.now_ms)
        for message in pack_submits(world.committee.id, overdue):
            world.send_from_client(self, message)

    def _forget(self) -> None:
        """What f+1 members would have answered by now: it is executed."""
        nonce = self.world.judge.get_next_nonce(self.public)
        self._submitter.on_executed(nonce)
        for old in [known for known in self.submitted if known < nonce]:
            del self.submitted[old]


class TaskClient(Client):
    """Opens a task now and then; the members' agents bid, work and verify."""

    def __init__(self, world: "World", id_: int, key: PrivateKey) -> None:
        super().__init__(world, id_, key)
        self.pause_ms, self.at_once, self.hearers = TASK_PAUSE_MS, 1, None
        self._count = 0

    def make_body(self) -> AnyBody:
        self._count += 1
        blob = hashlib.sha256(b"sim/input %d" % self._count).digest()
        spec = TaskSpec(CAPABILITY.id, blob, 100, BUDGET, TASK_DURATION_MS)
        committee = self.world.committee
        place = Context(committee.network, committee.id, STATEMENT_EPOCH, RECEIPT_KIND)
        payload = schema.encode(Receipt((blob,)))
        receipts = tuple(
            envelope.sign(key, place, payload).data for key in self.world.foundation.keys
        )
        return OpenTasks((spec,), receipts)

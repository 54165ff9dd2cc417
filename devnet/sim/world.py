"""A simulated world: members, clients and a network, driven by one queue of events.

Nothing here knows threads, trio or the real time. Everything that happens follows from the plan,
so the same plan gives the same trace: `trace_hash` covers every frame that was delivered, every
fault, every statement that was sent and every batch that was executed, in order.
"""

import hashlib
import heapq
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from devnet.invariants import Violation
from devnet.sim.byzantine import make_sender
from devnet.sim.clients import Client, TaskClient
from devnet.sim.connections import Connections
from devnet.sim.deafness import Deafness
from devnet.sim.describe import describe_frame
from devnet.sim.faults import schedule_faults
from devnet.sim.foundation import Foundation, make_foundation
from devnet.sim.judge import Judge
from devnet.sim.member import Member
from devnet.sim.memberships import Owners
from devnet.sim.memo import Memory
from devnet.sim.network import Network
from devnet.sim.plan import Plan
from devnet.sim.worker import Worker
from node import router
from protocols.committee import Committee
from protocols.messages import Hop

CLIENT_ID = 1_000
"""Ids of processes from here on are clients."""
REST_MS = 5_000
"""Time at the end of the healed phase in which no view may change."""
EVENTS_AT_ONCE_MAX = 50_000
"""Events without any time passing; more only when something wakes itself for ever."""
SPINS = f"{EVENTS_AT_ONCE_MAX} events and no time passes"
Event = tuple[int, int, Callable[..., None], tuple[Any, ...]]


class World:
    """Use it inside `memo.shortcuts()`, whose memory it is given; without one it takes no
    shortcut at all."""

    def __init__(
        self,
        plan: Plan,
        memory: Memory | None,
        lines: list[str] | None = None,
        committee: Committee | None = None,
    ) -> None:
        """`lines` gets the readable trace; `committee` may stand for the plan's usual one."""
        self.plan = plan
        self.lines = lines
        self.now_ms = 0
        self.is_healed = False
        self.foundation: Foundation = make_foundation(
            plan.n, spares=plan.spares, exact=memory is None
        )
        self.genesis = self.foundation.genesis
        self.committee = committee or self.foundation.committee
        self.network, self.check_receipt = self.foundation.network, self.foundation.check_receipt
        self.start_ms = self.genesis.created_ms + 1_000
        if memory is not None:
            for key in self.foundation.all_keys():
                memory.add_key(key)
        self.fault_counts: Counter[str] = Counter()
        self._events: list[Event] = []
        self._counter = count()
        self._hash = hashlib.blake2b(digest_size=16)
        self.deafness = Deafness()
        self.connections = Connections(self)
        self.links = Network(Random(plan.seed ^ 0x5EED), plan.link, self._push_frame)
        liars = {item.node for item in plan.byzantine}
        self.judge = Judge(self, {self.committee.members[node] for node in liars})
        self.members: list[Member] = []
        self.instances: dict[bytes, list[Member]] = {}
        self._make_members()
        self.workers = [Worker(self, m) for m in self.members] if plan.has_tasks else []
        self.owners = Owners(self, CLIENT_ID + plan.clients + plan.has_tasks)
        self.clients = self._make_clients()

    def _make_members(self) -> None:
        liars = {item.node: item for item in self.plan.byzantine}
        for index, key in enumerate((*self.foundation.keys, *self.foundation.spares)):
            liar = liars.get(index)
            for twin in range(2 if liar is not None and liar.behaviour == "twins" else 1):
                id_ = index + 100 * twin
                name = f"m{index}" + "'" * twin
                member = Member(self, id_, index, key, name, liar is None)
                if index < len(self.plan.skews_ms):
                    member.skew_ms = self.plan.skews_ms[index]
                member.sender = make_sender(self, member, liar)
                self.members.append(member)
                self.instances.setdefault(key.public, []).append(member)
        self._by_id = {member.id: member for member in self.members}

    def _make_clients(self) -> list[Client]:
        keys = self.foundation.clients
        clients = [Client(self, CLIENT_ID + i, keys[i]) for i in range(self.plan.clients)]
        if self.plan.has_tasks:
            place = len(clients)
            clients.append(TaskClient(self, CLIENT_ID + place, keys[place]))
        return [*clients, *self.owners.list_clients()]

    # --- time ---------------------------------------------------------------------------------

    def at(self, at_ms: int, call: Callable[..., None], *arguments: Any) -> None:
        """Have `call` called at a time, after everything that was asked for earlier."""
        heapq.heappush(self._events, (at_ms, next(self._counter), call, arguments))

    def _push_frame(self, at_ms: int, source: int, target: int, frame: bytes) -> None:
        heapq.heappush(
            self._events, (at_ms, next(self._counter), self._deliver, (source, target, frame))
        )

    def run(self) -> None:
        """Both phases, until the healed world has come to rest or its time is over. Ends at once
        with the first violation."""
        plan = self.plan
        for member in self.members:
            member.start()
        for client in self.clients:
            client.start()
        schedule_faults(self)
        self.run_until(plan.safety_ms)
        self.heal()
        end_ms = plan.safety_ms + plan.healed_ms
        self.run_until(end_ms)
        while not self.judge.violations and not self.judge.is_at_rest():
            if end_ms >= plan.safety_ms + plan.healed_ms_max:
                break
            end_ms += REST_MS
            self.run_until(end_ms)
        self.judge.finish()

    def run_until(self, end_ms: int) -> None:
        events, violations, pop = self._events, self.judge.violations, heapq.heappop
        at_once = 0
        while events and not violations:
            at_ms = events[0][0]
            if at_ms > end_ms:
                break
            _, _, call, arguments = pop(events)
            at_once = at_once + 1 if at_ms == self.now_ms else 0
            if at_once > EVENTS_AT_ONCE_MAX:
                self.judge.violations.append(Violation("L4 everything is bounded", "all", SPINS))
            self.now_ms = at_ms
            call(*arguments)
        if not violations:
            self.now_ms = end_ms

    def heal(self) -> None:
        """No more faults: the network is whole and everybody runs with a right clock."""
        self.is_healed = True
        self.links.heal()
        self.deafness.clear()
        self.links.set_link(self.plan.healed_link)
        self.trace("everything is healed")
        for member in self.members:
            member.disk.is_full = False
            member.ends_at = None
            if member.is_paused:
                member.set_paused(False)
            member.set_skew_ms(self._get_skew_ms(member))
            if not member.is_up and not self.judge.violations:
                member.start()
        self.judge.on_healed()

    def _get_skew_ms(self, member: Member) -> int:
        skews = self.plan.skews_ms
        return skews[member.index] if member.index < len(skews) else 0

    # --- frames -------------------------------------------------------------------------------

    def transmit(self, member: Member, to: bytes | None, message: Hop) -> None:
        """What a member's driver hands to its links."""
        member.sender.send(to, message)

    def send_frame(self, member: Member, to: bytes | None, message: Hop, late_ms: int = 0) -> None:
        """Put a message on its way to one key, or to every other member."""
        if member.is_honest:
            self.judge.on_sent(member, message)
        frame = router.encode_frame(message)
        keys = member.core.committee.members if to is None else (to,)
        for key in keys:
            if to is None and key == member.public:
                continue
            for target in self.instances.get(key, ()):
                if target is member or not target.sender.hears(member):
                    continue
                if self.deafness:
                    self._send_stripped(member, target, message, late_ms)
                else:
                    self.links.send(self.now_ms, member.id, target.id, frame, late_ms)

    def _send_stripped(self, member: Member, target: Member, message: Hop, late_ms: int) -> None:
        heard = self.deafness.strip(message, target.id)
        if heard is not message:
            self.fault_counts["deaf"] += 1
        if heard is not None:
            frame = router.encode_frame(heard)
            self.links.send(self.now_ms, member.id, target.id, frame, late_ms)

    def send_from_client(self, client: Client, message: Hop) -> None:
        frame = router.encode_frame(message)
        for member in self.members:
            if client.hearers is None or member.index in client.hearers:
                self.links.send(self.now_ms, client.id, member.id, frame)

    def _deliver(self, source: int, target: int, frame: bytes) -> None:
        if self.links.cuts and (source, target) in self.links.cuts:
            return
        member = self._by_id[target]
        self._hash.update(b"%d %d %d %d " % (self.now_ms, source, target, len(frame)))
        if self.lines is not None and member.is_up:
            self._trace_frame(source, member, frame)
        if source >= CLIENT_ID:
            peer = self.clients[source - CLIENT_ID].peer
        else:
            peer = self._by_id[source].public
        member.on_frame(peer, frame)

    def _trace_frame(self, source: int, member: Member, frame: bytes) -> None:
        name = self._by_id[source].name if source < CLIENT_ID else f"client{source - CLIENT_ID}"
        self.trace(f"{name} -> {member.name}: {describe_frame(frame)}")

    # --- what members report ------------------------------------------------------------------

    def on_started(self, member: Member) -> None:
        self.trace(f"{member.name} starts at position {member.core.executed}")
        self.judge.on_started(member)
        self.connections.on_process(member, True)

    def on_executed(self, member: Member) -> None:
        if self.workers and member.is_up:
            self.workers[self.members.index(member)].on_executed()

    def note_fault(self, member: Member | None, kind: str) -> None:
        """A fault really happened."""
        self.fault_counts[kind] += 1
        self.trace(f"fault: {kind}" + ("" if member is None else f" at {member.name}"))

    def trace(self, text: str) -> None:
        """A line of the readable trace; it is hashed, too."""
        if self.lines is not None:
            self.lines.append(f"{self.now_ms / 1000:9.3f}  {text}")
        self._hash.update(text.encode())

    def mix(self, data: bytes) -> None:
        """Take something that happened into the trace's hash."""
        self._hash.update(data)

    def compute_trace_hash(self) -> bytes:
        return self._hash.digest()

    def count_all_faults(self) -> Counter[str]:
        """Every fault that took place: those of the plan and the network's."""
        return self.fault_counts + self.links.counts


def run_plan(plan: Plan, memory: Memory | None, lines: list[str] | None = None) -> World:
    """The world of a plan after its end."""
    world = World(plan, memory, lines)
    world.run()
    return world

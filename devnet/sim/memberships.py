"""Members of a simulated committee that come, go and are expelled, and what a light client sees.

The operations of members' owners: to join, to leave, and to accuse whoever contradicts itself.
They reach the committee as any client's do, so that an owner can ask while its process is down.
"""

from collections import deque
from typing import TYPE_CHECKING

from crdt.facts import EpochBegan
from devnet.sim.clients import Client
from identity.errors import EconodeError, InvalidBytes
from protocols import light
from protocols.economy.operations import Accuse, AnyBody, JoinCommittee, LeaveCommittee
from protocols.pbft.evidence import check_equivocation, read_epoch
from protocols.step import Equivocation
from protocols.submitter import RESEND_MS, pack_submits

if TYPE_CHECKING:
    from devnet.sim.member import Member
    from devnet.sim.world import World

JOIN_BOND = 20_000


class Owner(Client):
    """Signs with a member's key what its owner wants, one operation after the other."""

    def __init__(self, world: "World", id_: int, member: "Member") -> None:
        super().__init__(world, id_, member.key)
        # Its link is a client's: what it sends does not show that its member's process runs.
        self.peer = world.foundation.clients[0].public
        self.hearers = None
        self._index = member.index
        self._wanted: deque[AnyBody] = deque()

    def start(self) -> None:
        world = self.world
        for change in world.plan.changes:
            if change.node == self._index:
                joins = change.kind == "join"
                body = JoinCommittee(JOIN_BOND) if joins else LeaveCommittee()
                world.at(change.at_ms, self.ask, body)
        world.at(RESEND_MS + self.id % 7, self._on_resend)

    def ask(self, body: AnyBody) -> None:
        """Have this ordered."""
        self._wanted.append(body)
        self._forget()
        while self._wanted:
            request = self._submitter.sign(self._wanted[0])
            if request is None:
                return  # the next one that is asked for, or executed, makes room
            self._wanted.popleft()
            self.submitted[request.operation.nonce] = self.world.now_ms
            for message in pack_submits(self.world.committee.id, [request]):
                self.world.send_from_client(self, message)


class Owners:
    """The owners of the members that a plan changes, and of those that accuse."""

    def __init__(self, world: "World", first_id: int) -> None:
        self._world = world
        self._accused: set[bytes] = set()
        changed = {change.node for change in world.plan.changes}
        self._by_key: dict[bytes, Owner] = {}
        for member in world.members:
            if member.index in changed or (world.plan.accuses and member.is_honest):
                owner = Owner(world, first_id + len(self._by_key), member)
                self._by_key[member.public] = owner

    def list_clients(self) -> list[Owner]:
        return list(self._by_key.values())

    def on_evidence(self, member: "Member", evidence: Equivocation) -> None:
        """The first honest member that sees it accuses an offender, once."""
        first, second = evidence.first.data, evidence.second.data
        try:
            committee = member.chain.find_committee(read_epoch(first))
            if committee is None:
                return
            offender = check_equivocation(committee, first, second).offender
        except InvalidBytes:
            return  # VIEW-CHANGEs and NEW-VIEWs are too large to be ordered
        owner = self._by_key.get(member.public)
        if owner is not None and offender not in self._accused:
            self._accused.add(offender)
            owner.ask(Accuse(first, second))


def check_light(member: "Member", now_ms: int) -> str | None:
    """What a light client has against the epochs that this member's ledger shows, if anything:
    from genesis by certificates alone it must come to the members of the last epoch."""
    ends: list[light.EpochEnd] = []
    for executed in member.disk.batches[: member.disk.durable]:
        last = executed.facts[-1:]
        if not last or not isinstance(last[0], EpochBegan):
            continue
        if last[0].epoch != len(ends) + 1:
            break  # a fetched state began at the end of an epoch: its entry is not held here
        certificate = member.disk.certificates.get(executed.seq)
        if certificate is None:
            break  # this epoch has ended, but the next one was not entered before the end
        header, items = executed.entry.header, executed.entry.items
        ends.append(light.EpochEnd(light.prove_items(header, items, [len(items) - 1]), certificate))
    if not ends:
        return None
    committee, end = member.chain.get_committee(), ends[-1]
    bundle = light.Bundle(
        committee.network, committee.id, tuple(ends[:-1]), end.entry, (), end.certificate
    )
    try:
        proven = light.verify_bundle(bundle, light.make_anchor(member.world.genesis), now_ms)
    except EconodeError as error:
        return str(error)
    began = proven.facts[0]
    if not isinstance(began, EpochBegan):
        return f"{began} ends no epoch"
    known = member.chain.find_committee(began.epoch)
    if known is not None and known.members != began.members:
        return f"{began} is not what the chain holds"
    return None

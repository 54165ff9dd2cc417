"""The faults of a plan, put into the world's queue of events."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec

from devnet.sim.plan import PRIMARY, Fault

if TYPE_CHECKING:
    from devnet.sim.member import Member
    from devnet.sim.world import World

BURST_DELAY_MS_MAX = 400


def schedule_faults(world: "World") -> None:
    """Have every fault of the plan begin and end in its time."""
    for fault in world.plan.faults:
        world.at(fault.at_ms, _start, world, fault)


def _start(world: "World", fault: Fault) -> None:
    """Fix who is meant, so that the end undoes what the beginning did."""
    if PRIMARY in fault.nodes:
        cores = [member.core for member in world.members if member.is_honest]
        core = max(cores, key=lambda core: (core.committee.epoch, core.view))
        primary = world.instances[core.committee.get_primary(core.view)][0].index
        nodes = tuple(primary if node == PRIMARY else node for node in fault.nodes)
        fault = msgspec.structs.replace(fault, nodes=nodes)
    world.at(fault.until_ms, _end, world, fault)
    _begin(world, fault)


def _begin(world: "World", fault: Fault) -> None:
    world.trace(f"begins: {fault.kind} {fault.nodes} {fault.value or ''}{fault.detail}")
    match fault.kind:
        case "power_loss":
            for member in _members(world, fault):
                _lose_power(world, member, fault.detail)
        case "pause":
            for member in _members(world, fault):
                world.note_fault(member, "pause")
                member.set_paused(True)
        case "disk_full":
            for member in _members(world, fault):
                world.note_fault(member, "disk_full")
                member.disk.is_full = True
        case "clock_jump":
            for member in _members(world, fault):
                world.note_fault(member, "clock_jump")
                member.set_skew_ms(member.skew_ms + fault.value)
        case _:
            world.note_fault(None, fault.kind)
            _disturb(world, fault, 1)


def _end(world: "World", fault: Fault) -> None:
    world.trace(f"ends: {fault.kind} {fault.nodes}")
    match fault.kind:
        case "power_loss":
            for member in _members(world, fault):
                member.ends_at = None
                if not member.is_up:
                    world.note_fault(member, "restart")
                    member.start()
        case "pause":
            for member in _members(world, fault):
                member.set_paused(False)
        case "disk_full":
            for member in _members(world, fault):
                member.disk.is_full = False
                if not member.is_up:
                    member.start()
        case "clock_jump":
            for member in _members(world, fault):
                member.set_skew_ms(member.skew_ms - fault.value)
        case _:
            _disturb(world, fault, -1)


def _lose_power(world: "World", member: "Member", how: str) -> None:
    if not member.is_up:
        return
    if how == "idle":
        world.note_fault(member, "power_loss_idle")
        member.lose_power()
    else:
        member.ends_at = how


def _disturb(world: "World", fault: Fault, sign: int) -> None:
    """Links: `sign` 1 begins a fault, -1 takes it back."""
    links = world.links
    match fault.kind:
        case "cut":
            source, target = fault.nodes
            for a in world.members:
                for b in world.members:
                    if (a.index, b.index) == (source, target):
                        links.cut(a.id, b.id, sign)
        case "partition":
            inside = set(fault.nodes)
            for a in world.members:
                for b in world.members:
                    if (a.index in inside) != (b.index in inside):
                        links.cut(a.id, b.id, sign)
        case "link_drop":
            world.connections.drop(fault.nodes, is_up=sign < 0)
        case "deaf":
            ids = [member.id for member in _members(world, fault)]
            world.deafness.add(fault.detail, ids, sign)
        case "loss_burst":
            links.add_burst("loss", sign * fault.value)
        case "corrupt_burst":
            links.add_burst("corrupt", sign * fault.value)
        case "delay_burst":
            links.add_burst("delay", sign * min(fault.value // 1_000, BURST_DELAY_MS_MAX))


def _members(world: "World", fault: Fault) -> "Iterator[Member]":
    return (member for member in world.members if member.index in fault.nodes)

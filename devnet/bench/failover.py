"""kill -9 of the primary under load, again and again: how long until operations are executed.

A backup keeps transfers outstanding. The primary is killed, and the time is taken from the kill to
the end of the longest gap in which that backup executed none: what was committed before the kill
may still be executed after it, and does not count. The killed member is started again, and the
next round begins once it has caught up.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import trio

from devnet.bench.group import Group, MemberProcess, open_group
from devnet.bench.member_protocol import Event, Load, Read, Reading
from devnet.bench.report import Recorder, Report
from node.problem import Problem

OUTSTANDING = 8
SETTLE_BATCHES = 20
"""Executed by everybody before a primary is killed."""
REST_SECONDS = 5.0
"""Between two kills: views are left early only so often (`suspicion.EARLY_PAUSE_MS`)."""
RECOVERY_SECONDS_MAX = 60.0
POLL_SECONDS = 0.05

Samples = dict[str, list[float]]
"""Milliseconds of each round by figure."""


def measure_failover(
    nodes: int,
    kills: int,
    directory: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
    rest_seconds: float = REST_SECONDS,
) -> Report:
    """Kill the primary of `nodes` members `kills` times, with `rest_seconds` of load before each.
    Raises Problem when nothing is executed within RECOVERY_SECONDS_MAX, or members disagree."""
    settings = {"nodes": nodes, "kills": kills, "outstanding": OUTSTANDING}
    recorder = Recorder("failover", settings)
    for name, found in trio.run(_measure, nodes, kills, directory, progress, rest_seconds).items():
        recorder.add(name, "ms", found)
        if name == "recovery":
            recorder.add("recovery_max", "ms", [max(found)])
    return recorder.finish()


async def _measure(
    nodes: int,
    kills: int,
    directory: Path | None,
    progress: Callable[[str], None],
    rest_seconds: float,
) -> Samples:
    samples: Samples = defaultdict(list)
    async with open_group(nodes, 1, directory) as group:
        for kill in range(kills):
            progress(f"kill {kill + 1} of {kills}")
            for name, value in (await _kill_primary(group, rest_seconds)).items():
                samples[name].append(value)
        await wait_equal(group)
    return samples


async def _kill_primary(group: Group, rest_seconds: float) -> dict[str, float]:
    """One round; the times of its phases in milliseconds."""
    view = (await group.members[0].ask(Read())).view
    primary = view % len(group.members)
    loaded = group.members[(primary + 2) % len(group.members)]
    await loaded.ask(Load(OUTSTANDING))
    position = max(reading.position for reading in await group.read())
    await _wait(group, lambda found: min(r.position for r in found) > position + SETTLE_BATCHES)
    await trio.sleep(rest_seconds)
    before = await loaded.ask(Read())
    killed_s = time.monotonic()
    await group.members[primary].kill()
    events, executed_s = await _watch_recovery(loaded, view, before.operations + 2 * OUTSTANDING)
    phases = evaluate(killed_s, executed_s, events, group.members[primary].home.load_peer_id())
    await loaded.ask(Load(0))
    await group.restart(primary)
    others = len(group.members) - 1
    await _wait(group, lambda found: min(reading.connected for reading in found) >= others)
    await wait_equal(group)
    return phases


async def _watch_recovery(
    member: MemberProcess, view: int, operations: int
) -> tuple[list[Event], float]:
    """(what happened, when operations were executed again), once so many are, in a later view."""
    events: list[Event] = []
    gap_s = (0.0, 0.0)
    with trio.move_on_after(RECOVERY_SECONDS_MAX):
        while True:
            reading = await member.ask(Read())
            events += reading.events
            gap_s = max(gap_s, reading.longest_gap_s, key=lambda gap: gap[1] - gap[0])
            if reading.view > view and reading.operations >= operations:
                return events, gap_s[1]
            await trio.sleep(POLL_SECONDS)
    raise Problem("bench-stalled", f"nothing was executed for {RECOVERY_SECONDS_MAX:.0f} s")


def evaluate(
    killed_s: float, executed_s: float, events: Iterable[Event], primary: str
) -> dict[str, float]:
    """Milliseconds from the kill to the first executed operation, and of what lies between."""
    phases = {"recovery": (executed_s - killed_s) * 1000}
    last_s = killed_s
    for event in events:
        if event.at_s < killed_s or (event.name == "link_lost" and event.subject != primary):
            continue
        if event.at_s <= executed_s and f"until_{event.name}" not in phases:
            phases[f"until_{event.name}"] = (event.at_s - last_s) * 1000
            last_s = event.at_s
    phases["until_executed"] = (executed_s - last_s) * 1000
    return phases


async def wait_equal(group: Group) -> None:
    """Until all members stand at one position, in one view; with one log, or it is a Problem."""
    found = await _wait(group, lambda found: len({(r.position, r.view) for r in found}) == 1)
    if len({reading.head for reading in found}) > 1:
        raise Problem("bench-diverged", f"different logs up to position {found[0].position}")


async def _wait(group: Group, is_done: Callable[[list[Reading]], bool]) -> list[Reading]:
    with trio.move_on_after(RECOVERY_SECONDS_MAX):
        while not is_done(found := await group.read()):
            await trio.sleep(POLL_SECONDS)
        return found
    raise Problem("bench-stalled", f"members stand apart after {RECOVERY_SECONDS_MAX:.0f} s")

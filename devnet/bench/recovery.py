"""How long a member that was down needs to be where the others are, on real processes.

A backup is killed, the others order a number of operations and come to rest, and it is started
again. Its time counts from the start of its process, so that importing the program, opening the
ledger and finding its peers are in it.
"""

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import trio

from devnet.bench.group import Group, open_group
from devnet.bench.member import ACCOUNT_OUTSTANDING_MAX, BATCHES_ONLY
from devnet.bench.member_protocol import Read, Reading
from devnet.bench.report import Recorder, Report, Setting
from node.problem import Problem

WAYS: dict[str, tuple[str, ...]] = {"usual": (), "batches": (BATCHES_ONLY,)}
VICTIM = 1
"""The first backup; the last member makes the load."""
POLL_SECONDS = 0.02
ORDER_SECONDS_MAX = 3_600.0
RECOVER_SECONDS_MAX = 600.0
_MIB = 1 << 20


def measure_recovery(
    operations: int,
    outstanding: int,
    nodes: int,
    directory: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure both ways of catching up with `operations`. Raises Problem when a node fails, or does
    not recover in RECOVER_SECONDS_MAX."""
    settings: dict[str, Setting] = {
        "nodes": nodes,
        "operations": operations,
        "outstanding": outstanding,
    }
    recorder = Recorder("recovery", settings)
    samples = trio.run(_measure, operations, outstanding, nodes, directory, progress)
    for (name, unit), values in samples.items():
        recorder.add(name, unit, values)
    return recorder.finish()


async def _measure(
    operations: int,
    outstanding: int,
    nodes: int,
    directory: Path | None,
    progress: Callable[[str], None],
) -> dict[tuple[str, str], list[float]]:
    samples: dict[tuple[str, str], list[float]] = defaultdict(list)
    accounts = -(-outstanding // ACCOUNT_OUTSTANDING_MAX)
    progress(f"starting {nodes} nodes")
    async with open_group(nodes, accounts, directory) as group:
        for way, flags in WAYS.items():
            before = await group.loaded.ask(Read())
            await group.members[VICTIM].kill()
            progress(f"{way}: ordering {operations} operations while a member is down")
            after = await _order(group, operations, outstanding)
            progress(f"{way}: starting it again")
            figures = await _recover(group, after.position, flags)
            samples[f"{way}_backlog", "batches"].append(after.position - before.position)
            for key, value in figures.items():
                samples[f"{way}_{key[0]}", key[1]].append(value)
    return samples


async def _order(group: Group, operations: int, outstanding: int) -> Reading:
    """The loaded member's reading once it executed so many more, and nothing is under way."""
    start = await group.loaded.ask(Read())
    await group.set_load(outstanding)
    with trio.move_on_after(ORDER_SECONDS_MAX):
        while (await group.loaded.ask(Read())).operations < start.operations + operations:
            await trio.sleep(POLL_SECONDS)
        await group.set_load(0)
        return await group.loaded.ask(Read())
    raise Problem("bench-recovery", f"{operations} operations took over {ORDER_SECONDS_MAX:.0f} s")


async def _recover(
    group: Group, position: int, flags: tuple[str, ...]
) -> dict[tuple[str, str], float]:
    member = await group.restart(VICTIM, *flags)
    first = reading = await member.ask(Read())
    with trio.move_on_after(RECOVER_SECONDS_MAX):
        while (reading := await member.ask(Read())).position < position:
            await trio.sleep(POLL_SECONDS)
    if reading.position < position:
        raise Problem("bench-recovery", f"it stands at {reading.position} instead of {position}")
    return {
        ("recovery", "s"): reading.at_s - member.started_at_s,
        ("start", "s"): first.at_s - member.started_at_s,
        ("transfers", "states"): float(reading.transfers),
        ("cpu", "s CPU"): reading.cpu_s,
        ("rss", "MiB"): reading.rss_bytes / _MIB,
    }

"""Many operations through one committee: what grows with them, and what must not.

A backup keeps transfers outstanding until so many have been executed. At every tenth of them all
members are read: their memory, their files, and what waits in their queues. The ledger keeps every
operation; memory, the vote log and the queues must not grow with them. The slope of the memory is
fitted to the readings after the first `WARM_UP_READINGS`: caches, pools and the allocator's
arenas fill up in the beginning.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from devnet.bench.failover import wait_equal
from devnet.bench.group import Group, open_group
from devnet.bench.member import ACCOUNT_OUTSTANDING_MAX
from devnet.bench.member_protocol import Load, Read, Reading
from devnet.bench.report import Recorder, Report
from node.problem import Problem

OUTSTANDING = 256
READINGS = 10
WARM_UP_READINGS = 2
STALL_SECONDS_MAX = 60.0
POLL_SECONDS = 0.05
_MIB, _KIB = 1 << 20, 1 << 10
SLOPE_OPERATIONS = 10_000


class Sample:
    """All members at one moment."""

    def __init__(self, group: Group, readings: Sequence[Reading]) -> None:
        homes = [member.home for member in group.members]
        self.readings = readings
        self.operations = max(reading.operations for reading in readings)
        self.ledger_bytes = [get_file_bytes(home.ledger_path) for home in homes]
        self.votes_bytes = [get_file_bytes(home.votes_path) for home in homes]


def measure_endurance(
    nodes: int,
    operations: int,
    directory: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Execute `operations` and measure what `nodes` members needed. Raises Problem when nothing is
    executed for STALL_SECONDS_MAX, or a member fails."""
    settings = {"nodes": nodes, "operations": operations, "outstanding": OUTSTANDING}
    recorder = Recorder("endurance", settings)
    samples, seconds = trio.run(_measure, nodes, operations, directory, progress)
    record(recorder, samples, seconds)
    return recorder.finish()


def record(recorder: Recorder, samples: Sequence[Sample], seconds: float) -> None:
    """The figures; where a figure is a series, its repetitions are the readings in order."""
    first, last = samples[0], samples[-1]
    executed = last.operations - first.operations
    recorder.add("throughput", "operations/s", [executed / seconds])
    for index in range(len(last.readings)):
        series = [sample.readings[index].rss_bytes for sample in samples]
        recorder.add(f"node{index}_rss", "MiB", [value / _MIB for value in series])
        settled = samples[WARM_UP_READINGS:]
        slope = compute_slope(
            [sample.operations for sample in settled], [float(v) for v in series[WARM_UP_READINGS:]]
        )
        unit = f"KiB/{SLOPE_OPERATIONS} operations"
        recorder.add(f"node{index}_rss_slope", unit, [slope * SLOPE_OPERATIONS / _KIB])
    grown = [b - a for a, b in zip(first.ledger_bytes, last.ledger_bytes, strict=True)]
    recorder.add("ledger_growth", "bytes/operation", [size / max(1, executed) for size in grown])
    votes = [max(sample.votes_bytes) / _MIB for sample in samples]
    recorder.add("vote_log_largest", "MiB", votes)
    for name in last.readings[0].queues:
        largest = [
            float(max(reading.queues[name] for reading in sample.readings)) for sample in samples
        ]
        recorder.add(f"queue_{name}", "largest", largest)


def compute_slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Of the least-squares line; 0 for fewer than two points."""
    if len(xs) < 2 or len(set(xs)) < 2:
        return 0.0
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread


def get_file_bytes(path: Path) -> int:
    """A database with its write-ahead log."""
    files = (path, path.with_name(path.name + "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


async def _measure(
    nodes: int, operations: int, directory: Path | None, progress: Callable[[str], None]
) -> tuple[list[Sample], float]:
    accounts = -(-OUTSTANDING // ACCOUNT_OUTSTANDING_MAX)
    progress(f"starting {nodes} nodes")
    async with open_group(nodes, accounts, directory) as group:
        samples = [Sample(group, await group.read())]
        began_s = trio.current_time()
        await group.loaded.ask(Load(OUTSTANDING))
        for number in range(1, READINGS + 1):
            await _wait_executed(group, samples[0].operations + operations * number // READINGS)
            samples.append(Sample(group, await group.read()))
            progress(f"{samples[-1].operations} operations")
        seconds = trio.current_time() - began_s
        await group.loaded.ask(Load(0))
        await wait_equal(group)
    return samples, seconds


async def _wait_executed(group: Group, wanted: int) -> None:
    executed, moved_s = -1, trio.current_time()
    while executed < wanted:
        reading = await group.loaded.ask(Read())
        if reading.operations > executed:
            executed, moved_s = reading.operations, trio.current_time()
        elif trio.current_time() - moved_s > STALL_SECONDS_MAX:
            detail = f"nothing was executed for {STALL_SECONDS_MAX:.0f} s after {executed}"
            raise Problem("bench-stalled", detail)
        await trio.sleep(POLL_SECONDS)

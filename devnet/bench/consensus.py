"""Transfers ordered by a committee of real nodes: latency, throughput and what they cost.

A phase keeps a number of operations outstanding; after a warm-up, readings of all members at both
ends of the measured time give its figures. All phases run once for each repetition.
"""

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import trio

from devnet.bench import limits
from devnet.bench.group import Group, open_group
from devnet.bench.member import ACCOUNT_OUTSTANDING_MAX
from devnet.bench.member_protocol import Reading
from devnet.bench.report import Recorder, Report, Setting

PHASES = {"single": 1, "outstanding_64": 64, "saturated": 1_024}
REPETITIONS = 3
WARM_UP_SHARE = 0.3
_MIB = 1 << 20

Samples = dict[tuple[str, str], list[float]]
"""Numbers of each repetition by figure and unit."""


def measure_consensus(
    nodes: int,
    seconds: float,
    directory: Path | None = None,
    repetitions: int = REPETITIONS,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure `nodes` members for about `seconds` in all, a tenth of it the machine's limits.

    Raises Problem when a node fails.
    """
    settings: dict[str, Setting] = {"nodes": nodes, "seconds": seconds, **PHASES}
    recorder = Recorder("consensus", settings)
    progress("the machine's limits")
    share = seconds / 40
    sign_us, verify_us = limits.add_signatures(recorder, share)
    sync_us = limits.add_syncs(recorder, share, directory)
    round_trip_us = limits.add_links(recorder, 2 * share)
    phase_seconds = 0.9 * seconds / repetitions / len(PHASES)
    samples = trio.run(_measure, nodes, directory, phase_seconds, repetitions, progress)
    medians = {name: recorder.add(name, unit, found) for (name, unit), found in samples.items()}
    latency_us = medians["single_latency_p50"] * 1000
    recorder.add(
        "single_latency_over_link_and_sync", "ratio", [latency_us / (round_trip_us + sync_us)]
    )
    ceiling = compute_signature_ceiling(nodes, sign_us, verify_us)
    recorder.add("signature_ceiling", "operations/s", [ceiling])
    recorder.add("saturated_over_ceiling", "ratio", [medians["saturated_throughput"] / ceiling])
    return recorder.finish()


def compute_signature_ceiling(nodes: int, sign_us: float, verify_us: float) -> float:
    """Operations a second if the machine did nothing but Ed25519 for them: each is signed once and
    verified by every member but the one that signed it; votes, shared by many operations, are
    left out."""
    cores = min(len(os.sched_getaffinity(0)), nodes)
    return cores * 1e6 / (sign_us + (nodes - 1) * verify_us)


async def _measure(
    nodes: int,
    directory: Path | None,
    phase_seconds: float,
    repetitions: int,
    progress: Callable[[str], None],
) -> Samples:
    samples: Samples = defaultdict(list)
    accounts = -(-max(PHASES.values()) // ACCOUNT_OUTSTANDING_MAX)
    progress(f"starting {nodes} nodes")
    async with open_group(nodes, accounts, directory) as group:
        for repetition in range(repetitions):
            for name, outstanding in PHASES.items():
                progress(f"{name}, repetition {repetition + 1} of {repetitions}")
                before, after = await _run_phase(group, outstanding, phase_seconds)
                for key, value in evaluate(before, after).items():
                    samples[f"{name}_{key[0]}", key[1]].append(value)
        last = await group.read()
    for index, reading in enumerate(last):
        samples[f"node{index}_rss", "MiB"].append(reading.rss_bytes / _MIB)
    return samples


async def _run_phase(
    group: Group, outstanding: int, seconds: float
) -> tuple[list[Reading], list[Reading]]:
    await group.set_load(outstanding)
    await trio.sleep(seconds * WARM_UP_SHARE)
    before = await group.read()
    await trio.sleep(seconds * (1 - WARM_UP_SHARE))
    after = await group.read()
    await group.set_load(0)
    return before, after


def evaluate(before: list[Reading], after: list[Reading]) -> dict[tuple[str, str], float]:
    """The figures of one phase, by name and unit. The last reading is the loaded member's."""
    start, end = before[-1], after[-1]
    elapsed_s = end.at_s - start.at_s
    operations = max(1, end.operations - start.operations)
    batches = max(1, end.batches - start.batches)
    cpu_us = [(b.cpu_s - a.cpu_s) * 1e6 / operations for a, b in zip(before, after, strict=True)]
    frames = sum(b.frames_out - a.frames_out for a, b in zip(before, after, strict=True))
    sent = sum(b.bytes_out - a.bytes_out for a, b in zip(before, after, strict=True))
    times = end.latencies_ms or (0.0,)
    return {
        ("throughput", "operations/s"): (end.operations - start.operations)
        / (end.at_s - start.at_s),
        ("latency_p50", "ms"): times[len(times) // 2],
        ("latency_p99", "ms"): times[len(times) * 99 // 100],
        ("batches", "batches/s"): batches / elapsed_s,
        ("operations_per_batch", "operations"): operations / batches,
        ("messages_per_operation", "frames"): frames / operations,
        ("bytes_per_operation", "bytes"): sent / operations,
        ("cpu_per_operation", "us CPU, all nodes"): sum(cpu_us),
        ("cpu_per_operation_primary", "us CPU"): cpu_us[0],
        ("cpu_per_operation_loaded", "us CPU"): cpu_us[-1],
        ("cpu_per_operation_backup", "us CPU"): sum(cpu_us[1:-1]) / max(1, len(cpu_us) - 2),
        ("faults_and_drops", "count"): float(
            sum(b.faults - a.faults + b.drops - a.drops for a, b in zip(before, after, strict=True))
        ),
    }

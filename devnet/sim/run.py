"""Seeds run by the thousand: one process a job, results in the order of the seeds.

A failing seed is shrunk: faults and liars are left out of its plan one by one, for as long as it
still fails in the same way.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import msgspec

from devnet.sim.memo import Memory, patched, quick_signatures, shortcuts
from devnet.sim.plan import Byzantine, Fault, Plan, make_plan
from devnet.sim.world import World, run_plan
from protocols import state_tree
from protocols.pbft import core

Shortcut = Literal["all", "signatures", "none"]
_SHORTCUTS: dict[Shortcut, Callable[[], AbstractContextManager[Memory | None]]] = {
    "all": shortcuts,
    "signatures": quick_signatures,
    "none": nullcontext,
}
CHUNK_SEEDS = 10
"""Seeds that a process runs between two reports of progress."""


class SeedResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one seed. `sim_ms` is simulated time, `faults` counts what took place."""

    seed: int
    n: int
    violations: tuple[str, ...]
    trace_hash: str
    sim_ms: int
    commits: int
    operations: int
    view_changes: int
    faults: dict[str, int]


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A seed that failed, and how to see it again. `faults` is what is left after shrinking."""

    seed: int
    n: int
    violations: tuple[str, ...]
    replay: str
    faults: tuple[Fault, ...]
    byzantine: tuple[Byzantine, ...]


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `econode sim run`."""

    nodes: int
    seeds: int
    first_seed: int
    violations: int
    failures: tuple[Failure, ...]
    sim_seconds: float
    seconds: float
    """Wall time; times `jobs` for the processes' time."""
    jobs: int
    sim_seconds_per_second: float
    """For one process."""
    trace_hash_all: str
    commits: int
    commits_min: int
    operations: int
    view_changes: int
    faults: int
    faults_by_kind: dict[str, int]
    same_traces: int | None = None
    """Seeds that gave the same trace in another process; None when that was not tried."""
    bound_p_95: float
    """0 failures in N seeds: less than this, at 95 % (3/N)."""


def run_seed(seed: int, n: int) -> SeedResult:
    return summarise(run_world(make_plan(seed, n)))


def run_world(plan: Plan, *, shortcut: Shortcut = "all", lines: list[str] | None = None) -> World:
    """The world of a plan after its end; `lines` gets the readable trace.

    With the shortcut "signatures" nothing is remembered; with "none" members sign with Ed25519,
    too, and then digests of operations are others.
    """
    changed: list[tuple[Any, str, Any]] = []
    if plan.pipelines:
        changed.append((core, "PIPELINE_EARLY_OPERATIONS", 1))
    if plan.chunk_bytes:
        changed.append((state_tree, "STATE_CHUNK_BYTES", plan.chunk_bytes))
    with _SHORTCUTS[shortcut]() as memory, patched(changed):
        return run_plan(plan, memory, lines)


def summarise(world: World) -> SeedResult:
    judge = world.judge
    faults = Counter(world.count_all_faults())
    return SeedResult(
        seed=world.plan.seed,
        n=world.plan.n,
        violations=tuple(str(violation) for violation in judge.violations),
        trace_hash=world.compute_trace_hash().hex(),
        sim_ms=world.now_ms,
        commits=judge.commits,
        operations=judge.operations,
        view_changes=judge.view_changes,
        faults=dict(sorted(faults.items())),
    )


def run_seeds(
    first: int, count: int, n: int, jobs: int, on_done: Callable[[SeedResult], None]
) -> RunReport:
    """Run `count` seeds on `jobs` processes; `on_done` hears of each, in order."""
    began = time.monotonic()
    results: list[SeedResult] = []
    busy_s = 0.0
    for chunk, seconds in _run_chunks(first, count, n, jobs):
        busy_s += seconds
        for result in chunk:
            results.append(result)
            on_done(result)
    seconds = time.monotonic() - began
    return _make_report(results, n, first, jobs, seconds, busy_s)


def _run_chunks(
    first: int, count: int, n: int, jobs: int
) -> Iterator[tuple[list[SeedResult], float]]:
    starts = range(first, first + count, CHUNK_SEEDS)
    chunks = [(range(s, min(s + CHUNK_SEEDS, first + count)), n) for s in starts]
    yield from map_in_processes(_run_chunk, chunks, jobs)


def map_in_processes(work: Callable[[Any], Any], items: Iterable[Any], jobs: int) -> Iterator[Any]:
    """`work` of each item, in order; with one job in this process."""
    if jobs == 1:
        yield from map(work, items)
        return
    with ProcessPoolExecutor(jobs) as pool:
        try:
            yield from pool.map(work, items)
        finally:
            pool.shutdown(cancel_futures=True)


def _run_chunk(chunk: tuple[range, int]) -> tuple[list[SeedResult], float]:
    began = time.process_time()
    results = [run_seed(seed, chunk[1]) for seed in chunk[0]]
    return results, time.process_time() - began


def _make_report(
    results: list[SeedResult], n: int, first: int, jobs: int, seconds: float, busy_s: float
) -> RunReport:
    everything = hashlib.blake2b(digest_size=16)
    kinds: Counter[str] = Counter()
    for result in results:
        everything.update(bytes.fromhex(result.trace_hash))
        kinds.update(result.faults)
    failed = [result for result in results if result.violations]
    sim_seconds = sum(result.sim_ms for result in results) / 1000
    return RunReport(
        nodes=n,
        seeds=len(results),
        first_seed=first,
        violations=len(failed),
        failures=tuple(
            _make_failure(result, n, shrinks=place < FAILURES_SHRUNK)
            for place, result in enumerate(failed[:FAILURES_SHOWN])
        ),
        sim_seconds=sim_seconds,
        seconds=round(seconds, 3),
        jobs=jobs,
        sim_seconds_per_second=round(sim_seconds / max(busy_s, 1e-9), 1),
        trace_hash_all=everything.hexdigest(),
        commits=sum(result.commits for result in results),
        commits_min=min((result.commits for result in results), default=0),
        operations=sum(result.operations for result in results),
        view_changes=sum(result.view_changes for result in results),
        faults=sum(kinds.values()),
        faults_by_kind=dict(sorted(kinds.items())),
        bound_p_95=1.0 if failed else round(min(1.0, 3 / max(1, len(results))), 6),
    )


FAILURES_SHOWN = 20
"""Failing seeds that are listed; the others are only counted."""
FAILURES_SHRUNK = 3
"""Failing seeds that are shrunk, too: each costs up to hundreds of runs."""


def _make_failure(result: SeedResult, n: int, *, shrinks: bool) -> Failure:
    plan = make_plan(result.seed, n)
    if shrinks:
        plan = shrink(plan)
    return Failure(
        seed=result.seed,
        n=n,
        violations=result.violations,
        replay=f"econode sim replay {result.seed} --nodes {n}",
        faults=plan.faults,
        byzantine=plan.byzantine,
    )


def shrink(plan: Plan, *, is_failing: Callable[[Plan], bool] | None = None) -> Plan:
    """The plan with as few faults and liars as still breach the same invariant."""
    if is_failing is None:
        wanted = _name_breach(plan)
        if wanted is None:
            return plan

        def is_failing(candidate: Plan) -> bool:
            return _name_breach(candidate) == wanted

    changed = True
    while changed:
        changed = False
        for smaller in _list_smaller(plan):
            if is_failing(smaller):
                plan, changed = smaller, True
                break
    return plan


def _list_smaller(plan: Plan) -> Iterator[Plan]:
    for index in range(len(plan.faults)):
        rest = plan.faults[:index] + plan.faults[index + 1 :]
        yield msgspec.structs.replace(plan, faults=rest)
    for index in range(len(plan.byzantine)):
        others = plan.byzantine[:index] + plan.byzantine[index + 1 :]
        yield msgspec.structs.replace(plan, byzantine=others)
    for index in range(len(plan.changes)):
        kept = plan.changes[:index] + plan.changes[index + 1 :]
        yield msgspec.structs.replace(plan, changes=kept)
    if plan.accuses:
        yield msgspec.structs.replace(plan, accuses=False)
    if plan.has_tasks:
        yield msgspec.structs.replace(plan, has_tasks=False)
    if plan.sync_ms:
        yield msgspec.structs.replace(plan, sync_ms=0)


def _name_breach(plan: Plan) -> str | None:
    violations = run_world(plan).judge.violations
    return violations[0].invariant if violations else None

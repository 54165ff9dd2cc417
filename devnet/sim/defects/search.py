"""The first seed that finds each defect."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from devnet.sim.defects import epochs, normal_case, transfer, views
from devnet.sim.defects.patch import Defect, applied
from devnet.sim.plan import make_plan
from devnet.sim.run import map_in_processes, run_seed
from devnet.sim.twins import make_scenario, run_scenario

SEEDS_MAX = 10_000
EQUIVALENT_SEEDS_MAX = 200
"""A defect that is proven equivalent is searched for a moment all the same, longer if named."""
DEFECTS: tuple[Defect, ...] = (
    *(*normal_case.DEFECTS, *views.DEFECTS, *epochs.DEFECTS, *transfer.DEFECTS),
)


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a defect: the first seed whose run, or whose Twins scenario, breaks an
    invariant, or why none can."""

    name: str
    what: str
    nodes: int
    first_seed: int | None
    violation: str | None
    equivalent_because: str | None


class DefectReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `econode sim defects`."""

    seeds_max: int
    found: int
    equivalent: int
    missed: int
    defects: tuple[Found, ...]


def find_defects(
    names: tuple[str, ...], seeds_max: int, jobs: int, on_done: Callable[[Found], None]
) -> DefectReport:
    """Search each of the defects called `names` (all, when there are none)."""
    chosen = [d for d in DEFECTS if not names or d.name in names]
    found: list[Found] = []
    few = min(seeds_max, EQUIVALENT_SEEDS_MAX)
    tasks = [(d.name, few if d.equivalent_because and not names else seeds_max) for d in chosen]
    for result in _search_all(tasks, jobs):
        found.append(result)
        on_done(result)
    missed = [f for f in found if f.first_seed is None and f.equivalent_because is None]
    return DefectReport(
        seeds_max=seeds_max,
        found=sum(f.first_seed is not None for f in found),
        equivalent=sum(f.first_seed is None and f.equivalent_because is not None for f in found),
        missed=len(missed),
        defects=tuple(found),
    )


def _search_all(items: list[Any], jobs: int) -> Iterator[Found]:
    yield from map_in_processes(_search, items, jobs)


def _search(item: tuple[str, int]) -> Found:
    name, seeds_max = item
    defect = next(d for d in DEFECTS if d.name == name)
    return search(defect, range(seeds_max))


def search(defect: Defect, seeds: range) -> Found:
    """Run relevant seeds and Twins scenarios with the defect until one breaks an invariant that
    holds without it."""
    for seed in seeds:
        with applied(defect):
            violation = _run(defect, seed)
        if violation is not None and _run(defect, seed) is None:
            return _make_found(defect, seed, violation)
    return _make_found(defect, None, None)


def _run(defect: Defect, seed: int) -> str | None:
    """The first breach in the Twins scenario of this number, or in the seed."""
    if defect.in_twins:
        scenario = run_scenario(make_scenario(seed, defect.nodes))
        if scenario.violations:
            return f"twins: {scenario.violations[0]}"
    if defect.is_relevant is not None and not defect.is_relevant(make_plan(seed, defect.nodes)):
        return None
    result = run_seed(seed, defect.nodes)
    return result.violations[0] if result.violations else None


def _make_found(defect: Defect, seed: int | None, violation: str | None) -> Found:
    return Found(
        name=defect.name,
        what=defect.what,
        nodes=defect.nodes,
        first_seed=seed,
        violation=violation,
        equivalent_because=defect.equivalent_because,
    )

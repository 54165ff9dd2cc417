"""How fast and how well bundles are cleared, for each family of instances.

Two sizes: winners and VCG payments (`clear`), and winners alone of twice as many (`winners`). Times
are CPU time of this one process. With the extra `market` CP-SAT looks for the winners of the
same instances, and its times stand beside.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devnet.bench.cats.families import generate
from devnet.bench.report import Recorder, Report
from node import cp_sat
from protocols.auction.assignment import LotPrices, assign
from protocols.auction.combinatorial import greedy
from protocols.auction.combinatorial.bids import Direction
from protocols.auction.combinatorial.simplex import Work
from protocols.auction.combinatorial.vcg import Clearing
from protocols.genesis import Parameters

LIMIT_MS = 500.0
CLEAR_SIZE = (25, 100)
WINNERS_SIZE = (50, 200)
DIRECTIONS: tuple[Direction, ...] = ("forward", "reverse")
ASSIGNMENT_SIZES = (64, 256)
PATIENT_CELLS_MAX = 500_000_000
"""Work to find the optimum of an instance that was not proven within the usual."""
_WORK_MAX = Parameters().auction_work_max
_SEED, _AUCTION = bytes(32), b"econode bench combinatorial"


@dataclass(frozen=True, slots=True)
class Measured:
    """One instance: CPU milliseconds, gain over the best there is, whether it was proven within the
    work, whether the certificate alone proves it, and whether any payment is approximate."""

    ms: float
    efficiency: float
    proven: bool
    certified: bool
    approximate: bool
    cp_sat_ms: float | None
    """CP-SAT's for the winners alone, where it is installed."""


def measure_combinatorial(
    instances: int, families: Sequence[str], tell: Callable[[str], None]
) -> Report:
    """Solve `instances` of each family, size and direction."""
    recorder = Recorder(
        "combinatorial",
        {
            "instances": instances,
            "clear": f"{CLEAR_SIZE[0]} goods, {CLEAR_SIZE[1]} bids",
            "winners": f"{WINNERS_SIZE[0]} goods, {WINNERS_SIZE[1]} bids",
            "limit_ms": LIMIT_MS,
        },
    )
    for name, size, prices in (("clear", CLEAR_SIZE, True), ("winners", WINNERS_SIZE, False)):
        for direction in DIRECTIONS:
            everything: list[Measured] = []
            for family in families:
                tell(f"{name} {family} {direction}")
                found = [
                    measure_one(family, size, seed, prices=prices, direction=direction)
                    for seed in range(instances)
                ]
                _add(recorder, f"{family}_{direction}_{name}", found)
                everything += found
            _add(recorder, f"all_{direction}_{name}", everything)
    for width in ASSIGNMENT_SIZES:
        tell(f"call {width}x{width}")
        times = [_measure_call(width, seed) for seed in range(3)]
        recorder.add(f"call_{width}x{width}", "ms CPU", times)
    return recorder.finish()


def measure_one(
    family: str, size: tuple[int, int], seed: int, *, prices: bool, direction: Direction
) -> Measured:
    """Clear one instance as ordered code does, with the same limits on the work."""
    problem = generate(family, *size, seed).make_problem(direction)
    began = time.thread_time_ns()
    clearing = Clearing(problem, _SEED, _AUCTION, Work(_WORK_MAX))
    solution = clearing.solve()
    approximate = False
    if prices:
        paid = clearing.price(solution.winners, "vcg", Work(_WORK_MAX))
        approximate = any(each.approximate for each in paid)
    spent_ms = (time.thread_time_ns() - began) / 1e6
    bound = solution.bound
    if solution.gap_ppm:
        patient = Clearing(problem, _SEED, _AUCTION, Work(PATIENT_CELLS_MAX))
        bound = patient.solve(solution.winners).bound
    return Measured(
        spent_ms,
        solution.value / bound if bound else 1.0,
        not solution.gap_ppm,
        clearing.bound_by(solution.certificate) <= solution.value,
        approximate,
        _measure_cp_sat(clearing) if cp_sat.is_installed() else None,
    )


def _add(recorder: Recorder, name: str, found: Sequence[Measured]) -> None:
    times = sorted(each.ms for each in found)
    count = len(found)
    recorder.add(f"{name}_p50", "ms CPU", [each.ms for each in found])
    recorder.add(f"{name}_p95", "ms CPU", [times[min(count - 1, count * 95 // 100)]])
    recorder.add(f"{name}_within", "share", [sum(ms <= LIMIT_MS for ms in times) / count])
    recorder.add(f"{name}_efficiency_least", "ratio", [min(each.efficiency for each in found)])
    recorder.add(f"{name}_proven", "share", [sum(e.proven for e in found) / count])
    recorder.add(f"{name}_certified", "share", [sum(e.certified for e in found) / count])
    others = [each.cp_sat_ms for each in found if each.cp_sat_ms is not None]
    if others:
        recorder.add(f"{name}_cp_sat_p50", "ms CPU", others)
        recorder.add(f"{name}_cp_sat_most", "ms CPU", [max(others)])
    if name.endswith("clear"):
        exact = sum(not each.approximate for each in found) / count
        recorder.add(f"{name}_exact_payments", "share", [exact])


def _measure_cp_sat(clearing: Clearing) -> float:
    """Its model is built and solved in this process, with the greedy allocation as a hint."""
    search = clearing.search
    hint = greedy.fill(clearing.problem, search.order, -1)
    began = time.process_time_ns()
    cp_sat.propose(clearing.problem, search.values, hint)
    return (time.process_time_ns() - began) / 1e6


def _measure_call(size: int, seed: int) -> float:
    """A call of so many bidders that each name a price for each of so many lots."""
    rng = random.Random(seed)
    bids = [
        LotPrices(
            number.to_bytes(32, "big"),
            rng.randint(950_000, 1_000_000),
            tuple((lot, rng.randint(1, 10_000)) for lot in range(size)),
        )
        for number in range(size)
    ]
    began = time.thread_time_ns()
    assign("reverse", [10_000] * size, bids, _SEED, _AUCTION)
    return (time.thread_time_ns() - began) / 1e6

"""How fast and how well bundles are cleared, for each family of instances.

Two sizes: winners and VCG payments (`clear`), and winners alone of twice as many (`winners`). Times
are CPU time of this one process. With the extra `market` CP-SAT solves the same instances in a
worker process, and its figures stand beside.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from devnet.bench.cats.families import generate
from devnet.bench.report import Recorder, Report
from protocols.auction.assignment import LotPrices, assign
from protocols.auction.combinatorial.simplex import Work
from protocols.auction.combinatorial.vcg import Clearing
from protocols.auction.several_lots import PRICE_CELLS_MAX, WINNER_CELLS_MAX

LIMIT_MS = 500.0
CLEAR_SIZE = (25, 100)
WINNERS_SIZE = (50, 200)
ASSIGNMENT_SIZES = (64, 256)
PATIENT_CELLS_MAX = 500_000_000
"""Work to find the optimum of an instance that was not proven within the usual."""
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


def measure_combinatorial(
    instances: int, families: Sequence[str], tell: Callable[[str], None]
) -> Report:
    """Solve `instances` of each family and size."""
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
        everything: list[Measured] = []
        for family in families:
            tell(f"{name} {family}")
            found = [measure_one(family, *size, seed, prices) for seed in range(instances)]
            _add(recorder, f"{family}_{name}", found)
            everything += found
        _add(recorder, f"all_{name}", everything)
    for width in ASSIGNMENT_SIZES:
        tell(f"call {width}x{width}")
        times = [_measure_call(width, seed) for seed in range(3)]
        recorder.add(f"call_{width}x{width}", "ms CPU", times)
    return recorder.finish()


def measure_one(family: str, goods: int, bids: int, seed: int, prices: bool) -> Measured:
    """Clear one instance as ordered code does, with the same limits on the work."""
    problem = generate(family, goods, bids, seed).make_problem("reverse" if seed % 2 else "forward")
    began = time.thread_time_ns()
    clearing = Clearing(problem, _SEED, _AUCTION, Work(WINNER_CELLS_MAX))
    solution = clearing.solve()
    approximate = False
    if prices:
        paid = clearing.price(solution.winners, "vcg", Work(PRICE_CELLS_MAX))
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
    if name.endswith("clear"):
        exact = sum(not each.approximate for each in found) / count
        recorder.add(f"{name}_exact_payments", "share", [exact])


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

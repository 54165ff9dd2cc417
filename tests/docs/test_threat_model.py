"""docs/threat-model.md gives the bounds and the odds that hold: every number of its tables is
compared with the code, or computed again."""

import importlib
import re
from math import comb
from pathlib import Path

import pytest

from protocols.committee import compute_faults, compute_quorum
from tests.docs.wire import ROOT

TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
BOUNDS = re.findall(r"^\| `([\w/]+\.py)` `(\w+)` \| ([\d.]+)", TEXT, re.M)
ODDS = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| ([\d.]+) % \| ([\d.]+) % \|$", TEXT, re.M)


def compute_captured(n: int, bad: float) -> float:
    """P(more than f of n members are bad), each with probability `bad`."""
    f = compute_faults(n)
    return sum(comb(n, k) * bad**k * (1 - bad) ** (n - k) for k in range(f + 1, n + 1))


def compute_captured_drawn(n: int, bad: int, population: int) -> float:
    """The same for n drawn without replacement from a population with `bad` bad ones."""
    f = compute_faults(n)
    ways = sum(comb(bad, k) * comb(population - bad, n - k) for k in range(f + 1, n + 1))
    return ways / comb(population, n)


@pytest.mark.parametrize(("path", "name", "value"), BOUNDS)
def test_bound_is_the_codes(path, name, value):
    module = ".".join(Path(path).with_suffix("").parts)
    assert float(value) == getattr(importlib.import_module(module), name)


def test_bounds_are_there():
    assert len(BOUNDS) >= 30


@pytest.mark.parametrize(("n", "f", "q", "captured", "drawn"), ODDS)
def test_odds_are_the_formulas(n, f, q, captured, drawn):
    size = int(n)
    assert (int(f), int(q)) == (compute_faults(size), compute_quorum(size))
    for shown, exact in (
        (captured, compute_captured(size, 0.2)),
        (drawn, compute_captured_drawn(size, 200, 1_000)),
    ):
        digits = len(shown.partition(".")[2])
        assert f"{100 * exact:.{digits}f}" == shown


def test_all_four_sizes_are_shown():
    assert [int(row[0]) for row in ODDS] == [4, 7, 31, 100]

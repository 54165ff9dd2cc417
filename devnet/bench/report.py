"""What every benchmark hands back: figures with unit, repetitions and the state of the machine."""

import os
import platform
from collections.abc import Mapping, Sequence
from statistics import median

import msgspec

from node.commands.common import render_pairs, render_table

Setting = int | float | str


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured number: the median of its repetitions."""

    name: str
    unit: str
    value: float
    repetitions: tuple[float, ...]
    """One number each, in the order they were measured; a ratio has one."""


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured. Load is the mean number of runnable processes over 1, 5, 15 min."""

    cpus: int
    python: str
    system: str
    load_before: tuple[float, float, float]
    load_after: tuple[float, float, float]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one benchmark."""

    bench: str
    settings: dict[str, Setting]
    machine: Machine
    figures: tuple[Figure, ...]

    def get(self, name: str) -> float:
        """The value of the figure called `name`. Raises KeyError."""
        for figure in self.figures:
            if figure.name == name:
                return figure.value
        raise KeyError(name)


class Recorder:
    """Collects the figures of one benchmark; make it before the first measurement."""

    def __init__(self, bench: str, settings: Mapping[str, Setting]) -> None:
        self._bench, self._settings = bench, dict(settings)
        self._load_before = os.getloadavg()
        self._figures: list[Figure] = []

    def add(self, name: str, unit: str, repetitions: Sequence[float]) -> float:
        """Record a figure; its median."""
        value = median(repetitions)
        rounded = tuple(_round(number) for number in repetitions)
        self._figures.append(Figure(name=name, unit=unit, value=_round(value), repetitions=rounded))
        return value

    def finish(self) -> Report:
        machine = Machine(
            cpus=len(os.sched_getaffinity(0)),
            python=platform.python_version(),
            system=f"{platform.system()} {platform.machine()}",
            load_before=self._load_before,
            load_after=os.getloadavg(),
        )
        return Report(
            bench=self._bench,
            settings=self._settings,
            machine=machine,
            figures=tuple(self._figures),
        )


def render(report: Report) -> list[str]:
    """A report for people: the figures with their spread, then the machine."""
    rows = [
        (
            figure.name,
            f"{figure.value:g}",
            figure.unit,
            f"{min(figure.repetitions):g}",
            f"{max(figure.repetitions):g}",
            len(figure.repetitions),
        )
        for figure in report.figures
    ]
    machine = report.machine
    pairs = [
        *((name, value) for name, value in report.settings.items()),
        ("machine", f"{machine.cpus} cpus, {machine.system}, Python {machine.python}"),
        ("load", f"{_join(machine.load_before)} before, {_join(machine.load_after)} after"),
    ]
    table = render_table(("figure", "median", "unit", "min", "max", "repetitions"), rows)
    return [*table, "", *render_pairs(pairs)]


def _join(load: Sequence[float]) -> str:
    return " ".join(f"{number:.2f}" for number in load)


def _round(value: float) -> float:
    """Four digits: no measurement here is worth more."""
    return float(f"{value:.4g}")

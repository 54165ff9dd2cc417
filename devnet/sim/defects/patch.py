"""How a defect gets into the running core: a line of a function's source is replaced.

The changed function is compiled in its own module, and only its code object is exchanged, so
everyone who imported it by name runs the changed one. A defect whose line is no longer in the
source is an error, never a defect that is silently absent.
"""

import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from devnet.sim.defects.relevance import Relevance, no_plan
from devnet.sim.foundation import make_foundation


class DefectDoesNotFit(Exception):
    """The source has changed: the defect must be written again."""


@dataclass(frozen=True, slots=True)
class Edit:
    """In the function at `target` ("module:Class.method") `old` becomes `new`, everywhere."""

    target: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Defect:
    """One mistake that an implementation of PBFT can make."""

    name: str
    what: str
    edits: tuple[Edit, ...]
    nodes: int = 4
    is_relevant: Relevance | None = None
    """Plans that can show it; None when all can, and Twins scenarios, too."""
    in_twins: bool = True
    equivalent_because: str | None = None
    """Why no run can tell it from the right core; None when it must be found."""


def make(
    name: str,
    what: str,
    *edits: tuple[str, str, str],
    nodes: int = 4,
    shows: Relevance | None = None,
    equivalent_because: str | None = None,
) -> Defect:
    """A defect of edits (target, old, new)."""
    made = tuple(Edit(*edit) for edit in edits)
    in_twins = shows in (None, no_plan)
    return Defect(name, what, made, nodes, shows, in_twins, equivalent_because)


@contextmanager
def applied(defect: Defect) -> Iterator[None]:
    """Within the block this process runs the core with the defect."""
    targets = dict.fromkeys(edit.target for edit in defect.edits)
    changed = [(find_function(target), _compile(target, defect.edits)) for target in targets]
    former = [(function, function.__code__) for function, _ in changed]
    make_foundation.cache_clear()  # committees keep their quorum sizes
    try:
        for function, code in changed:
            function.__code__ = code
        yield
    finally:
        for function, code in reversed(former):
            function.__code__ = code
        make_foundation.cache_clear()


def find_function(target: str) -> FunctionType:
    module, _, path = target.partition(":")
    found: Any = importlib.import_module(module)
    for name in path.split("."):
        found = inspect.getattr_static(found, name)
    if isinstance(found, property):
        found = found.fget
    assert isinstance(found, FunctionType)
    return found


def _compile(target: str, edits: tuple[Edit, ...]) -> CodeType:
    function = find_function(target)
    source = textwrap.dedent(inspect.getsource(function))
    source = source[source.index("def ") :]
    for edit in edits:
        if edit.target == target:
            if edit.old not in source:
                raise DefectDoesNotFit(f"{target} does not hold {edit.old!r}")
            source = source.replace(edit.old, edit.new)
    names: dict[str, Any] = {}
    lines = "\n" * (function.__code__.co_firstlineno - 1)
    code = compile(lines + source, function.__code__.co_filename, "exec", dont_inherit=True)
    exec(code, dict(function.__globals__), names)
    (made,) = names.values()
    assert isinstance(made, FunctionType)
    return made.__code__

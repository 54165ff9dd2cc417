"""The table of kinds and flags, for terminals of any width."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from devnet.vectors.form import VectorFile

Cells = dict[str, Counter[str]]
COLUMNS_MIN = 60
FLAGS_PER_GROUP = 5
"""Columns between two gaps, for the eye."""


def count_cells(files: Iterable[VectorFile]) -> Cells:
    """For each kind how many vectors have each flag; at most nine of a cell count."""
    return {file.kind: Counter(flag for t in file.tests for flag in t.flags) for file in files}


def render_cells(cells: Cells, flags: Sequence[str], columns: int) -> Iterator[str]:
    """The legend, then as many tables beneath each other as the flags need, each cell a digit."""
    columns = max(columns, COLUMNS_MIN)
    yield from _render_legend(flags, columns)
    rows = _merge_rows(cells)
    width = max(len(label) for label, _ in rows)
    per_part = _count_columns(columns - width - 2)
    for start in range(0, len(flags), per_part):
        part = flags[start : start + per_part]
        numbers = [f"{number:02d}" for number in range(start + 1, start + len(part) + 1)]
        yield ""
        for digit in range(2):
            yield f"{'':<{width}}  {_space(number[digit] for number in numbers)}"
        for label, counts in rows:
            marks = [_mark(counts[flag]) for flag in part]
            if set(marks) != {"."}:
                yield f"{label:<{width}}  {_space(marks)}"
    total = sum(sum(counts.values()) for counts in cells.values())
    filled = sum(len(counts) for counts in cells.values())
    yield ""
    yield f"{len(cells)} kinds, {len(flags)} flags, {filled} cells filled with {total} vectors"


def _render_legend(flags: Sequence[str], columns: int) -> Iterator[str]:
    entries = [f"{number:02d} {flag}" for number, flag in enumerate(flags, 1)]
    width = max(map(len, entries)) + 2
    per_line = max(1, columns // width)
    lines = -(-len(entries) // per_line)
    for line in range(lines):
        yield "".join(f"{entry:<{width}}" for entry in entries[line::lines]).rstrip()


def _merge_rows(cells: Cells) -> list[tuple[str, Counter[str]]]:
    """Kinds of one family (what stands before the first hyphen) with equal rows in one."""
    families: dict[tuple[str, frozenset[tuple[str, int]]], list[str]] = {}
    for kind, counts in cells.items():
        families.setdefault((kind.split("-")[0], frozenset(counts.items())), []).append(kind)
    rows = []
    for kinds in families.values():
        label = kinds[0]
        if len(kinds) > 1:
            label = f"{_find_prefix(min(kinds), max(kinds))}* ({len(kinds)} kinds)"
        rows.append((label, cells[kinds[0]]))
    return rows


def _find_prefix(one: str, other: str) -> str:
    """What both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return one[: next((at for at, (a, b) in pairs if a != b), len(one))]


def _count_columns(room: int) -> int:
    """How many flags fit, with a gap after each group."""
    groups, rest = divmod(max(room, FLAGS_PER_GROUP), FLAGS_PER_GROUP + 1)
    return max(FLAGS_PER_GROUP, groups * FLAGS_PER_GROUP + min(rest, FLAGS_PER_GROUP))


def _space(marks: Iterable[str]) -> str:
    text = "".join(marks)
    parts = [text[i : i + FLAGS_PER_GROUP] for i in range(0, len(text), FLAGS_PER_GROUP)]
    return " ".join(parts)


def _mark(count: int) -> str:
    return str(min(count, 9)) if count else "."

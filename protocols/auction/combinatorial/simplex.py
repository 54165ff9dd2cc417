"""The linear relaxation, solved exactly: a simplex tableau by integer pivoting.

All numbers are integers over one common denominator, the determinant of the basis (Edmonds 1967,
Bareiss 1968), so every division is exact and nothing is rounded; determinants of these zero-one
matrices are small. Rows are cliques of entries that exclude each other, each with the right-hand
side 1. From one optimum to that of a part of the entries it is a few dual pivots: entries are only
ever taken away (`drop`), or rows added (`add_row`).
"""

from collections.abc import Iterable, Sequence
from itertools import compress
from math import isqrt

from identity.errors import EconodeError

NUDGE_BITS = 40
_NORM = 1 << 16
_SCATTER = 0x9E3779B1  # odd, near 2^32 over the golden ratio: neighbours fall far apart


class WorkExhausted(EconodeError):
    """The work that a search may do is done."""


class Work:
    """Counts what a search does, in tableau cells: the same on every machine, unlike seconds."""

    __slots__ = ("left",)

    def __init__(self, cells_max: int) -> None:
        self.left = cells_max

    def spend(self, cells: int) -> None:
        """Raises WorkExhausted."""
        self.left -= cells
        if self.left < 0:
            raise WorkExhausted("no work left")


class Tableau:
    """Maximise sum(value * x) over x >= 0 where each row's entries sum to 1 at most.

    Columns are entries (their numbers), slacks (-1 - number of their row), and last the right-hand
    side, twice: nudged by a little more for each row, which decides between pivots (so that none is
    without progress and no circle comes about), and as it is, which bounds are taken from. `rows`
    and `costs` are `scale` times the real numbers; `costs[-1]` is the optimum.
    """

    __slots__ = ("basis", "cliques", "columns", "costs", "rows", "scale", "work")

    def __init__(self, work: Work) -> None:
        self.work = work
        self.scale = 1
        self.columns: list[int] = []
        self.basis: list[int] = []
        self.rows: list[list[int]] = []
        self.costs: list[int] = [0, 0]
        self.cliques: list[int] = []
        """The entries of each row, by the number of its slack."""

    def copy(self) -> "Tableau":
        twin = Tableau(self.work)
        twin.scale, twin.cliques = self.scale, list(self.cliques)
        twin.columns, twin.basis = list(self.columns), list(self.basis)
        twin.rows, twin.costs = [list(row) for row in self.rows], list(self.costs)
        self.work.spend(len(self.rows) * len(self.columns) // 4)
        return twin

    # --- pivots --------------------------------------------------------------------------------

    def _pivot(self, r: int, k: int) -> None:
        """Column `k` takes the place of row r's basic one."""
        pivot_row = self.rows[r]
        p, d = pivot_row[k], self.scale
        if p < 0:
            pivot_row = self.rows[r] = [-x for x in pivot_row]
            p = -p
        touched = 1
        for i, row in enumerate(self.rows):
            if i != r:
                factor = row[k]
                if factor or p != d:
                    touched += 1
                    self.rows[i] = _combine(row, pivot_row, p, factor, d)
        self.costs = _combine(self.costs, pivot_row, p, self.costs[k], d)
        self.scale = p
        self.basis[r] = self.columns[k]
        self.work.spend((touched + 2) * len(pivot_row))

    def solve_primal(self) -> None:
        """From a feasible basis to the optimum. Raises WorkExhausted.

        The column enters whose cost, over the root of how many cliques it stands in, is least:
        a third of the pivots that the least cost alone takes.
        """
        factors = [
            _NORM if c < 0 else isqrt(_NORM * _NORM // (1 + self._count_rows(c)))
            for c in self.columns
        ]
        while True:
            ranked = [
                cost * factor if cost < 0 else 0
                for cost, factor in zip(self.costs, factors, strict=False)
            ]
            least = min(ranked, default=0)
            if least >= 0:
                return
            k = ranked.index(least)
            r, best, best_by = -1, 0, 1
            for i, row in enumerate(self.rows):
                a = row[k]
                if a > 0 and (
                    r < 0
                    or (side := row[-2] * best_by - best * a) < 0
                    or (side == 0 and self.basis[i] < self.basis[r])
                ):
                    r, best, best_by = i, row[-2], a
            self._pivot(r, k)

    def _count_rows(self, entry: int) -> int:
        return sum(clique >> entry & 1 for clique in self.cliques)

    def solve_dual(self) -> None:
        """From a basis with no negative cost to the optimum. Raises WorkExhausted."""
        while True:
            r, least = -1, 0
            for i, row in enumerate(self.rows):
                if row[-2] < least:
                    r, least = i, row[-2]
            if r < 0:
                return
            k = self._find_entering(self.rows[r], -1)
            if k < 0:  # x = 0 is always feasible
                raise AssertionError("a packing has a feasible point")
            self._pivot(r, k)

    def _find_entering(self, row: list[int], sign: int) -> int:
        """The column whose cost over the size of its entry is least, among entries of this sign."""
        costs = self.costs
        k, best, best_by = -1, 0, 1
        for column in range(len(row) - 2):
            a = row[column] * sign
            if a > 0 and (k < 0 or costs[column] * best_by < best * a):
                k, best, best_by = column, costs[column], a
        return k

    # --- changes -------------------------------------------------------------------------------

    def drop(self, entries: int) -> None:
        """Take the entries of this bit mask away; then the optimum anew. Raises WorkExhausted."""
        gone = [c >= 0 and entries >> c & 1 == 1 for c in self.columns]
        if not any(gone):
            return
        r = 0
        while r < len(self.rows):
            basic = self.basis[r]
            if basic >= 0 and entries >> basic & 1:
                self._expel(r, basic)
                gone = [c >= 0 and entries >> c & 1 == 1 for c in self.columns]
                continue
            r += 1
        keep = [not g for g in gone]
        self.columns = list(compress(self.columns, keep))
        keep += [True, True]
        self.rows = [list(compress(row, keep)) for row in self.rows]
        self.costs = list(compress(self.costs, keep))
        self.solve_dual()

    def _expel(self, r: int, basic: int) -> None:
        """Make a basic entry zero and no longer basic, then remove its column."""
        row = self.rows[r]
        place = self.columns.index(basic)
        own, row[place] = row[place], 0
        k = self._find_entering(row, 1)
        if k < 0:
            k = self._find_entering(row, -1)
        row[place] = own
        if k < 0:  # nothing else moves with it: the row says that it is zero
            del self.rows[r], self.basis[r]
        else:
            self._pivot(r, k)
        del self.columns[place], self.costs[place]
        for other in self.rows:
            del other[place]

    def start(self, cliques: Sequence[int]) -> None:
        """Fill an empty tableau: these rows (bit masks of entries), no entries yet."""
        m = len(cliques)
        self.columns = [-1 - i for i in range(m)]
        self.basis = list(self.columns)
        self.costs = [0] * (m + 2)
        self.rows = [[0] * m + [_nudge(i), 1] for i in range(m)]
        for i, row in enumerate(self.rows):
            row[i] = 1
        self.cliques = list(cliques)

    def price(self, values: Sequence[int], entries: Iterable[int]) -> list[int]:
        """The costs that these entries have, or would have as columns; `start`ed rows only."""
        prices = [0] * len(self.cliques)
        for c, cost in zip(self.columns, self.costs, strict=False):
            if c < 0:
                prices[-1 - c] = cost
        rows = list(enumerate(self.cliques))
        return [
            sum(prices[i] for i, clique in rows if clique >> j & 1) - values[j] * self.scale
            for j in entries
        ]

    def add_entries(self, values: Sequence[int], entries: Sequence[int]) -> None:
        """Columns for entries, in terms of the present basis; `solve_primal` comes after it.

        No slack may be gone.
        """
        place_of = {c: place for place, c in enumerate(self.columns)}
        inside = [
            [place_of[-1 - i] for i, clique in enumerate(self.cliques) if clique >> j & 1]
            for j in entries
        ]
        new_costs = self.price(values, entries)
        for row in self.rows:
            row[-2:-2] = [sum([row[k] for k in places]) for places in inside]
        self.costs[-2:-2] = new_costs
        self.columns += entries
        self.work.spend(len(self.rows) * sum(map(len, inside)) // 2)

    def add_row(self, clique: int) -> None:
        """One more clique, in terms of the present basis; `solve_dual` comes after it."""
        d = self.scale
        row = [(clique >> c & 1) * d if c >= 0 else 0 for c in self.columns]
        row += [_nudge(len(self.cliques)) * d, d]
        for basic, other in zip(self.basis, self.rows, strict=True):
            if basic >= 0 and clique >> basic & 1:
                row = [x - y for x, y in zip(row, other, strict=True)]
        for each in (*self.rows, self.costs):
            each.insert(-2, 0)
        row.insert(-2, d)
        self.columns.append(-1 - len(self.cliques))
        self.basis.append(-1 - len(self.cliques))
        self.cliques.append(clique)
        self.rows.append(row)
        self.work.spend(4 * len(row))

    # --- what it says --------------------------------------------------------------------------

    def get_bound(self) -> int:
        """No whole solution is worth more."""
        return self.costs[-1] // self.scale

    def list_solution(self) -> list[tuple[int, int]]:
        """(entry, scale * x) of the entries that are not zero."""
        return [
            (basic, row[-1])
            for basic, row in zip(self.basis, self.rows, strict=True)
            if basic >= 0 and row[-1]
        ]

    def list_costly(self, value_min: int) -> int:
        """Entries (bit mask) without which nothing worth `value_min` is lost."""
        slack = self.costs[-1] - value_min * self.scale
        mask = 0
        for c, cost in zip(self.columns, self.costs, strict=False):
            if cost > slack and c >= 0:
                mask |= 1 << c
        return mask

    def list_prices(self) -> list[tuple[int, int]]:
        """(clique, scale * dual price) of each row with a price."""
        return [
            (self.cliques[-1 - c], cost)
            for c, cost in zip(self.columns, self.costs, strict=False)
            if c < 0 and cost > 0
        ]

    def list_margins(self) -> dict[int, int]:
        """scale * what each entry's rows cost beyond its value; entries of the basis have 0."""
        return {c: cost for c, cost in zip(self.columns, self.costs, strict=False) if c >= 0}


def _nudge(row: int) -> int:
    """The right-hand side of a row, 2^NUDGE_BITS, and a little more, another for each."""
    return (1 << NUDGE_BITS) + 1 + (row + 1) * _SCATTER % (1 << NUDGE_BITS // 2)


def _combine(row: list[int], by: list[int], p: int, factor: int, d: int) -> list[int]:
    if d == 1:
        if p == 1:
            return [x - factor * y if y else x for x, y in zip(row, by, strict=True)]
        return [x * p - factor * y for x, y in zip(row, by, strict=True)]
    return [(x * p - factor * y) // d for x, y in zip(row, by, strict=True)]

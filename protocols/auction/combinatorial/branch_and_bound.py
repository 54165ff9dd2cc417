"""The best allocation by branch and bound over the linear relaxation.

A node takes or leaves the entry whose share is nearest to one half. Its bound is exact (see
`simplex.py`); entries whose reduced cost says that no better allocation holds them are left out for
the whole subtree, and cliques that the relaxation breaks become rows. The work is counted, never
timed: every machine stops at the same place with the same result.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt

from protocols.auction.combinatorial import cliques, greedy
from protocols.auction.combinatorial.bids import Problem
from protocols.auction.combinatorial.enumeration import Listing, TooMany
from protocols.auction.combinatorial.simplex import Tableau, Work, WorkExhausted

ROOT_CUT_ROUNDS = 1
NODE_CUT_ROUNDS = 1
CUTS_A_ROUND = 8
SIFTED_MIN = 8
"""Columns that enter the relaxation at once, beside one for four of its rows."""
ROOT_ENUMERATED_MAX = (5_000, 100_000)
"""Branches that the first node may list before its relaxation gets more rows, and with them."""
ENUMERATED_MAX = 5_000


@dataclass(slots=True)
class Node:
    """Entries already taken, worth `base`; `leave` (bit mask) goes from `tableau` first."""

    tableau: Tableau
    taken: tuple[int, ...]
    base: int
    leave: int
    bound: int


@dataclass(frozen=True, slots=True)
class Found:
    """The best winners found, ascending; none are worth more than `bound`."""

    winners: tuple[int, ...]
    value: int
    bound: int

    @property
    def proven(self) -> bool:
        return self.bound <= self.value


class Search:
    """One problem with values, of which several parts may be searched (`solve`).

    The low bits of the values are ties; see `canonical.py`.
    """

    def __init__(self, problem: Problem, values: Sequence[int], work: Work) -> None:
        self.problem, self.values, self.work = problem, values, work
        self.order = greedy.order_by_density(problem, values)
        self._sizes = [entry.lots.bit_count() for entry in problem.entries]
        self.nodes = 0
        self.root: Tableau | None = None
        """The relaxation of the whole problem, once it is solved."""
        self.is_cut = False
        """Whether it has its further rows."""

    def set_work(self, work: Work) -> None:
        """From now on this is what may be done."""
        self.work = work
        if self.root is not None:
            self.root.work = work

    def open_root(self) -> None:
        """Solve the relaxation of the whole problem. Raises WorkExhausted.

        With few columns at first, and then those that are worth more than their rows cost: most
        never are, and a pivot's work grows with the columns.
        """
        rows = cliques.list_rows(self.problem, self.order)
        root = Tableau(self.work)
        root.start(rows)
        absent = dict.fromkeys(self.order)
        batch = self.order[: 3 * len(rows)]
        while batch:
            root.add_entries(self.values, batch)
            for j in batch:
                del absent[j]
            root.solve_primal()
            costs = root.price(self.values, absent)
            self.work.spend(len(absent) * len(rows) // 4)
            ranked = sorted(
                (cost // max(1, isqrt(self._sizes[j])), j)
                for cost, j in zip(costs, absent, strict=True)
                if cost < 0
            )
            batch = [j for _, j in ranked[: SIFTED_MIN + len(rows) // 2]]
        root.add_entries(self.values, list(absent))
        self.root = root

    def solve(self, allowed: int, start: Sequence[int], grain: int) -> Found:
        """The best of the entries in the bit mask `allowed`.

        `start` is an allocation to begin with. Of values that differ in their low `grain` bits
        alone any is good enough.
        """
        everything = (1 << len(self.values)) - 1
        first = greedy.fill(self.problem, (*start, *self.order), allowed)
        plain = greedy.fill(self.problem, self.order, allowed)
        best = _Best(self.values, grain)
        best.offer(first)
        best.offer(plain)
        if self.root is None:
            try:
                self.open_root()
            except WorkExhausted:
                return best.finish(sum(self.values[j] for j in _bits(allowed, self.values)))
            assert self.root is not None
        leave = everything & ~allowed
        stack = [Node(self.root, (), 0, leave, self.root.get_bound())]
        try:
            self._start_everywhere(allowed, best)
            for cap in ROOT_ENUMERATED_MAX:
                stack = [Node(self.root.copy(), (), 0, leave, self.root.get_bound())]
                if self._narrow(stack[0], best, cap):
                    return best.finish(best.value)
                if not self.is_cut:
                    self._cut(self.root, ROOT_CUT_ROUNDS)
                    self.is_cut = True
            while stack:
                self._step(stack, best)
        except WorkExhausted:
            return best.finish(max(node.bound for node in stack) if stack else best.value)
        return best.finish(best.value)

    def _start_everywhere(self, allowed: int, best: "_Best") -> None:
        """The greedy allocations that begin with each entry, by density and by the relaxation.
        Raises WorkExhausted."""
        assert self.root is not None
        shares = sorted(self.root.list_solution(), key=lambda part: (-part[1], part[0]))
        near = (*(j for j, _ in shares), *self.order)
        for order in (self.order, near):
            for j in self.order:
                if allowed >> j & 1:
                    best.offer(greedy.fill(self.problem, (j, *order), allowed))
                    self.work.spend(len(self.order))

    def tighten(self, rounds: int) -> None:
        """Give the relaxation of the whole problem up to so many more sets of rows, for a nearer
        bound. Raises WorkExhausted."""
        if self.root is None:
            self.open_root()
        assert self.root is not None
        self._cut(self.root, rounds)
        self.is_cut = True

    def _step(self, stack: list[Node], best: "_Best") -> None:
        """Take the last node off, or put its two children in its place."""
        node = stack[-1]
        if node.bound < best.wanted or self._narrow(node, best, ENUMERATED_MAX):
            stack.pop()
            return
        tableau = node.tableau
        solution, scale = tableau.list_solution(), tableau.scale
        open_ = [(j, x) for j, x in solution if x != scale] or self._list_clashing(solution)
        if not open_:
            return  # what was left out made it whole: the next step sees it
        entry = max(open_, key=lambda part: min(part[1], scale - part[1]) * self.values[part[0]])[0]
        taking = tableau.copy()
        stack.pop()
        stack.append(Node(tableau, node.taken, node.base, 1 << entry, node.bound))
        stack.append(
            Node(
                taking,
                (*node.taken, entry),
                node.base + self.values[entry],
                self.problem.conflicts[entry] | 1 << entry,
                node.bound,
            )
        )

    def _narrow(self, node: Node, best: "_Best", enumerated_max: int) -> bool:
        """Bound a node and leave out what cannot be better; True when nothing remains."""
        self.nodes += 1
        tableau = node.tableau
        tableau.drop(node.leave)
        node.leave = 0
        rounds = NODE_CUT_ROUNDS
        while True:
            node.bound = min(node.bound, node.base + tableau.get_bound())
            if node.bound < best.wanted:
                return True
            solution = tableau.list_solution()
            whole = all(x == tableau.scale for _, x in solution)
            if whole and not self._list_clashing(solution):
                best.offer([*node.taken, *(j for j, _ in solution)])
                return True
            self._round(node, solution, best)
            if node.bound < best.wanted:
                return True
            tableau.drop(tableau.list_costly(best.wanted - node.base))
            if self._enumerate(node, best, enumerated_max):
                return True
            if not self.is_cut or not rounds or not self._cut(tableau, 1):
                return False
            rounds -= 1

    def _list_clashing(self, solution: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Entries that exclude others of the solution: a bidder's own have no row at first."""
        support = sum(1 << j for j, _ in solution)
        return [(j, x) for j, x in solution if self.problem.conflicts[j] & support]

    def _round(self, node: Node, solution: Sequence[tuple[int, int]], best: "_Best") -> None:
        """An allocation near the relaxation's: the largest shares first, then what still fits."""
        allowed = 0
        for c in node.tableau.columns:
            if c >= 0:
                allowed |= 1 << c
        shares = sorted(solution, key=lambda part: (-part[1], part[0]))
        order = (*(j for j, _ in shares), *self.order)
        best.offer([*node.taken, *greedy.fill(self.problem, order, allowed)])

    def _enumerate(self, node: Node, best: "_Best", most: int) -> bool:
        """Look at everything that may still be better; False when that is too much here."""
        tableau = node.tableau
        listing = Listing(
            self.problem.conflicts,
            tableau.list_prices(),
            tableau.list_margins(),
            tableau.costs[-1] + node.base * tableau.scale,
            tableau.scale,
        )
        listing.left = most
        try:
            listing.walk(best, node.taken)
        except TooMany:
            return False
        finally:
            self.work.spend(listing.cells)
        return True

    def _cut(self, tableau: Tableau, rounds: int) -> bool:
        """Add rows for cliques that the relaxation breaks; False when there were none."""
        added = False
        for _ in range(rounds):
            solution = tableau.list_solution()
            violated = cliques.find_violated(self.problem, solution, tableau.scale, self.order)
            if not violated:
                break
            for clique in violated[:CUTS_A_ROUND]:
                tableau.add_row(clique)
            tableau.solve_dual()
            added = True
        return added


class _Best:
    """The best allocation so far, and the least value that would be better."""

    __slots__ = ("grain", "value", "values", "wanted", "winners")

    def __init__(self, values: Sequence[int], grain: int) -> None:
        self.values, self.grain = values, grain
        self.winners: tuple[int, ...] = ()
        self.value = -1
        self.wanted = 0

    def offer(self, winners: Sequence[int]) -> None:
        value = sum(self.values[j] for j in winners)
        if value > self.value:
            self.winners, self.value = tuple(sorted(winners)), value
            self.wanted = (value >> self.grain) + 1 << self.grain

    def finish(self, bound: int) -> Found:
        return Found(self.winners, self.value, max(bound, self.value))


def _bits(mask: int, values: Sequence[int]) -> list[int]:
    return [j for j in range(len(values)) if mask >> j & 1]

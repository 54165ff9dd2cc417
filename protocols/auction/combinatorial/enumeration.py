"""Everything that could still be better, where dual prices leave little of it.

With dual prices y of cliques and margins s of entries (what an entry's cliques cost beyond its
value, >= 0), an allocation is worth the sum of all y, less the margins of its winners, less the y
of every clique without a winner. So each choice has its loss, and a branch ends once its losses
exceed what the best allocation leaves.
"""

from collections.abc import Sequence
from typing import Protocol

_NO_ROW = (0, 0)


class TooMany(Exception):
    """More branches than may be looked at."""


class Best(Protocol):
    wanted: int

    def offer(self, winners: Sequence[int]) -> None: ...


class Listing:
    """`total` and all prices and margins are `scale` times the real numbers."""

    def __init__(
        self,
        conflicts: Sequence[int],
        prices: Sequence[tuple[int, int]],
        margins: dict[int, int],
        total: int,
        scale: int,
    ) -> None:
        self.conflicts, self.margins = conflicts, margins
        self.prices = sorted(prices, key=lambda row: (-row[1], row[0]))
        self.total, self.scale = total, scale
        self.left = 0
        """Branches that may still be looked at."""
        self.cells = 0

    def walk(self, best: Best, taken: Sequence[int]) -> None:
        """Offer every allocation of `taken` and entries that may be better. Raises TooMany."""
        allowed = 0
        for j in self.margins:
            allowed |= 1 << j
        self._walk(allowed, self.prices, 0, tuple(taken), best)

    def _walk(
        self,
        allowed: int,
        rows: list[tuple[int, int]],
        loss: int,
        taken: tuple[int, ...],
        best: Best,
    ) -> None:
        """One row after the other: who wins it, or that nobody does."""
        margins = self.margins
        while True:
            self.left -= 1
            if self.left < 0:
                raise TooMany
            room = self.total - best.wanted * self.scale - loss
            if room < 0:
                self.cells += 10
                return
            self.cells += 4 * len(rows) + 20
            alive = []
            fewest = 1 << 30
            chosen, chosen_row = 0, _NO_ROW
            for row in rows:
                here = row[0] & allowed
                if here:
                    alive.append(row)
                    count = here.bit_count()
                    if count < fewest:
                        fewest, chosen, chosen_row = count, here, row
                else:
                    room -= row[1]
                    loss += row[1]
            if room < 0:
                return
            if not alive:
                best.offer(taken)
                return
            options = []
            rest = chosen
            while rest:
                low = rest & -rest
                rest ^= low
                j = low.bit_length() - 1
                if margins[j] <= room:
                    options.append((margins[j], j))
            options.sort()
            for margin, j in options:
                bit = 1 << j
                others = [row for row in alive if not row[0] & bit]
                self._walk(
                    allowed & ~(self.conflicts[j] | bit), others, loss + margin, (*taken, j), best
                )
            loss += chosen_row[1]
            allowed &= ~chosen
            rows = [row for row in alive if row is not chosen_row]

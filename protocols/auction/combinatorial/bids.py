"""Offers for bundles of lots, and what an allocation of them is worth.

A bidder wins one of its bundles at most (XOR), a lot goes to one winner at most. The allocation
maximises the sum of *gains*, which makes it an affine maximiser (Roberts 1979), so that payments
exist with which no lie pays:

- forward: weight * (price - limit), with the limits of the bundle's lots added up: nothing is sold
  below its limits, and the reputation weight counts on what is bid above them;
- reverse: PPM * limit - multiplier * price with multiplier = PPM * PPM // weight: the limits are
  the offers of a phantom bidder with the full weight, so no lot costs more than its limit, and a
  lot that nobody offers for less is left to the phantom, that is, not bought.

An offer below the limits has a negative gain and is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from protocols.genesis import PPM

Direction = Literal["forward", "reverse"]


@dataclass(frozen=True, slots=True)
class Offer:
    """All that one bidder says: (bit mask of lots, price in credits) for each bundle.

    `weight_ppm` is 1 to PPM."""

    bidder: bytes
    weight_ppm: int
    bundles: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One bundle that may win. `offer` is the place of its offer, `gain` is weighted, >= 0."""

    offer: int
    bundle: int
    lots: int
    price: int
    gain: int


@dataclass(frozen=True, slots=True)
class Problem:
    """An auction's offers, those with a gain as entries, and which of them exclude each other.

    `conflicts[j]` is the bit mask of entries that cannot win together with j, without j itself.
    """

    direction: Direction
    limits: tuple[int, ...]
    offers: tuple[Offer, ...]
    entries: tuple[Entry, ...]
    conflicts: tuple[int, ...]
    groups: tuple[int, ...]
    """Entries of each offer, as bit masks."""
    holders: tuple[int, ...]
    """Entries that want each lot, as bit masks."""

    def get_multiplier(self, offer: int) -> int:
        """What a credit of this bidder counts in a gain."""
        return compute_multiplier(self.direction, self.offers[offer].weight_ppm)

    def sum_gains(self, winners: Sequence[int]) -> int:
        return sum(self.entries[j].gain for j in winners)

    def is_feasible(self, winners: Sequence[int]) -> bool:
        """True when these are distinct entries, ascending, that may all win together."""
        taken = 0
        for place, j in enumerate(winners):
            if not 0 <= j < len(self.entries) or (place and winners[place - 1] >= j):
                return False
            if self.conflicts[j] & taken:
                return False
            taken |= 1 << j
        return True


def compute_multiplier(direction: Direction, weight_ppm: int) -> int:
    return weight_ppm if direction == "forward" else PPM * PPM // weight_ppm


def compute_gain(direction: Direction, limit: int, weight_ppm: int, price: int) -> int:
    """What an allocation gains by this price for lots of these limits; below 0 it never wins."""
    factor = compute_multiplier(direction, weight_ppm)
    return factor * (price - limit) if direction == "forward" else PPM * limit - factor * price


def sum_limits(limits: Sequence[int], lots: int) -> int:
    """The limits of the lots in a bit mask, added up."""
    return sum(limits[lot] for lot in list_bits(lots))


def list_bits(mask: int) -> list[int]:
    """Places of the ones in `mask`, ascending."""
    places = []
    while mask:
        low = mask & -mask
        places.append(low.bit_length() - 1)
        mask ^= low
    return places


def make_problem(direction: Direction, limits: Sequence[int], offers: Sequence[Offer]) -> Problem:
    """Offers are taken in the order given; whoever compares results sorts them by bidder."""
    entries: list[Entry] = []
    for place, offer in enumerate(offers):
        for number, (lots, price) in enumerate(offer.bundles):
            gain = compute_gain(direction, sum_limits(limits, lots), offer.weight_ppm, price)
            if lots and gain >= 0:
                entries.append(Entry(place, number, lots, price, gain))
    groups, holders = [0] * len(offers), [0] * len(limits)
    for j, entry in enumerate(entries):
        groups[entry.offer] |= 1 << j
        for lot in list_bits(entry.lots):
            holders[lot] |= 1 << j
    conflicts = []
    for j, entry in enumerate(entries):
        mask = groups[entry.offer]
        for lot in list_bits(entry.lots):
            mask |= holders[lot]
        conflicts.append(mask & ~(1 << j))
    return Problem(
        direction,
        tuple(limits),
        tuple(offers),
        tuple(entries),
        tuple(conflicts),
        tuple(groups),
        tuple(holders),
    )

"""All families by name."""

import random

from devnet.bench.cats import legacy, places, slots
from devnet.bench.cats.instance import Instance

FAMILIES = (*places.FAMILIES, *slots.FAMILIES, *legacy.FAMILIES)
"""paths, regions, arbitrary, matching, scheduling; l1 to l8."""


def generate(family: str, goods: int, bids: int, seed: int) -> Instance:
    """The instance of this family, size and seed, the same on every machine. It has fewer bids
    where the family has no room for so many. Raises KeyError for an unknown family."""
    instance = Instance(family, seed, goods, bids)
    rng = random.Random(f"{family} {goods} {bids} {seed}")
    if family in legacy.FAMILIES:
        legacy.fill(instance, rng)
    else:
        {**places.FAMILIES, **slots.FAMILIES}[family](instance, rng)
    return instance

"""The families from before the suite, L1 to L8: sizes and prices drawn independently.

Each bidder names one bundle. Money is in units of 1; n is the number of goods in a bundle.

- l1 random (Sandholm 1999): n uniform in 1..goods, price uniform in 0..1
- l2 weighted random (the same): n as before, price uniform in 0..n
- l3 uniform (the same): n = 3, price uniform in 0..1
- l4 decay (the same): n grows while a coin of 0.55 says so, price uniform in 0..n
- l5 normal (Boutilier, Goldszmidt, Sabata 1999): n normal (4, 1), price normal (16, 3)
- l6 exponential (Fujishima, Leyton-Brown, Shoham 1999): P(n) ~ exp(-n/5), price uniform in
  0.5 n..1.5 n
- l7 binomial (the same): each good with 0.2, price uniform in 0.5 n..1.5 n
- l8 quadratic (de Vries, Vohra 2000): sum of a private value for each good and a synergy for each
  pair of them; n as in l4
"""

import random
from collections.abc import Callable

from devnet.bench.cats.instance import Instance, to_mask

ATTEMPTS_A_BID = 400
"""Draws for each bid wanted, before an instance ends with fewer: most are dominated in l1."""
_DECAY = 0.55
_EXPONENTIAL = 0.8187307530779818  # exp(-1/5)


def fill(instance: Instance, rng: random.Random) -> None:
    """Add bids of the instance's family until it is complete, or the attempts are used up."""
    size, price = _FAMILIES[instance.family]
    for _ in range(ATTEMPTS_A_BID * instance.bids_wanted):
        if instance.complete:
            return
        n = size(rng, instance.goods)
        if 1 <= n <= instance.goods:
            instance.add({to_mask(rng.sample(range(instance.goods), n)): price(rng, n)})


def _uniform_size(rng: random.Random, goods: int) -> int:
    return rng.randint(1, goods)


def _decay_size(rng: random.Random, goods: int) -> int:
    n = 1
    while n < goods and rng.random() < _DECAY:
        n += 1
    return n


def _exponential_size(rng: random.Random, goods: int) -> int:
    n = 1
    while n < goods and rng.random() < _EXPONENTIAL:
        n += 1
    return n


def _normal(rng: random.Random, mean: float, deviation: float) -> float:
    """The sum of twelve draws: no logarithm that machines might round differently."""
    return mean + deviation * (sum(rng.random() for _ in range(12)) - 6)


def _around(rng: random.Random, n: int) -> float:
    return n * (0.5 + rng.random())


def _quadratic(rng: random.Random, n: int) -> float:
    """Private values uniform in 0..1 for each good, synergies uniform in 0..0.2 for each pair."""
    values = sum(rng.random() for _ in range(n))
    return values + sum(rng.random() for _ in range(n * (n - 1) // 2)) * 0.2


_FAMILIES: dict[
    str, tuple[Callable[[random.Random, int], int], Callable[[random.Random, int], float]]
] = {
    "l1": (_uniform_size, lambda rng, n: rng.random()),
    "l2": (_uniform_size, lambda rng, n: rng.random() * n),
    "l3": (lambda rng, goods: min(3, goods), lambda rng, n: rng.random()),
    "l4": (_decay_size, lambda rng, n: rng.random() * n),
    "l5": (lambda rng, goods: round(_normal(rng, 4, 1)), lambda rng, n: _normal(rng, 16, 3)),
    "l6": (_exponential_size, _around),
    "l7": (lambda rng, goods: sum(rng.random() < 0.2 for _ in range(goods)), _around),
    "l8": (_decay_size, _quadratic),
}
FAMILIES = tuple(_FAMILIES)

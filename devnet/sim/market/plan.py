"""What a seed stands for: who takes part in a market, what they want, and who cheats.

Everything is drawn here; the world itself adds no chance but what each party draws from a
generator of its own, seeded with its name, so that two runs of one plan differ in nothing but
what the cheats do.
"""

import hashlib
import random
from functools import lru_cache

import msgspec

from crdt.facts import Verification
from devnet.sim.market.goods import Sale
from devnet.sim.market.tuning import Tuning
from identity import keys
from protocols.committee import Committee
from protocols.genesis import Allotment, Genesis, Member, Parameters

CREATED_MS = 1_700_000_000_000
BOND = 20_000
FREE = 100_000_000
DURATION_MS = 600_000
SIZES = (4, 4, 4, 5, 7)
"""Members of a world, each as likely."""
SCALES = (1, 10, 100)
"""What everything costs in a world, each as likely: fees and the least bond are the same in all."""
BUDGET_MIN = 1_000
COST_SHARE_MAX = 10
"""A run costs at most the tenth of a budget: what a verifier is paid."""
SPREAD_MS = 30_000
"""Errands begin within this time."""
FEES_MAX = 25
"""Fees that a task may cost at most: five panels of five judges."""
BUNDLE_MAX = 8
"""Errands that are opened at once, at most."""
POOL_SHARE = 20
"""This part of a budget goes into a bonus pool."""


class Errand(msgspec.Struct, frozen=True):
    """A requester wants one task done, and values its result at `value` credits. Those of one
    `at_ms` are opened together."""

    requester: str
    at_ms: int
    budget: int
    value: int
    number: int
    mode: Verification = "exact"
    audit_ppm: int = 1_000_000
    pool: int = 0
    """Credits that it adds to the bonus pool of the tasks opened with it."""


class Trader(msgspec.Struct, frozen=True):
    """An agent: what its dearest run really costs it, how long one takes, how far away it is."""

    name: str
    cost_max: int
    work_ms: int
    latency_ms: int
    think_ms: int = 0
    """How long it takes over a bid, and over opening it."""

    def compute_cost(self, blob: bytes) -> int:
        """What a run on this input costs the agent: the fifth of its dearest, or more. Some have
        the data at hand, or nothing else to do just now."""
        least = max(1, self.cost_max // 5)
        dice = int.from_bytes(hashlib.sha256(self.name.encode() + blob).digest()[:4])
        return least + dice % (self.cost_max - least + 1)


class MarketPlan(msgspec.Struct, frozen=True):
    """A world. `cheats` are (name, attack); with `attack` they are one coalition that is tried
    alone, without it everybody may cheat at once. `is_even`: chance falls the same way whatever
    the parties do, so that two runs differ by what was done and not by luck."""

    seed: int
    n: int
    scale: int
    traders: tuple[Trader, ...]
    requesters: tuple[str, ...]
    spares: tuple[str, ...]
    errands: tuple[Errand, ...]
    sales: tuple[Sale, ...]
    tunings: tuple[Tuning, ...]
    cheats: tuple[tuple[str, str], ...]
    leaders: tuple[tuple[str, str], ...]
    attack: str | None
    is_even: bool
    parameters: Parameters = Parameters()

    @property
    def members(self) -> tuple[str, ...]:
        return tuple(trader.name for trader in self.traders[: self.n])

    def has_business(self, name: str) -> bool:
        """Whether it sells, buys or sponsors anything beside tasks."""
        return any(sale.seller == name for sale in self.sales) or any(
            tuning.sponsor == name for tuning in self.tunings
        )


@lru_cache(maxsize=4_096)
def make_private(name: str) -> keys.PrivateKey:
    return keys.PrivateKey(hashlib.sha256(f"market/{name}".encode()).digest())


def make_key(name: str) -> bytes:
    """The account that is called `name` in every world."""
    return make_private(name).public


@lru_cache(maxsize=256)
def make_genesis(
    n: int, traders: int, requesters: int, spares: int, parameters: Parameters
) -> tuple[Genesis, Committee]:
    """The genesis of all worlds of this size. The committee's members stand in ascending order
    of their keys, so m0 leads first only where its key is the least."""
    others = [f"s{i}" for i in range(traders - n)]
    others += [f"r{i}" for i in range(requesters)]
    others += [f"x{i}" for i in range(spares)]
    genesis = Genesis(
        name="market",
        created_ms=CREATED_MS,
        members=tuple(
            Member(keys.compute_peer_id(make_key(f"m{i}")), "", BOND, FREE) for i in range(n)
        ),
        accounts=tuple(Allotment(keys.compute_peer_id(make_key(name)), FREE) for name in others),
        parameters=parameters,
    )
    return genesis, genesis.make_committee()


def draw_traders(
    rng: random.Random, n: int, strangers: int, dearest: int, think_ms_max: int
) -> tuple[Trader, ...]:
    names = [f"m{i}" for i in range(n)] + [f"s{i}" for i in range(strangers)]
    return tuple(
        Trader(
            name=name,
            cost_max=rng.randint(dearest // 2, dearest),
            work_ms=rng.randint(200, 5_000),
            latency_ms=rng.randint(5, 150),
            think_ms=rng.choice((0, 0, think_ms_max)),
        )
        for name in names
    )


class Extras(msgspec.Struct, frozen=True):
    """What errands have in some worlds alone: bundles with a bonus pool, and results that are
    verified by sample, each with a chance of one in `one_in` (0: none)."""

    pool_one_in: int = 0
    audit_one_in: int = 0
    audits_ppm: tuple[int, ...] = (300_000, 500_000, 700_000)


def draw_errands(
    rng: random.Random,
    requesters: tuple[str, ...],
    count: int,
    rules: Parameters,
    scale: int,
    modes: tuple[Verification, ...],
    extras: Extras,
) -> tuple[Errand, ...]:
    """Whoever wants something sets a budget with which it cannot lose: its value covers the
    budget, the bonus, its part of a pool and every fee that may be due."""
    errands: list[Errand] = []
    while len(errands) < count:
        requester, at_ms = rng.choice(requesters), rng.randint(0, SPREAD_MS)
        mode, audit_ppm, has_pool = rng.choice(modes), 1_000_000, False
        if extras.audit_one_in and mode == "exact" and not rng.randrange(extras.audit_one_in):
            audit_ppm = rng.choice(extras.audits_ppm)
        if extras.pool_one_in:
            has_pool = not rng.randrange(extras.pool_one_in)
        for number in range(len(errands), len(errands) + rng.randint(1, BUNDLE_MAX)):
            budget = rng.randint(BUDGET_MIN * scale, 3 * BUDGET_MIN * scale)
            if audit_ppm < 1_000_000:  # what the agents' bonds are enough for
                at_risk = 2 * rules.awards_active_max * 1_000_000
                budget = min(budget, (BOND * audit_ppm - 1) // at_risk)
            extra = rules.bonus_ppm + FEES_MAX * rules.verifier_fee_ppm
            pool = budget // POOL_SHARE if has_pool else 0
            value = budget + budget * extra // 1_000_000 + rng.randint(2, budget)
            value += pool * BUNDLE_MAX  # one of them may take all of it
            errands.append(Errand(requester, at_ms, budget, value, number, mode, audit_ppm, pool))
    return tuple(sorted(errands, key=lambda errand: (errand.at_ms, errand.number)))


def draw_tunings(rng: random.Random, sponsors: tuple[str, ...], count: int) -> tuple[Tuning, ...]:
    drawn = [
        Tuning(rng.choice(sponsors), rng.randint(0, SPREAD_MS), number, rng.randint(1, 2))
        for number in range(count)
    ]
    return tuple(sorted(drawn, key=lambda tuning: (tuning.at_ms, tuning.number)))

"""Runs seeds: a world in which everybody cheats, and an attack beside its honest twin."""

import random

from crdt.facts import Verification
from devnet.sim.market.attacks import ATTACKS, ROLES, Attack
from devnet.sim.market.leaders import LEADERS
from devnet.sim.market.plan import (
    BUDGET_MIN,
    COST_SHARE_MAX,
    SCALES,
    SIZES,
    MarketPlan,
    draw_errands,
    draw_traders,
)
from protocols.genesis import Parameters

SPARES = 4
MODES: tuple[Verification, ...] = ("exact", "exact", "judged", "accepted")


def make_plan(seed: int, attack: str | None) -> MarketPlan:
    """The world of a seed: with one attack, or, without, a brawl of all kinds of cheats."""
    rng = random.Random(f"market/{seed}/{attack or ''}")
    n = rng.choice(SIZES)
    strangers, requesters = rng.randint(1, 3), ("r0", "r1")
    scale = rng.choice(SCALES)
    traders = draw_traders(rng, n, strangers, scale * BUDGET_MIN // COST_SHARE_MAX)
    modes = ATTACKS[attack].modes if attack else MODES
    count = rng.randint(6, 12) if attack is None else rng.randint(10, 24)
    errands = draw_errands(rng, requesters, count, Parameters(), scale, modes)
    names = [trader.name for trader in traders]
    leaders: dict[str, str] = {}
    if attack is None:
        cheats = _draw_brawl(rng, n, names)
        for name, _ in cheats:
            if name.startswith("m"):
                leaders[name] = rng.choice(sorted(LEADERS))
    else:
        cheats = _cast(rng, n, names, ATTACKS[attack])
        chosen = ATTACKS[attack].leader
        if chosen is not None:
            leaders = {name: chosen for name, _ in cheats if name.startswith("m")}
    return MarketPlan(
        seed=seed,
        n=n,
        scale=scale,
        traders=traders,
        requesters=requesters,
        spares=tuple(f"x{i}" for i in range(SPARES)),
        errands=errands,
        cheats=tuple(cheats),
        leaders=tuple(leaders.items()),
        attack=attack,
        is_even=attack is not None,
    )


def _draw_brawl(rng: random.Random, n: int, names: list[str]) -> list[tuple[str, str]]:
    """Up to f members, and any number of strangers, requesters and sybils, that cheat."""
    members = rng.sample(names[:n], (n - 1) // 3)
    others = [name for name in (*names[n:], "r1", *(f"x{i}" for i in range(SPARES)))]
    cheats = []
    for name in (*members, *(other for other in others if rng.random() < 0.6)):
        fitting = [a.name for a in ATTACKS.values() if _can_play(a, name)]
        cheats.append((name, rng.choice(fitting)))
    return cheats


def _can_play(attack: Attack, name: str) -> bool:
    return any(role in ROLES[name[0]] for role, _ in attack.cast)


def _cast(rng: random.Random, n: int, names: list[str], attack: Attack) -> list[tuple[str, str]]:
    """Who plays the attack's roles. A leader or member is one of the committee."""
    cheats: list[str] = []
    spares = iter(f"x{i}" for i in range(SPARES))
    for role, _ in attack.cast:
        if role == "member" or (role == "agent" and attack.leader is not None):
            cheats.append(rng.choice(names[:n]))
        elif role == "agent":
            cheats.append(rng.choice(names))
        else:
            cheats.append("r0" if role == "requester" else next(spares))
    return [(name, attack.name) for name in cheats]

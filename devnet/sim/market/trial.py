"""Runs seeds: a world in which everybody cheats, and an attack beside its honest twin."""

import random
import time
from collections.abc import Callable

from crdt.facts import Verification
from devnet.sim.market.attacks import ATTACKS, ROLES, Attack
from devnet.sim.market.goods import Sale, draw_sales
from devnet.sim.market.leaders import LEADERS
from devnet.sim.market.plan import (
    BUDGET_MIN,
    COST_SHARE_MAX,
    SCALES,
    SIZES,
    SPREAD_MS,
    Extras,
    MarketPlan,
    draw_errands,
    draw_traders,
    draw_tunings,
)
from devnet.sim.market.purse import compute_gain, compute_verifying, count_fees
from devnet.sim.market.report import MarketReport, SeedVerdict, make_report
from devnet.sim.market.world import MarketWorld
from devnet.sim.run import map_in_processes
from protocols.genesis import Parameters

SPARES = 4
THINK_MS_MAX = 2_500
"""Longest that an honest agent takes over a bid: it arrives in time, even if the leader shows the
oldest time that it may."""
POOL_ONE_IN, AUDIT_ONE_IN = 5, 4
"""In a brawl, one bundle of errands of so many has a bonus pool, or is verified by sample."""
MODES: tuple[Verification, ...] = ("exact", "exact", "judged", "accepted")


def make_plan(seed: int, attack: str | None) -> MarketPlan:
    """The world of a seed: with one attack, or, without, a brawl of all kinds of cheats."""
    rng = random.Random(f"market/{seed}/{attack or ''}")
    n = rng.choice(SIZES)
    strangers, requesters = rng.randint(1, 3), ("r0", "r1")
    scale = rng.choice(SCALES)
    think_ms = rng.randint(0, THINK_MS_MAX) if attack is None else 0
    traders = draw_traders(rng, n, strangers, scale * BUDGET_MIN // COST_SHARE_MAX, think_ms)
    rules = draw_rules(rng) if attack is None else Parameters()
    tried = ATTACKS.get(attack or "")
    modes = tried.modes if tried else MODES
    count = rng.randint(10, 20) if attack is None else rng.randint(10, 24)
    extras = Extras(POOL_ONE_IN, AUDIT_ONE_IN) if tried is None else tried.extras
    errands = draw_errands(rng, requesters, count, rules, scale, modes, extras)
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
        sales=_draw_sales(rng, requesters, tried),
        tunings=draw_tunings(rng, requesters, rng.randint(0, 1) if tried is None else tried.tunes),
        cheats=tuple(cheats),
        leaders=tuple(leaders.items()),
        attack=attack,
        is_even=attack is not None,
        parameters=rules,
    )


def draw_rules(rng: random.Random) -> Parameters:
    """Rules of a brawl: as usual, with quick halts, or with hardly any work on bundles, so that
    others must solve them."""
    dice = rng.randrange(4)
    if dice == 0:
        return Parameters(
            halt_awards_min=4, halt_after_ms=1_000, halt_ms=20_000, price_interval_ms=5_000
        )
    if dice == 1:
        return Parameters(auction_work_max=rng.choice((0, 100, 1_000, 3_000)))
    return Parameters()


def _draw_sales(
    rng: random.Random, sellers: tuple[str, ...], attack: Attack | None
) -> tuple[Sale, ...]:
    if attack is None:
        return draw_sales(rng, sellers, rng.randint(1, 4), SPREAD_MS)
    count = rng.randint(2, 4) if attack.sells else 0
    return draw_sales(rng, sellers, count, SPREAD_MS, attack.sells, is_delivered=attack.delivers)


def _draw_brawl(rng: random.Random, n: int, names: list[str]) -> list[tuple[str, str]]:
    """Up to f members, and any number of strangers, requesters and sybils, that cheat."""
    members = rng.sample(names[:n], (n - 1) // 3)
    others = [*names[n:], "r1", *(f"x{i}" for i in range(SPARES))]
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
        elif role == "stranger":
            cheats.append(rng.choice(names[n:]))
        else:
            cheats.append("r0" if role == "requester" else next(spares))
    return [(name, attack.name) for name in cheats]


def choose_attack(seed: int) -> str:
    """The attack of a seed: all of them in turn."""
    names = sorted(name for name, attack in ATTACKS.items() if attack.is_tried)
    return names[seed % len(names)]


def run_pair(plan: MarketPlan) -> tuple[MarketWorld, MarketWorld, int]:
    """The world of a plan with its coalition honest, and attacking; what attacking gained."""
    twin = MarketWorld(plan, attacking=False).run()
    world = MarketWorld(plan).run()
    coalition = [name for name, _ in plan.cheats]
    saved = sum(count_fees(twin, name) - count_fees(world, name) for name in coalition)
    gain = compute_gain(world, coalition) - compute_gain(twin, coalition) - max(0, saved)
    return twin, world, gain


def compute_luck(twin: MarketWorld, world: MarketWorld) -> int:
    """What the coalition of an attack earned more by verifying than its twin did."""
    coalition = [name for name, _ in world.plan.cheats]
    return compute_verifying(world, coalition) - compute_verifying(twin, coalition)


def run_market_seed(seed: int) -> SeedVerdict:
    """A brawl, and this seed's attack with its twin; all three are judged."""
    attack = choose_attack(seed)
    brawl = MarketWorld(make_plan(seed, None)).run()
    twin, attacked, gain = run_pair(make_plan(seed, attack))
    luck = compute_luck(twin, attacked) if ATTACKS[attack].sets_draws_aside else 0
    worlds = (brawl, twin, attacked)
    names = ("brawl", f"{attack}, honest", attack)
    honest = [(world, name) for world in (brawl, attacked) for name in list_honest(world)]
    gains = [(compute_gain(world, (name,)), count_fees(world, name)) for world, name in honest]
    return SeedVerdict(
        seed=seed,
        attack=attack,
        violations=tuple(
            f"{name}: {violation}"
            for name, world in zip(names, worlds, strict=True)
            for violation in world.referee.violations
        ),
        gain=gain - luck,
        luck=luck,
        honest_parties=len(honest),
        honest_no_worse=sum(each >= 0 for each, _ in gains),
        honest_no_worse_but_fees=sum(each + fees >= 0 for each, fees in gains),
        tasks=sum(len(world.referee.fold.ended) for world in worlds),
        auctions=sum(world.referee.sales.ended for world in worlds),
        batches=sum(world.state.position for world in worlds),
        operations=sum(world.operations for world in worlds),
        view_changes=sum(world.view_changes for world in worlds),
    )


def list_honest(world: MarketWorld) -> list[str]:
    """Honest parties that took part: agents, and requesters that opened something."""
    return [
        party.name
        for party in world.parties.values()
        if party.is_honest
        and (party.trader is not None or party.opened or world.plan.has_business(party.name))
    ]


def run_market_seeds(
    first: int, count: int, jobs: int, on_done: Callable[[SeedVerdict], None]
) -> MarketReport:
    """Run `count` seeds on `jobs` processes; `on_done` hears of each, in order."""
    began = time.monotonic()
    results = []
    for result in map_in_processes(run_market_seed, range(first, first + count), jobs):
        results.append(result)
        on_done(result)
    return make_report(results, first, jobs, time.monotonic() - began)

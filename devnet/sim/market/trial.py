"""Runs seeds: a world in which everybody cheats, and an attack beside its honest twin."""

import random
import time
from collections.abc import Callable, Sequence

import msgspec

from crdt.facts import Verification
from devnet.sim.market.attacks import ATTACKS, KNOWN, ROLES, Attack
from devnet.sim.market.leaders import LEADERS
from devnet.sim.market.plan import (
    BUDGET_MIN,
    COST_SHARE_MAX,
    SCALES,
    SIZES,
    MarketPlan,
    draw_errands,
    draw_sales,
    draw_traders,
)
from devnet.sim.market.purse import compute_gain, count_fees
from devnet.sim.market.world import MarketWorld
from devnet.sim.run import FAILURES_SHOWN, map_in_processes
from protocols.genesis import Parameters

SPARES = 4
THINK_MS_MAX = 2_500
"""Longest that an honest agent takes over a bid: it arrives in time, even if the leader shows the
oldest time that it may."""
MODES: tuple[Verification, ...] = ("exact", "exact", "judged", "accepted")


def make_plan(seed: int, attack: str | None) -> MarketPlan:
    """The world of a seed: with one attack, or, without, a brawl of all kinds of cheats."""
    rng = random.Random(f"market/{seed}/{attack or ''}")
    n = rng.choice(SIZES)
    strangers, requesters = rng.randint(1, 3), ("r0", "r1")
    scale = rng.choice(SCALES)
    think_ms = rng.randint(0, THINK_MS_MAX) if attack is None else 0
    traders = draw_traders(rng, n, strangers, scale * BUDGET_MIN // COST_SHARE_MAX, think_ms)
    modes = ATTACKS[attack].modes if attack else MODES
    count = rng.randint(10, 20) if attack is None else rng.randint(10, 24)
    errands = draw_errands(rng, requesters, count, Parameters(), scale, modes)
    sells = attack is None or ATTACKS[attack].sells
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
        sales=draw_sales(rng, requesters, rng.randint(1, 3) if sells else 0),
        cheats=tuple(cheats),
        leaders=tuple(leaders.items()),
        attack=attack,
        is_even=attack is not None,
    )


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
        else:
            cheats.append("r0" if role == "requester" else next(spares))
    return [(name, attack.name) for name in cheats]


class SeedVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a seed: a brawl, and one attack beside its honest twin."""

    seed: int
    attack: str
    violations: tuple[str, ...]
    gain: int
    """What the coalition has more, or less, by attacking. What it did not pay for operations that
    it left out is no gain."""
    honest_parties: int
    honest_no_worse: int
    honest_no_worse_but_fees: int
    tasks: int
    batches: int
    operations: int
    view_changes: int

    @property
    def has_paid(self) -> bool:
        return self.gain > 0


class AttackVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """How an attack fared over all its seeds. Gains are credits, in the middle and at most."""

    name: str
    what: str
    tried: int
    paid: int
    is_known: bool
    """It pays, and docs/market-trial.md says why: not counted with the others."""
    gain_median: int
    gain_max: int
    best_seed: int


class MarketFailure(msgspec.Struct, frozen=True, kw_only=True):
    """A seed that broke an invariant, and how to see it again."""

    seed: int
    violations: tuple[str, ...]
    replay: str


class MarketReport(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of `econode sim market`."""

    seeds: int
    first_seed: int
    violations: int
    failures: tuple[MarketFailure, ...]
    attacks: int
    """Seeds' attacks, without those that are known to pay."""
    attacks_paid: int
    paid_ppm: int
    by_attack: tuple[AttackVerdict, ...]
    honest_parties: int
    honest_no_worse_ppm: int
    honest_no_worse_but_fees_ppm: int
    """The same when the fees of operations are left out of the account."""
    tasks: int
    batches: int
    operations: int
    view_changes: int
    seconds: float
    jobs: int
    bound_p_95: float
    """0 failures in N seeds: less than this, at 95 % (3/N)."""


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


def run_market_seed(seed: int) -> SeedVerdict:
    """A brawl, and this seed's attack with its twin; all three are judged."""
    attack = choose_attack(seed)
    brawl = MarketWorld(make_plan(seed, None)).run()
    twin, attacked, gain = run_pair(make_plan(seed, attack))
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
        gain=gain,
        honest_parties=len(honest),
        honest_no_worse=sum(each >= 0 for each, _ in gains),
        honest_no_worse_but_fees=sum(each + fees >= 0 for each, fees in gains),
        tasks=sum(len(world.referee.fold.ended) for world in worlds),
        batches=sum(world.state.position for world in worlds),
        operations=sum(world.operations for world in worlds),
        view_changes=sum(world.view_changes for world in worlds),
    )


def list_honest(world: MarketWorld) -> list[str]:
    """Honest parties that took part: agents, and requesters that opened something."""
    return [
        party.name
        for party in world.parties.values()
        if party.is_honest and (party.trader is not None or party.opened)
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


def make_report(
    results: Sequence[SeedVerdict], first: int, jobs: int, seconds: float
) -> MarketReport:
    failed = [result for result in results if result.violations]
    tried = [result for result in results if result.attack not in KNOWN]
    paid = sum(result.has_paid for result in tried)
    honest = max(1, sum(result.honest_parties for result in results))
    return MarketReport(
        seeds=len(results),
        first_seed=first,
        violations=len(failed),
        failures=tuple(
            MarketFailure(
                seed=result.seed,
                violations=result.violations,
                replay=f"econode sim market --replay {result.seed}",
            )
            for result in failed[:FAILURES_SHOWN]
        ),
        attacks=len(tried),
        attacks_paid=paid,
        paid_ppm=paid * 1_000_000 // max(1, len(tried)),
        by_attack=tuple(
            _describe_attack(name, results) for name in sorted(ATTACKS) if ATTACKS[name].is_tried
        ),
        honest_parties=honest,
        honest_no_worse_ppm=sum(r.honest_no_worse for r in results) * 1_000_000 // honest,
        honest_no_worse_but_fees_ppm=(
            sum(r.honest_no_worse_but_fees for r in results) * 1_000_000 // honest
        ),
        tasks=sum(result.tasks for result in results),
        batches=sum(result.batches for result in results),
        operations=sum(result.operations for result in results),
        view_changes=sum(result.view_changes for result in results),
        seconds=round(seconds, 3),
        jobs=jobs,
        bound_p_95=1.0 if failed else round(min(1.0, 3 / max(1, len(results))), 6),
    )


def _describe_attack(name: str, results: Sequence[SeedVerdict]) -> AttackVerdict:
    tried = sorted((r.gain, r.seed) for r in results if r.attack == name)
    best = tried[-1] if tried else (0, 0)
    return AttackVerdict(
        name=name,
        what=ATTACKS[name].what,
        tried=len(tried),
        paid=sum(gain > 0 for gain, _ in tried),
        is_known=name in KNOWN,
        gain_median=tried[len(tried) // 2][0] if tried else 0,
        gain_max=best[0],
        best_seed=best[1],
    )

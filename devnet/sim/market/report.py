"""What a trial found, over all its seeds: shares with their exact counts and bounds at 95 %."""

import math
from collections.abc import Sequence

import msgspec

from devnet.sim.market.attacks import ATTACKS, KNOWN
from devnet.sim.run import FAILURES_SHOWN

CONFIDENCE_Z = 1.645
"""One-sided, 95 %."""


class SeedVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a seed: a brawl, and one attack beside its honest twin."""

    seed: int
    attack: str
    violations: tuple[str, ...]
    gain: int
    """What the coalition has more, or less, by attacking. What it did not pay for operations that
    it left out is no gain, nor is `luck`."""
    luck: int
    """What more it earned by verifying, where its attack sets draws aside."""
    honest_parties: int
    honest_no_worse: int
    honest_no_worse_but_fees: int
    tasks: int
    auctions: int
    batches: int
    operations: int
    view_changes: int

    @property
    def has_paid(self) -> bool:
        return self.gain > 0

    @property
    def has_more(self) -> bool:
        """Whether it has more in any way, by draws, too."""
        return self.gain + self.luck > 0


class AttackVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """How an attack fared over all its seeds. Gains are credits, in the middle and at most."""

    name: str
    what: str
    tried: int
    paid: int
    """Seeds in which it gained."""
    counts: str
    """each: every seed counts. mean: chance decides a seed, so the mean of all counts. known: it
    pays, and docs/market-trial.md says why; not counted with the others."""
    gain_mean: float
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
    """Seeds whose attack counts by itself: it gained, or did not."""
    attacks_paid: int
    attacks_paid_with_draws: int
    """Those whose coalition has more if what it earned by verifying counts, too."""
    paid_ppm: int
    paid_ppm_max: int
    """The share is below this at 95 % (Clopper and Pearson)."""
    gambles: int
    """Attacks that are judged by the mean of their seeds."""
    gambles_paid: tuple[str, ...]
    """Those with a mean gain."""
    by_attack: tuple[AttackVerdict, ...]
    honest_parties: int
    honest_no_worse: int
    """Parties that ended with no less than they would have by staying out, fees and all."""
    honest_no_worse_ppm: int
    honest_no_worse_ppm_min: int
    """The share is above this at 95 %; the parties of a seed are taken as one draw."""
    honest_no_worse_but_fees: int
    honest_no_worse_but_fees_ppm: int
    """The same when the fees of operations are left out of the account."""
    tasks: int
    auctions: int
    batches: int
    operations: int
    view_changes: int
    seconds: float
    jobs: int
    bound_p_95: float
    """0 failures in N seeds: less than this, at 95 % (3/N)."""


def compute_share_max(found: int, tried: int) -> float:
    """The share that would show at most `found` of `tried` in 5 % of all cases (Clopper and
    Pearson 1934)."""
    if found >= tried:
        return 1.0
    low, high = found / tried, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _sum_binomial(found, tried, middle) > 0.05:
            low = middle
        else:
            high = middle
    return high


def _sum_binomial(most: int, tried: int, share: float) -> float:
    if share <= 0:
        return 1.0
    if share >= 1:
        return 0.0
    logs = (
        math.lgamma(tried + 1)
        - math.lgamma(k + 1)
        - math.lgamma(tried - k + 1)
        + k * math.log(share)
        + (tried - k) * math.log1p(-share)
        for k in range(most + 1)
    )
    return sum(math.exp(each) for each in logs)


def compute_share_min(results: Sequence[SeedVerdict]) -> float:
    """A lower bound of the share of honest parties that are no worse off: the parties of one world
    share its fate, so that worlds are drawn, not parties (ratio estimator)."""
    parties = sum(result.honest_parties for result in results)
    if not parties:
        return 0.0
    share = sum(result.honest_no_worse for result in results) / parties
    spread = sum((r.honest_no_worse - share * r.honest_parties) ** 2 for r in results)
    return max(0.0, share - CONFIDENCE_Z * math.sqrt(spread) / parties)


def make_report(
    results: Sequence[SeedVerdict], first: int, jobs: int, seconds: float
) -> MarketReport:
    failed = [result for result in results if result.violations]
    tried = [result for result in results if get_counting(result.attack) == "each"]
    paid = sum(result.has_paid for result in tried)
    honest = max(1, sum(result.honest_parties for result in results))
    no_worse = sum(r.honest_no_worse for r in results)
    but_fees = sum(r.honest_no_worse_but_fees for r in results)
    names = [name for name in sorted(ATTACKS) if ATTACKS[name].is_tried]
    by_attack = tuple(_describe_attack(name, results) for name in names)
    gambles = [each for each in by_attack if each.counts == "mean" and each.tried]
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
        attacks_paid_with_draws=sum(result.has_more for result in tried),
        paid_ppm=paid * 1_000_000 // max(1, len(tried)),
        paid_ppm_max=math.ceil(1_000_000 * compute_share_max(paid, len(tried))),
        gambles=len(gambles),
        gambles_paid=tuple(each.name for each in gambles if each.gain_mean > 0),
        by_attack=by_attack,
        honest_parties=honest,
        honest_no_worse=no_worse,
        honest_no_worse_ppm=no_worse * 1_000_000 // honest,
        honest_no_worse_ppm_min=int(1_000_000 * compute_share_min(results)),
        honest_no_worse_but_fees=but_fees,
        honest_no_worse_but_fees_ppm=but_fees * 1_000_000 // honest,
        tasks=sum(result.tasks for result in results),
        auctions=sum(result.auctions for result in results),
        batches=sum(result.batches for result in results),
        operations=sum(result.operations for result in results),
        view_changes=sum(result.view_changes for result in results),
        seconds=round(seconds, 3),
        jobs=jobs,
        bound_p_95=1.0 if failed else round(min(1.0, 3 / max(1, len(results))), 6),
    )


def get_counting(attack: str) -> str:
    """See `AttackVerdict.counts`."""
    if attack in KNOWN:
        return "known"
    return "mean" if ATTACKS[attack].is_by_chance else "each"


def _describe_attack(name: str, results: Sequence[SeedVerdict]) -> AttackVerdict:
    tried = sorted((r.gain, r.seed) for r in results if r.attack == name)
    best = tried[-1] if tried else (0, 0)
    return AttackVerdict(
        name=name,
        what=ATTACKS[name].what,
        tried=len(tried),
        paid=sum(gain > 0 for gain, _ in tried),
        counts=get_counting(name),
        gain_mean=round(sum(gain for gain, _ in tried) / max(1, len(tried)), 1),
        gain_median=tried[len(tried) // 2][0] if tried else 0,
        gain_max=best[0],
        best_seed=best[1],
    )

"""Judges posted prices, halts and bonus pools."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crdt.facts import (
    COMMON,
    AuctionOpened,
    Awarded,
    Fact,
    MarketHalted,
    MarketReopened,
    PoolOpened,
    PoolSplit,
    PricePosted,
    Settled,
    TaskEnded,
)
from devnet.sim.market.fold import MILLION, Breach, LogFold, list_flows

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld

PARTS = 30
"""Parts of the window; awards leave the mean a part at a time."""


@dataclass
class Stall:
    """The market of one capability. `awards`: (agreed time, price) since it opened, or reopened."""

    awards: list[tuple[int, int]] = field(default_factory=list)
    off_since_ms: int | None = None
    halted_until_ms: int | None = None
    due: tuple[int, int, int, int] | None = None
    """A halt that must be told next: price, total, awards, since when."""
    price: int | None = None


@dataclass
class Pool:
    requester: bytes
    amount: int
    open: set[bytes]
    winners: list[bytes] = field(default_factory=list)


class Halts:
    """The part of the referee that looks at markets and pools. Its methods raise Breach. It is
    asked before the fold takes a fact."""

    def __init__(self, world: "MarketWorld", fold: LogFold) -> None:
        self.world, self.fold = world, fold
        self.stalls: defaultdict[bytes, Stall] = defaultdict(Stall)
        self.pools: dict[bytes, Pool] = {}
        self._excellent: dict[bytes, bytes] = {}
        """Who did a task excellently."""

    def check(self, fact: Fact) -> None:
        match fact:
            case Awarded():
                self._watch(self.fold.jobs[fact.task].capability, fact.price)
            case MarketHalted():
                self._check_halt(fact)
            case MarketReopened():
                stall = self.stalls[fact.capability]
                until_ms = stall.halted_until_ms
                if until_ms is None or self.world.state.time_ms < until_ms:
                    raise Breach("A2 recomputed", "reopened too early")
                self.stalls[fact.capability] = Stall(price=stall.price)
            case AuctionOpened():
                if self.stalls[self.fold.jobs[fact.task].capability].halted_until_ms is not None:
                    raise Breach("A2 recomputed", "an auction opens while its market is halted")
            case PricePosted():
                self._check_price(fact)
            case PoolOpened():
                self._expect(fact, fact.requester, fact.amount)
                self.pools[fact.pool] = Pool(fact.requester, fact.amount, set(fact.tasks))
            case PoolSplit():
                self._check_split(fact)
            case Settled():
                if fact.grade == "excellent":
                    self._excellent[fact.task] = fact.executor
            case TaskEnded():
                self._end_task(fact)

    def finish(self) -> None:
        if self.pools or any(stall.due is not None for stall in self.stalls.values()):
            raise Breach("L5 nothing stays stuck", f"{len(self.pools)} pools, or a halt untold")

    # --- halts ---------------------------------------------------------------------------------

    def _watch(self, capability: bytes, price: int) -> None:
        """An award: is it off the mean of those before it?"""
        stall, rules, now_ms = self.stalls[capability], self.world.state.parameters, self._now()
        if stall.due is not None:
            raise Breach("A2 recomputed", "a market that should have halted goes on")
        if stall.halted_until_ms is not None:
            return
        part_ms = max(1, rules.halt_window_ms // PARTS)
        recent = [p for at_ms, p in stall.awards if at_ms // part_ms > now_ms // part_ms - PARTS]
        total, count = sum(recent), len(recent)
        distance = abs(price * count - total) * MILLION
        is_off = count >= rules.halt_awards_min and distance > rules.halt_deviation_ppm * total
        since_ms = stall.off_since_ms
        stall.off_since_ms = (now_ms if since_ms is None else since_ms) if is_off else None
        stall.awards.append((now_ms, price))
        since_ms = stall.off_since_ms
        if since_ms is not None and now_ms - since_ms >= rules.halt_after_ms and rules.halt_ms:
            stall.due = (price, total, count, since_ms)

    def _check_halt(self, fact: MarketHalted) -> None:
        stall = self.stalls[fact.capability]
        if (fact.price, fact.total, fact.awards, fact.since_ms) != stall.due:
            got = (fact.price, fact.total, fact.awards, fact.since_ms)
            raise Breach("A2 recomputed", f"a halt by {got}, {stall.due} is due")
        stall.due, stall.halted_until_ms = None, fact.deadline_ms
        if fact.deadline_ms != self._now() + self.world.state.parameters.halt_ms:
            raise Breach("A2 recomputed", "halted for another time")

    def _now(self) -> int:
        return self.world.state.time_ms

    # --- posted prices -------------------------------------------------------------------------

    def _check_price(self, fact: PricePosted) -> None:
        stall, rules = self.stalls[fact.capability], self.world.state.parameters
        former = stall.price
        stall.price = fact.price
        eligible = self.fold.list_eligible(rules.bond_min, COMMON)
        active = sum(key not in self.fold.paused for key in eligible)
        if fact.capacity != active * rules.awards_active_max:
            raise Breach("A2 recomputed", f"room for {fact.capacity} agreements")
        if not fact.intervals:
            return
        used = min(MILLION, fact.agreements * MILLION // fact.capacity)
        target = rules.price_target_ppm
        due = fact.former
        if used > target:
            due += max(due * (used - target) // target // 8, 1)
        else:
            due = max(1, due - due * (target - used) // target // 8)
        is_one = fact.intervals == 1
        if fact.former != former or (is_one and fact.price != due) or fact.price < 1:
            raise Breach("A2 recomputed", f"a price of {fact.price}, {due} is right")

    # --- pools ---------------------------------------------------------------------------------

    def _expect(self, fact: Fact, requester: bytes, escrow: int) -> None:
        got = list_flows(fact.moves).get((requester, "escrow"), 0)
        if got != escrow:
            raise Breach("A5 escrow ends once", f"a pool of {got}, {escrow} is right")

    def _end_task(self, fact: TaskEnded) -> None:
        winner = self._excellent.pop(fact.task, None)
        for pool in self.pools.values():
            if fact.task in pool.open:
                pool.open.remove(fact.task)
                if winner is not None and fact.outcome == "settled":
                    pool.winners.append(winner)

    def _check_split(self, fact: PoolSplit) -> None:
        """All tasks have ended; each excellent one earns the same share, the rest comes back."""
        pool = self.pools.pop(fact.pool)
        share = pool.amount // len(pool.winners) if pool.winners else 0
        if pool.open or (fact.share, sorted(fact.winners)) != (share, sorted(pool.winners)):
            raise Breach("A2 recomputed", f"a pool is split into {fact.share}, {share} is right")
        due = dict.fromkeys(((pool.requester, "escrow"),), -pool.amount)
        for winner in pool.winners:
            due[winner, "free"] = due.get((winner, "free"), 0) + share
        rest = pool.amount - share * len(pool.winners)
        due[pool.requester, "free"] = due.get((pool.requester, "free"), 0) + rest
        flows = list_flows(fact.moves)
        if flows != {place: amount for place, amount in due.items() if amount}:
            raise Breach("A5 escrow ends once", "a pool pays what is not due")

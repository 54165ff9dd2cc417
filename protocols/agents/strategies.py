"""Bidding strategies: `decide(view, rng)` says what an agent bids, or that it passes.

A strategy is pure: what it knows stands in the view, and chance comes from `rng`, which is seeded
by the agent's secret and the auction, so that a restarted agent decides the same again. Where a
seal is opened later by deciding once more (tasks), the view holds nothing that changes meanwhile.

Under the payment rules of `protocols/auction` no price earns more than the own cost or value in a
second-price, several-unit, VCG or call auction. Where winners pay what they said, honest prices
earn nothing; `truthful` shades there as is best against rivals whose values are spread evenly
between the limit and the best possible one (Vickrey 1961; Krishna, Auction Theory, 2.3):
of the distance from the limit to the own value or cost it gives away (n-1)/n with n bidders.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from crdt.facts_auctions import AuctionKind, BundleBid, Direction, Pricing
from protocols.economy.model import Duty
from protocols.genesis import PPM

KIB = 1024
RIVALS_UNKNOWN = 3
"""Rivals that are reckoned with where anybody may bid: the shading of four bidders."""
ONE_LOT = b"\x00"
"""The only lot of a task's round."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What running a capability costs its agent: credits per run and per KiB of input begun."""

    base: int
    per_kib: int = 0
    margin_ppm: int = 0


Costs = Mapping[bytes, Cost]
"""By capability id; an agent passes on what it has no cost for."""


@dataclass(frozen=True, slots=True)
class Worth:
    """What lots together are worth to the agent (forward) or cost it (reverse), in credits.
    `limit` is the least (forward) or the most (reverse) that counts as a bid for them."""

    lots: bytes
    amount: int
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What an agent sees of an auction when it decides.

    - `auction`: its id, or the task's.
    - `worth`: of several only one is won (XOR), except in a call, where each lot counts for itself.
    - `capability`, `input_bytes`: of a task; None and 0 in an auction of lots.
    - `cap`: forward, the most that a bid may name.
    - `rivals`: other bidders, where the auction lists who may bid.
    - `price`: english, what a bid must be now to stand; dutch, the price now.
    - `leads`: english, the standing bid is the agent's own.
    - `free`: own free credits; `posted`: the price posted for the capability. None where the
      decision must be found again later, and where there is none.
    """

    kind: AuctionKind
    direction: Direction
    worth: tuple[Worth, ...]
    auction: bytes = b""
    margin_ppm: int = 0
    capability: bytes | None = None
    input_bytes: int = 0
    pricing: Pricing = "vcg"
    cap: int = 0
    rivals: int | None = None
    price: int | None = None
    leads: bool = False
    free: int | None = None
    posted: int | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The bid: a price for each set of lots; none of them: pass. In a dutch auction it is the
    price that will be accepted when it comes; in an english one the next bid."""

    bundles: tuple[BundleBid, ...]


PASS = Decision(())


class Chance(Protocol):
    """What a strategy may draw from, and nothing else."""

    def randrange(self, stop: int, /) -> int: ...


class Strategy(Protocol):
    """How an agent bids. One that learns keeps what it learnt in itself; it must decide the same
    again for the same view and rng until a seal of that auction was opened."""

    def decide(self, view: View, rng: Chance) -> Decision: ...


class CostPlus:
    """Asks for the own cost plus the margin, offers the own value less the margin; in open
    auctions goes no further than that."""

    def decide(self, view: View, rng: Chance) -> Decision:
        return _bid(view, lambda worth: _add_margin(view, worth))


class Truthful:
    """The own cost or value where no other price earns more, else the shaded one; in an english
    auction by the increment, up to the own value or down to the own cost."""

    def decide(self, view: View, rng: Chance) -> Decision:
        if _pays_own_price(view):
            return _bid(view, lambda worth: _shade(view, worth))
        return _bid(view, lambda worth: worth.amount)


class Underbid:
    """Asks for the least there is, whatever the work costs: wins every reverse auction it can.
    Buys nothing."""

    def decide(self, view: View, rng: Chance) -> Decision:
        return PASS if view.direction == "forward" else _bid(view, lambda worth: 1)


cost_plus = CostPlus()
truthful = Truthful()
underbid = Underbid()
STRATEGIES: dict[str, Strategy] = {
    "cost_plus": cost_plus,
    "truthful": truthful,
    "underbid": underbid,
}


def view_duty(duty: Duty, cost: Cost) -> View:
    """A task's round as an agent sees it whose runs have that cost."""
    spent = cost.base + cost.per_kib * -(-duty.input_bytes // KIB)
    return View(
        kind="vickrey",
        direction="reverse",
        auction=duty.task,
        worth=(Worth(ONE_LOT, spent, duty.budget),),
        margin_ppm=cost.margin_ppm,
        capability=duty.capability,
        input_bytes=duty.input_bytes,
    )


class SeededChance:
    """Chance that is the same wherever the seed is: the SHA-256 of the seed and a counter."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._count = 0

    def randrange(self, stop: int, /) -> int:
        """An integer from 0 to `stop` - 1; `stop` is far below 2^256."""
        self._count += 1
        digest = hashlib.sha256(self._seed + self._count.to_bytes(8)).digest()
        return int.from_bytes(digest) % stop


def get_price(decision: Decision) -> int | None:
    """The price of a decision about one lot, None for a pass."""
    return decision.bundles[0].price if decision.bundles else None


def _add_margin(view: View, worth: Worth) -> int:
    margin = worth.amount * view.margin_ppm // PPM
    return worth.amount - margin if view.direction == "forward" else worth.amount + margin


def _pays_own_price(view: View) -> bool:
    own = view.kind in ("first_price", "dutch")
    return own or (view.kind == "combinatorial" and view.pricing == "pay_as_bid")


def _shade(view: View, worth: Worth) -> int:
    """The own value or cost moved a share of 1/n towards the limit, for the agent's good."""
    rivals = RIVALS_UNKNOWN if view.rivals is None else view.rivals
    distance = abs(worth.amount - worth.limit)
    kept = distance // (rivals + 1)
    return worth.amount - kept if view.direction == "forward" else worth.amount + kept


def _bid(view: View, choose: Callable[[Worth], int]) -> Decision:
    """The chosen prices, where they count as bids; in an english auction the next price, if the
    chosen one is as good for the agent."""
    bundles = []
    for worth in view.worth:
        price = max(choose(worth), 1)
        if view.direction == "forward":
            if view.cap:
                price = min(price, view.cap)
            if price < worth.limit:
                continue
        elif price > worth.limit:
            continue
        if view.kind == "english":
            following = view.price
            if following is None or view.leads or following < 1:
                continue
            too_far = following > price if view.direction == "forward" else following < price
            if too_far:
                continue
            price = following
        bundles.append(BundleBid(worth.lots, price))
    return Decision(tuple(bundles))

"""The call auction: many lots to many bidders at once, one lot to each bidder at most.

One assignment of largest gain (Kuhn 1955; shortest augmenting paths, Jonker and Volgenant 1987) and
all VCG payments from its dual prices: with unit demand they are the least prices at which everybody
prefers what it gets (Leonard 1983; Demange, Gale, Sotomayor 1986), that is, the least fixed point
of

    p[t'] >= p[t(a)] + w(a, t') - w(a, t(a))   and   p[t'] >= w(a, t') of bidders a without a lot

which is found from any dual prices as shortest distances, in lots squared times bidders. Gains are
those of `combinatorial/bids.py`; no lie pays and nobody loses, by the same argument.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocols.auction.combinatorial.bids import Direction, compute_gain, compute_multiplier
from protocols.auction.combinatorial.canonical import TIE_BITS, compute_tie
from protocols.auction.combinatorial.vcg import compute_price


@dataclass(frozen=True, slots=True)
class LotPrices:
    """What one bidder says: (lot, price) for each lot that it would take; one lot is enough."""

    bidder: bytes
    weight_ppm: int
    prices: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Assigned:
    """Bidder number `bidder` pays (forward) or is paid (reverse) `price` for `lot`."""

    bidder: int
    lot: int
    price: int


def assign(
    direction: Direction,
    limits: Sequence[int],
    bids: Sequence[LotPrices],
    seed: bytes,
    auction: bytes,
) -> list[Assigned]:
    """The assignment of largest gain with its payments, by lot; of several the one with the largest
    sum of ties. A lot whose offers are all below its limit goes to nobody."""
    shift = TIE_BITS + (min(len(limits), len(bids)) + 1).bit_length() + 1
    values = [[-1] * len(bids) for _ in limits]
    for a, bid in enumerate(bids):
        for lot, price in bid.prices:
            gain = compute_gain(direction, limits[lot], bid.weight_ppm, price)
            if gain >= 0:
                tie = compute_tie(seed, auction, bid.bidder, 1 << lot)
                values[lot][a] = (gain << shift) + tie
    winner_of, lot_costs, bidder_costs = _match(values)
    losses = _find_losses(values, winner_of, lot_costs, bidder_costs)
    found = []
    for lot, winner in enumerate(winner_of):
        if winner is not None:
            # Ties of two allocations differ by less than half of what a gain of 1 is.
            loss = losses[lot] + (1 << shift - 1) >> shift
            factor = compute_multiplier(direction, bids[winner].weight_ppm)
            found.append(Assigned(winner, lot, compute_price(direction, limits[lot], factor, loss)))
    return found


def _match(values: list[list[int]]) -> tuple[list[int | None], list[int], list[int]]:
    """The bidder of each lot, and dual costs (<= 0) of lots and bidders with
    lot + bidder <= -value, equal where they are matched and 0 where they are not."""
    lots, bidders = len(values), len(values[0]) if values else 0
    u, v = [0] * lots, [0] * (bidders + 1)
    holder: list[int | None] = [None] * (bidders + 1)  # the last place is where a path begins
    start = bidders
    for lot in range(lots):
        holder[start] = lot
        best = [1 << 200] * bidders
        way = [start] * bidders
        free = list(range(bidders))
        path = [start]
        leave_cost, leave_at = 1 << 200, start
        at = start
        while True:
            here = holder[at]
            if here is None:
                break
            row, base = values[here], u[here]
            if -base < leave_cost:
                leave_cost, leave_at = -base, at
            delta, nearest = leave_cost, -1
            for j in free:
                cost = -row[j] - base - v[j]
                if cost < best[j]:
                    best[j], way[j] = cost, at
                if best[j] < delta:
                    delta, nearest = best[j], j
            if delta:
                for j in path:
                    held = holder[j]
                    assert held is not None
                    u[held] += delta
                    v[j] -= delta
                for j in free:
                    best[j] -= delta
                leave_cost -= delta
            if nearest < 0:  # cheapest is that the lot here goes to nobody
                at = leave_at
                break
            free.remove(nearest)
            path.append(nearest)
            at = nearest
        while at != start:
            holder[at] = holder[way[at]]
            at = way[at]
    winner_of: list[int | None] = [None] * lots
    for a in range(bidders):
        held = holder[a]
        if held is not None:
            winner_of[held] = a
    return winner_of, u, v[:bidders]


def _find_losses(
    values: list[list[int]],
    winner_of: list[int | None],
    lot_costs: list[int],
    bidder_costs: list[int],
) -> list[int]:
    """The least dual price of each lot: what its winner's presence costs the others.

    A lot's price may fall from its dual one by d: to 0 at most, by no more than what makes a bidder
    without a lot want it, and by no more than d of another lot plus what keeps the winner of that
    from wanting this.
    """
    winners = {a for a in winner_of if a is not None}
    losers = [a for a in range(len(bidder_costs)) if a not in winners]
    falls = []
    for row, u in zip(values, lot_costs, strict=True):
        falls.append(min([-u, *(-row[a] - u - bidder_costs[a] for a in losers)]))
    open_lots = set(range(len(values)))
    while open_lots:
        lot = min(open_lots, key=lambda t: (falls[t], t))
        open_lots.remove(lot)
        a = winner_of[lot]
        if a is None:
            continue
        for other in open_lots:
            fall = falls[lot] - values[other][a] - lot_costs[other] - bidder_costs[a]
            falls[other] = min(falls[other], fall)
    return [-u - fall for u, fall in zip(lot_costs, falls, strict=True)]

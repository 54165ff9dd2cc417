"""Screens for foul play: pure functions on integers, each with the numbers behind its word.

A screen is a reason to look, never a verdict: it changes no payment and bans nobody. What is
honest and looks alike is said beside each. Bids are prices; "reverse" auctions are won by the
lowest, "forward" ones by the highest.

Sources: variance screens, Abrantes-Metz, Froeb, Geweke, Taylor 2006; relative distance and
coefficient of variation, Huber, Imhof 2019; bid rotation, Bajari, Summers 2002; shill score,
Trevathan, Read 2006; wash trading, Victor, Weintraud 2021.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

PPM = 1_000_000
BIDS_MIN = 3
"""Bids of an auction whose spread says anything."""
COVER_AUCTIONS_MIN = 12
"""Auctions of one winner at least, before their spreads say anything together."""
COVER_SHARE_PPM = 800_000
"""Share of them that must look like cover bids."""
ROTATION_WINDOWS_MIN = 12
ROTATION_SHARE_PPM = 900_000
SHILL_AUCTIONS_MIN = 5
SHILL_SCORE_PPM = 800_000
WASH_TRADES_MIN = 6
WASH_NET_PPM = 50_000
"""What is left of what went round in a component, per account, when it is suspicious."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The bids of one auction: their number, their sum, and the sum of their squares; the gap
    between the best two; the same sums of all but the best."""

    bids: int
    total: int
    squares: int
    gap: int
    losers: int
    losers_total: int
    losers_squares: int


def measure_spread(prices: Sequence[int], *, forward: bool = False) -> Spread:
    """Two prices at least."""
    ranked = sorted(prices, reverse=forward)
    losers = ranked[1:]
    return Spread(
        bids=len(ranked),
        total=sum(ranked),
        squares=sum(price * price for price in ranked),
        gap=abs(ranked[1] - ranked[0]),
        losers=len(losers),
        losers_total=sum(losers),
        losers_squares=sum(price * price for price in losers),
    )


def has_low_variation(spread: Spread) -> bool:
    """Standard deviation below 6 % of the mean: cover bids huddle above the agreed price. (So do
    honest bids of agents with nearly equal costs.)"""
    n, total = spread.bids, spread.total
    return 10_000 * n * (n * spread.squares - total * total) < 36 * (n - 1) * total * total


def has_relative_distance(spread: Spread) -> bool:
    """The best two bids are further apart than the losers' standard deviation."""
    m = spread.losers
    if m < 2:
        return False
    scatter = m * spread.losers_squares - spread.losers_total * spread.losers_total
    return spread.gap * spread.gap * m * (m - 1) > scatter


@dataclass(frozen=True, slots=True)
class CoverBids:
    """Of the `auctions` that one bidder won with three bids or more, `low_variation` and `distant`
    showed either sign, and `both` showed both."""

    auctions: int
    low_variation: int
    distant: int
    both: int

    @property
    def is_suspicious(self) -> bool:
        is_enough = self.auctions >= COVER_AUCTIONS_MIN
        return is_enough and self.both * PPM >= COVER_SHARE_PPM * self.auctions


def screen_cover_bids(spreads: Iterable[Spread]) -> CoverBids:
    """Screen the auctions that one bidder won."""
    counted = [spread for spread in spreads if spread.bids >= BIDS_MIN]
    low = [has_low_variation(spread) for spread in counted]
    distant = [has_relative_distance(spread) for spread in counted]
    both = sum(a and b for a, b in zip(low, distant, strict=True))
    return CoverBids(len(counted), sum(low), sum(distant), both)


@dataclass(frozen=True, slots=True)
class Rotation:
    """Of `windows` runs of as many auctions as there are `bidders`, `full` were won by each of
    them once."""

    bidders: int
    auctions: int
    windows: int
    full: int

    @property
    def is_suspicious(self) -> bool:
        """With two winners turns are likely enough by chance to ask for twice the windows."""
        needed = ROTATION_WINDOWS_MIN * (2 if self.bidders == 2 else 1)
        is_enough = self.windows >= needed
        return is_enough and self.full * PPM >= ROTATION_SHARE_PPM * self.windows


def screen_rotation(winners: Sequence[bytes]) -> Rotation:
    """Screen auctions with the same bidders, in their order, by who won. Taking turns is what a
    ring does to share its loot. (So do honest agents that are busy after each win.)"""
    size = len(set(winners))
    if size < 2:
        return Rotation(size, len(winners), 0, 0)
    starts = range(len(winners) - size + 1)
    full = sum(len(set(winners[i : i + size])) == size for i in starts)
    return Rotation(size, len(winners), len(starts), full)


@dataclass(frozen=True, slots=True)
class Shill:
    """One bidder in one seller's auctions. `others` are auctions of other sellers that it bid in,
    of `offered` that there were. Of its `bids`, `rebids` answered another bid, and `quick` of those
    at once and by no more than the increment."""

    auctions: int
    others: int
    offered: int
    won: int
    bids: int
    rebids: int
    quick: int

    @property
    def score_ppm(self) -> int:
        """The mean of three shares: this seller among all it bids with (0 where there is no other
        to choose), auctions lost, quick and least re-bids among its re-bids."""
        if not self.auctions:
            return 0
        loyal = self.auctions * PPM // (self.auctions + self.others) if self.offered else 0
        lost = (self.auctions - self.won) * PPM // self.auctions
        hasty = self.quick * PPM // self.rebids if self.rebids else 0
        return (loyal + lost + hasty) // 3

    @property
    def is_suspicious(self) -> bool:
        is_enough = self.auctions >= SHILL_AUCTIONS_MIN and self.rebids >= SHILL_AUCTIONS_MIN
        return is_enough and self.score_ppm >= SHILL_SCORE_PPM


@dataclass(frozen=True, slots=True)
class Wash:
    """Accounts that pay each other in circles: `trades` payments of `volume` among them, of which
    `net` stayed somewhere (the sum of what each account gained or lost); `outside` is what they
    were paid by, and paid to, others."""

    accounts: tuple[bytes, ...]
    trades: int
    volume: int
    net: int
    outside: int

    @property
    def is_suspicious(self) -> bool:
        """Credits went round and came back, and little else happened. (So do two honest agents
        that work for each other alone, for equal pay.)"""
        is_round = self.net * PPM <= WASH_NET_PPM * self.volume
        return self.trades >= WASH_TRADES_MIN and is_round and self.outside < self.volume


@dataclass(frozen=True, slots=True)
class Payments:
    """What one account paid to another: how often, and how much together."""

    count: int
    total: int


Edges = Mapping[tuple[bytes, bytes], Payments]
"""The payment graph: (payer, payee), never the same."""


def screen_wash_trading(edges: Edges) -> list[Wash]:
    """Each strongly connected component of two accounts or more, in ascending order."""
    components = find_components(edges)
    place = {account: i for i, component in enumerate(components) for account in component}
    trades, volume, outside = ([0] * len(components) for _ in range(3))
    gained = dict.fromkeys(place, 0)
    for (payer, payee), payments in edges.items():
        if payer in place and place[payer] == place.get(payee):
            trades[place[payer]] += payments.count
            volume[place[payer]] += payments.total
            gained[payer] -= payments.total
            gained[payee] += payments.total
            continue
        for account in (payer, payee):
            if account in place:
                outside[place[account]] += payments.total
    return [
        Wash(each, trades[i], volume[i], sum(abs(gained[key]) for key in each), outside[i])
        for i, each in enumerate(components)
    ]


def find_components(edges: Edges) -> list[tuple[bytes, ...]]:
    """Strongly connected components of two accounts or more, each ascending, in ascending order
    (Kosaraju, Sharir 1981; without recursion, in time linear in the edges)."""
    forward: dict[bytes, list[bytes]] = {}
    backward: dict[bytes, list[bytes]] = {}
    for payer, payee in sorted(edges):
        forward.setdefault(payer, []).append(payee)
        backward.setdefault(payee, []).append(payer)
    seen: set[bytes] = set()
    finished: list[bytes] = []
    for start in sorted({*forward, *backward}):
        _walk(start, forward, seen, finished)
    seen, found = set(), []
    for start in reversed(finished):
        component: list[bytes] = []
        _walk(start, backward, seen, component)
        if len(component) > 1:
            found.append(tuple(sorted(component)))
    return sorted(found)


def _walk(
    start: bytes, edges: Mapping[bytes, list[bytes]], seen: set[bytes], finished: list[bytes]
) -> None:
    """Append what is reached from `start` and was not seen before, each after what follows it."""
    if start in seen:
        return
    seen.add(start)
    path = [(start, iter(edges.get(start, ())))]
    while path:
        node, following = path[-1]
        nearest = next((each for each in following if each not in seen), None)
        if nearest is None:
            finished.append(node)
            path.pop()
        else:
            seen.add(nearest)
            path.append((nearest, iter(edges.get(nearest, ()))))

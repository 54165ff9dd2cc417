"""Posted prices and halts: what the market of each capability tells everybody.

A posted price moves once per interval towards balance: up when more than the target share of the
offering agents' room was in use, down when less, by an eighth at most (EIP-1559, Buterin et al.
2019). It binds nobody: it tells requesters what to expect and to budget.

A halt stops new auctions of a capability for a while, when awarded prices have left their mean:
what moved them may be a mistake, or somebody who moves them. Agreements in force go on.
"""

from collections import Counter
from typing import Final

from msgspec.structs import replace

from crdt.facts import COMMON, MarketHalted, MarketReopened, PricePosted
from protocols.economy.books import Books
from protocols.economy.market_model import Market, PriceBucket
from protocols.genesis import PPM

BUCKETS_MAX: Final = 30
"""Parts of the window that the mean is taken over; awards leave it a part at a time."""
INTERVALS_MAX: Final = 64
"""Missed intervals that move a price; so many bring any price down to its five-thousandth."""
STEP: Final = 8
"""A price moves by this part of itself at most."""


def compute_price(price: int, used_ppm: int, target_ppm: int) -> int:
    """The price after an interval in which `used_ppm` of all room was in use; 1 at least."""
    if used_ppm > target_ppm:
        return price + max(price * (used_ppm - target_ppm) // target_ppm // STEP, 1)
    return max(1, price - price * (target_ppm - used_ppm) // target_ppm // STEP)


def is_halted(books: Books, capability: bytes) -> bool:
    market = books.markets.get(capability)
    return market is not None and market.halted_until_ms is not None


def next_due_ms(books: Books) -> int | None:
    """When a halt ends or, while tasks are under way, a price moves."""
    due = []
    for market in books.markets.values():
        if market.halted_until_ms is not None:
            due.append(market.halted_until_ms)
        elif books.tasks:
            due.append((market.interval + 1) * books.parameters.price_interval_ms)
    return min(due, default=None)


def pass_time(books: Books) -> None:
    """End halts that are over and move the prices of intervals that are, capabilities ascending;
    forget markets that nobody offers to or asks anything of."""
    if not books.markets:
        return
    interval = books.time_ms // books.parameters.price_interval_ms
    in_force: Counter[bytes] | None = None
    for capability in sorted(books.markets):
        market = books.markets[capability]
        until_ms = market.halted_until_ms
        if until_ms is not None and books.time_ms >= until_ms:
            market = _reopen(books, market)
        if interval > market.interval:
            in_force = _count_agreements(books) if in_force is None else in_force
            _begin_interval(books, market, interval, in_force[capability])


def note_award(books: Books, capability: bytes, price: int) -> None:
    """An auction of the capability was awarded at `price`; halt its market if that is due."""
    market = books.markets.get(capability)
    if market is None:
        interval = books.time_ms // books.parameters.price_interval_ms
        market = Market(capability, price, interval, in_force=0)
        _post(books, market, market, agreements=1, intervals=0)
    market = replace(market, awarded=market.awarded + 1)
    if market.halted_until_ms is None:
        market = _watch(books, market, price)
    books.markets[capability] = market


# --- posted prices -----------------------------------------------------------------------------


def _begin_interval(books: Books, market: Market, interval: int, in_force: int) -> None:
    capability = market.capability
    is_offered = bool(books.list_eligible(capability, COMMON, None))
    if market.halted_until_ms is None:
        is_idle = not in_force and capability not in books.queue
        if is_idle and not is_offered:
            del books.markets[capability]
            return
        market = _move_price(books, market, interval - market.interval, in_force)
    books.markets[capability] = replace(market, interval=interval, in_force=in_force, awarded=0)


def _move_price(books: Books, market: Market, intervals: int, in_force: int) -> Market:
    """Move the price for the interval that was counted and for those that passed after it, when
    `in_force` agreements stood. While nobody offers there is no room, and no price moves."""
    capacity = _count_room(books, market.capability)
    if not capacity:
        return market
    agreements = market.in_force + market.awarded
    target_ppm = books.parameters.price_target_ppm
    price = compute_price(market.price, _compute_use(agreements, capacity), target_ppm)
    for _ in range(min(intervals - 1, INTERVALS_MAX)):
        price = compute_price(price, _compute_use(in_force, capacity), target_ppm)
    moved = replace(market, price=price)
    if price != market.price:
        _post(books, market, moved, agreements, intervals)
    return moved


def _post(books: Books, former: Market, market: Market, agreements: int, intervals: int) -> None:
    capacity = _count_room(books, market.capability)
    books.emit(
        PricePosted(
            capability=market.capability,
            price=market.price,
            former=former.price,
            agreements=agreements,
            capacity=capacity,
            utilisation_ppm=_compute_use(agreements, capacity),
            intervals=intervals,
        )
    )


def _compute_use(agreements: int, capacity: int) -> int:
    return min(PPM, agreements * PPM // capacity) if capacity else 0


def _count_room(books: Books, capability: bytes) -> int:
    """Agreements that the agents which may be invited can hold."""
    eligible = books.list_eligible(capability, COMMON, None)
    active = sum(not books.agents[key].paused for key in eligible)
    return active * books.parameters.awards_active_max


def _count_agreements(books: Books) -> Counter[bytes]:
    """Agreements in force by capability."""
    return Counter(task.capability for task in books.tasks.values() if task.executor is not None)


# --- halts -------------------------------------------------------------------------------------


def _watch(books: Books, market: Market, price: int) -> Market:
    """Compare an awarded price with the mean of those before it, then count it too."""
    rules = books.parameters
    index = books.time_ms // max(1, rules.halt_window_ms // BUCKETS_MAX)
    buckets = [bucket for bucket in market.buckets if bucket.index > index - BUCKETS_MAX]
    total = sum(bucket.total for bucket in buckets)
    awards = sum(bucket.awards for bucket in buckets)
    off_ms = None
    is_off = abs(price * awards - total) * PPM > rules.halt_deviation_ppm * total
    if awards >= rules.halt_awards_min and is_off:
        off_ms = books.time_ms if market.off_since_ms is None else market.off_since_ms
    if off_ms is not None and books.time_ms - off_ms >= rules.halt_after_ms and rules.halt_ms:
        return _halt(books, market, price, total, awards, off_ms)
    if buckets and buckets[-1].index == index:
        last = buckets.pop()
        bucket = PriceBucket(index, last.total + price, last.awards + 1)
    else:
        bucket = PriceBucket(index, price, 1)
    return replace(market, buckets=(*buckets, bucket), off_since_ms=off_ms)


def _halt(
    books: Books, market: Market, price: int, total: int, awards: int, since_ms: int
) -> Market:
    until_ms = books.time_ms + books.parameters.halt_ms
    books.emit(
        MarketHalted(
            capability=market.capability,
            price=price,
            total=total,
            awards=awards,
            since_ms=since_ms,
            deadline_ms=until_ms,
        )
    )
    return replace(market, halted_until_ms=until_ms)


def _reopen(books: Books, market: Market) -> Market:
    """Open the market again; the mean begins anew, with the prices of the call."""
    waiting = len(books.queue.get(market.capability, ()))
    books.emit(MarketReopened(capability=market.capability, tasks=waiting))
    market = replace(market, buckets=(), off_since_ms=None, halted_until_ms=None)
    books.markets[market.capability] = market
    return market

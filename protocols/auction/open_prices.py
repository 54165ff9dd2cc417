"""Price rules of the open auctions, on integers.

Both know reputation as the sealed ones do: forward a bid counts as price times weight, reverse as
price over weight. Whoever wins pays (is paid) its own bid, or the price it accepted: no bid above
the value (below the cost) is ever needed, so nobody loses. Truth is not dominant in the dutch one;
in the english one it pays to go on up to one's value and no further (up to the increment).
"""

from crdt.facts_auctions import AuctionTerms

PPM = 1_000_000


def beats(terms: AuctionTerms, price: int, weight_ppm: int, standing: tuple[int, int]) -> bool:
    """True when a bid in an english auction replaces the `standing` (price, weight in ppm): it is
    better by the increment at equal weights."""
    other, other_ppm = standing
    if terms.direction == "forward":
        return price * weight_ppm >= (other + terms.increment) * other_ppm
    return price * other_ppm <= (other - terms.increment) * weight_ppm


def is_within(terms: AuctionTerms, price: int) -> bool:
    """True for a price that an english auction of these terms may end at."""
    limit = terms.lots[0].limit
    if terms.direction == "forward":
        return limit <= price <= terms.cap
    return price <= limit


def compute_end(terms: AuctionTerms, opened_ms: int, end_ms: int, now_ms: int) -> int:
    """The end of an english auction after a bid at `now_ms`: soft close, until the hard cap. A bid
    beyond that cap, while members still say what they hold, moves it no more."""
    hard_ms = opened_ms + terms.bid_ms + terms.extend_ms_max
    moved_ms = min(now_ms + terms.extend_ms, hard_ms)
    return max(end_ms, moved_ms) if moved_ms > now_ms else end_ms


def compute_clock(terms: AuctionTerms, elapsed_ms: int) -> int:
    """The price of a dutch auction `elapsed_ms` after it was opened: it moves by `step` every
    `step_ms`, down to the reserve (forward) or up to the budget (reverse)."""
    moved = terms.step * (max(0, elapsed_ms) // terms.step_ms)
    limit = terms.lots[0].limit
    if terms.direction == "forward":
        return max(limit, 1, terms.start - moved)
    return min(limit, terms.start + moved)


def compute_dutch_price(terms: AuctionTerms, elapsed_ms: int, weight_ppm: int) -> int:
    """What somebody of this weight pays (is paid) who accepts now: the clock's price at full
    weight, a little more (less) below it."""
    clock = compute_clock(terms, elapsed_ms)
    if terms.direction == "forward":
        return min(terms.cap, -(-clock * PPM // weight_ppm))
    return max(1, clock * weight_ppm // PPM)

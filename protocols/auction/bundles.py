"""The one form of a bid for every kind of auction: prices for bundles of lots, of which the
bidder wins one at most (XOR, Nisan 2006)."""

from collections.abc import Sequence

from crdt.facts_auctions import AuctionTerms, BundleBid


def find_fault(terms: AuctionTerms, bundles: Sequence[BundleBid], bundles_max: int) -> str | None:
    """Why these bundles are no bid in an auction of these terms, in one word; None when they are.

    A price beyond the reserve or the budget is no fault: such a bid just does not count.
    """
    count = len(terms.lots)
    for bundle in bundles:
        lots = bundle.lots
        if list(lots) != sorted(set(lots)) or lots[-1] >= count:
            return "unknown_lots"
        if terms.direction == "forward" and bundle.price > terms.cap:
            return "above_cap"
    if len({bundle.lots for bundle in bundles}) < len(bundles):
        return "duplicate_bundle"
    if terms.kind == "combinatorial":
        return "too_many_bundles" if len(bundles) > bundles_max else None
    if any(len(bundle.lots) > 1 for bundle in bundles):
        return "one_lot_each"
    return None


def make_single(price: int) -> tuple[BundleBid, ...]:
    """The bid for the only lot."""
    return (BundleBid(b"\0", price),)

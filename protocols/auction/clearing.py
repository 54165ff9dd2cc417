"""From the bids of an auction to its outcome, for every kind: a pure function of what the result
fact holds."""

from collections.abc import Callable

from crdt.facts_auctions import AuctionAward, AuctionKind
from protocols.auction import mechanisms
from protocols.auction.clearing_contest import Contest as Contest
from protocols.auction.clearing_contest import NeedsSolution as NeedsSolution
from protocols.auction.clearing_contest import Outcome as Outcome
from protocols.auction.clearing_lots import clear_combinatorial
from protocols.auction.open_prices import compute_dutch_price

ONE_LOT = b"\0"


def clear(contest: Contest) -> Outcome | NeedsSolution:
    """The outcome of an auction whose bids are all in."""
    return _RULES[contest.terms.kind](contest)


def _clear_one_lot(contest: Contest) -> Outcome:
    terms = contest.terms
    bids = [
        mechanisms.Bid(bid.bidder, bid.bundles[0].price, bid.weight_ppm) for bid in contest.bids
    ]
    first = terms.kind == "first_price"
    rules = mechanisms.FIRST_PRICE if first else mechanisms.SECOND_PRICE
    found = rules[terms.direction](
        bids, terms.lots[0].limit, contest.seed, contest.auction, terms.units
    )
    return Outcome(tuple(AuctionAward(each.bidder, ONE_LOT, each.price) for each in found))


def _clear_open(contest: Contest) -> Outcome:
    """The last bid stands, or the one acceptance; the winner pays (is paid) it."""
    if not contest.bids:
        return Outcome()
    last = contest.bids[-1]
    price = last.bundles[0].price
    if contest.terms.kind == "dutch":
        elapsed_ms = last.time_ms - contest.opened_ms
        price = compute_dutch_price(contest.terms, elapsed_ms, last.weight_ppm)
    return Outcome((AuctionAward(last.bidder, ONE_LOT, price),))


_RULES: dict[AuctionKind, Callable[[Contest], Outcome | NeedsSolution]] = {
    "first_price": _clear_one_lot,
    "vickrey": _clear_one_lot,
    "multi_unit": _clear_one_lot,
    "english": _clear_open,
    "dutch": _clear_open,
    "combinatorial": clear_combinatorial,
}


def has_rule(kind: AuctionKind) -> bool:
    """True for kinds whose outcome `clear` can find."""
    return kind in _RULES

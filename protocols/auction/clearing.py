"""From the bids of an auction to its outcome, for every kind: a pure function of what the result
fact holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crdt.facts_auctions import AuctionAward, AuctionBid, AuctionKind, AuctionTerms
from protocols.auction import mechanisms, several_lots
from protocols.auction.open_prices import compute_dutch_price

ONE_LOT = b"\0"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Awards in the order of rank, then of lots. `gap_ppm` is 0 where they are proven the best."""

    awards: tuple[AuctionAward, ...] = ()
    gap_ppm: int = 0


@dataclass(frozen=True, slots=True)
class NeedsSolution:
    """The best set of bundles was not found within the limit: `found` is the best so far."""

    found: Outcome


@dataclass(frozen=True, slots=True)
class Contest:
    """What an outcome follows from. `bids` are those that were opened (sealed kinds, ascending by
    bidder), or the last of each bidder with the standing one at the end (english), or the
    acceptance (dutch)."""

    auction: bytes
    terms: AuctionTerms
    opened_ms: int
    bids: Sequence[AuctionBid]
    seed: bytes


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


def _clear_call(contest: Contest) -> Outcome:
    terms = contest.terms
    return Outcome(several_lots.assign_lots(terms, contest.bids, contest.seed, contest.auction))


def _clear_bundles(contest: Contest) -> Outcome | NeedsSolution:
    place = (contest.seed, contest.auction)
    awards, gap_ppm = several_lots.resolve(contest.terms, contest.bids, place)
    outcome = Outcome(awards, gap_ppm)
    return NeedsSolution(outcome) if gap_ppm else outcome


_RULES: dict[AuctionKind, Callable[[Contest], Outcome | NeedsSolution]] = {
    "first_price": _clear_one_lot,
    "vickrey": _clear_one_lot,
    "multi_unit": _clear_one_lot,
    "english": _clear_open,
    "dutch": _clear_open,
    "combinatorial": _clear_bundles,
    "call": _clear_call,
}


def has_rule(kind: AuctionKind) -> bool:
    """True for kinds whose outcome `clear` can find."""
    return kind in _RULES

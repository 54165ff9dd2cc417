"""Does the outcome of an auction follow from its inputs? Everything stands in one fact.

A verifier needs no state and no other fact: it checks the form of the inputs as ordered code did
when it took them, computes winners and payments again and compares. What it cannot see from there
is told by the log: that every weight is the bidder's (`Snapshot`), and that nobody was left out
(a quorum's certificate says so).
"""

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from crdt.facts import Awarded
from crdt.facts_auctions import BUNDLES_MAX, AuctionBid, AuctionEnded
from identity.errors import EconodeError
from protocols.auction import bundles, mechanisms, open_prices
from protocols.auction.clearing import Contest, NeedsSolution, Outcome, clear, has_rule
from protocols.genesis import PPM


class InvalidResult(EconodeError):
    """A result that does not follow from its inputs; the message says what is wrong."""


def verify_auction(fact: AuctionEnded) -> Outcome:
    """The outcome of a general auction, computed again. Raises InvalidResult unless it is what
    the fact says."""
    terms = fact.terms
    if not has_rule(terms.kind):
        raise InvalidResult(f"there is no rule for {terms.kind}")
    bidders = [bid.bidder for bid in fact.bids]
    if len(set(bidders)) < len(bidders) or fact.opener in bidders:
        raise InvalidResult("somebody bid twice, or in its own auction")
    if set(fact.silent) & set(bidders):
        raise InvalidResult("a bidder that opened its bid is among the silent")
    if terms.bidders and not {*bidders, *fact.silent} <= set(terms.bidders):
        raise InvalidResult("a bidder is not on the list")
    for bid in fact.bids:
        if not bid.bundles or not 1 <= bid.weight_ppm <= PPM:
            raise InvalidResult("a bid without a price or a weight")
        fault = bundles.find_fault(terms, bid.bundles, BUNDLES_MAX)
        if fault is not None:
            raise InvalidResult(f"a bid that nobody could open: {fault}")
    _check_open_bids(fact)
    contest = Contest(fact.auction, terms, fact.opened_ms, fact.bids, fact.seed)
    outcome = clear(contest)
    if isinstance(outcome, NeedsSolution):
        outcome = outcome.found
    if outcome != Outcome(fact.awards, fact.gap_ppm):
        raise InvalidResult("other winners or payments follow from these bids")
    if terms.kind == "dutch" and outcome.awards and fact.bids != _name_price(fact, outcome):
        raise InvalidResult("the price at that time was another one")
    return outcome


def verify_award(fact: Awarded) -> mechanisms.Award:
    """The award of a task's round, computed again. Raises InvalidResult unless it is what the
    fact says."""
    bids = [mechanisms.Bid(bid.bidder, bid.price, bid.weight_ppm) for bid in fact.bids]
    if len({bid.bidder for bid in bids}) < len(bids) or not all(
        1 <= bid.weight_ppm <= PPM for bid in bids
    ):
        raise InvalidResult("a bid without a weight, or somebody bid twice")
    result = mechanisms.award_reverse(bids, fact.budget, fact.seed, fact.task)
    if result != [mechanisms.Award(fact.winner, fact.price)]:
        raise InvalidResult("another winner or payment follows from these bids")
    if fact.bid not in [bid.price for bid in fact.bids if bid.bidder == fact.winner]:
        raise InvalidResult("the winner's bid is another one")
    return result[0]


def _name_price(fact: AuctionEnded, outcome: Outcome) -> tuple[AuctionBid, ...]:
    """The acceptance of a dutch auction as the clock gives it."""
    single = bundles.make_single(outcome.awards[0].price)
    return (msgspec.structs.replace(fact.bids[0], bundles=single),)


def _check_open_bids(fact: AuctionEnded) -> None:
    terms, bids = fact.terms, fact.bids
    if terms.kind == "dutch" and len(bids) > 1:
        raise InvalidResult("a dutch auction ends with the first acceptance")
    if terms.kind == "english":
        for bid in bids:
            if not open_prices.is_within(terms, bid.bundles[0].price):
                raise InvalidResult("an open bid beyond the limits")
        _check_rising(fact, bids)
    elif terms.kind != "dutch" and bids != tuple(sorted(bids, key=lambda bid: bid.bidder)):
        raise InvalidResult("sealed bids stand in the order of their bidders")


def _check_rising(fact: AuctionEnded, bids: Sequence[AuctionBid]) -> None:
    """Each open bid beats the one before it."""
    for before, bid in pairwise(bids):
        standing = (before.bundles[0].price, before.weight_ppm)
        price = bid.bundles[0].price
        is_later = bid.time_ms >= before.time_ms
        if not (is_later and open_prices.beats(fact.terms, price, bid.weight_ppm, standing)):
            raise InvalidResult("an open bid that did not beat the one before it")

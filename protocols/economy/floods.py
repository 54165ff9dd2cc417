"""Bid floods: how often a bidder may bid in general auctions.

A token bucket per bidder in one integer (the generic cell rate algorithm, ITU-T I.371): the agreed
time until which its allowance is used up. Each bid moves it on by `bid_interval_ms`, and it may be
`bid_burst` bids ahead of the present. Where bidders are invited or listed and speak once, as for
tasks, none of this is needed.
"""

from protocols.economy.books import Books
from protocols.economy.model import Refused


def take_bid(books: Books, bidder: bytes) -> None:
    """Count a bid that is about to be made. Raises Refused: `bid_flood`."""
    rules = books.parameters
    used_ms = max(books.bidders.get(bidder, 0), books.time_ms) + rules.bid_interval_ms
    if used_ms - books.time_ms > rules.bid_burst * rules.bid_interval_ms:
        raise Refused("bid_flood")
    books.bidders[bidder] = used_ms


def forget_idle(books: Books) -> None:
    """Forget bidders whose allowance is whole again: at most those of the last
    `bid_burst * bid_interval_ms` remain."""
    for bidder in [key for key, used_ms in books.bidders.items() if used_ms <= books.time_ms]:
        del books.bidders[bidder]

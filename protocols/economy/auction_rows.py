"""The ledger's rows of general auctions under way, made from the state instead of from the facts.

Whoever starts from a state has not seen the facts before it: an english auction counts the bids
that the state still holds, and agreements that have ended are not among the winners.
"""

from crdt.auctions import AuctionRow
from protocols.economy.auction_bids import get_standing
from protocols.economy.auction_model import Auction

_STATES = {
    "auction_commit": "bidding",
    "auction_bid": "bidding",
    "auction_accept": "bidding",
    "auction_reveal": "revealing",
    "auction_solution": "revealing",
}
"""In every later phase it is delivered."""


def make_auction_row(auction: Auction) -> AuctionRow:
    """The row of an auction between two batches."""
    standing = get_standing(auction)
    price = standing.bundles[0].price if standing else None
    awards = [each.award for _, each in sorted(auction.agreements.items())]
    if awards:
        price = sum(award.price for award in awards)
    sealed = sum(bid.commitment is not None for bid in auction.bids.values())
    return AuctionRow(
        auction=auction.id,
        opener=auction.opener,
        kind=auction.terms.kind,
        direction=auction.terms.direction,
        title=auction.terms.lots[0].name,
        lots=len(auction.terms.lots),
        state=_STATES.get(auction.stage, "delivering"),
        bids=max(sealed + len(auction.placed), len(awards)),
        price=price,
        winners=b"".join(award.winner for award in awards),
        pending=len(awards),
        opened_ms=auction.opened_ms,
        deadline_ms=auction.stage_deadline_ms,
        ended_ms=None,
    )

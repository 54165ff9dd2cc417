"""What others may read of general auctions: views, and what somebody should submit now."""

from protocols.auction.open_prices import compute_dutch_price
from protocols.economy.auction_bids import get_standing
from protocols.economy.auction_model import (
    Auction,
    AuctionDuty,
    AuctionDutyKind,
    AuctionView,
)
from protocols.economy.books import Books
from protocols.genesis import PPM

_DUTIES: dict[str, AuctionDutyKind] = {
    "auction_commit": "bid",
    "auction_reveal": "reveal",
    "auction_delivery": "deliver",
    "auction_acceptance": "accept",
}


def view_auction(books: Books, auction: Auction) -> AuctionView:
    terms, standing = auction.terms, get_standing(auction)
    price = standing.bundles[0].price if standing else None
    if auction.stage == "auction_accept":
        price = compute_dutch_price(terms, books.time_ms - auction.opened_ms, PPM)
    return AuctionView(
        auction=auction.id,
        opener=auction.opener,
        terms=terms,
        opened_ms=auction.opened_ms,
        stage=auction.stage,
        stage_deadline_ms=auction.stage_deadline_ms,
        overdue=auction.overdue,
        waiting=tuple(auction.waiting),
        bidders=(*auction.bids, *auction.placed),
        standing=standing.bidder if standing else None,
        price=price,
        agreements=tuple(each for _, each in sorted(auction.agreements.items())),
    )


def list_auction_duties(books: Books, me: bytes) -> list[AuctionDuty]:
    """What `me` is asked for, in the order the auctions were opened. It follows from the state
    alone. In an auction that lists nobody, nobody is asked to bid: look at the views."""
    duties = [
        _make_duty(staged, _DUTIES[staged.stage], me)
        for staged in books.list_todo(me)
        if isinstance(staged, Auction) and staged.stage in _DUTIES
    ]
    if books.committee.is_member(me):
        duties += [
            _make_duty(staged, "inventory", me)
            for staged in books.list_overdue()
            if isinstance(staged, Auction) and me not in staged.inventories
        ]
    return duties


def _make_duty(auction: Auction, kind: AuctionDutyKind, me: bytes) -> AuctionDuty:
    return AuctionDuty(
        kind=kind,
        auction=auction.id,
        phase=auction.stage,
        deadline_ms=auction.stage_deadline_ms,
        commitment=auction.bids[me].commitment if kind == "reveal" else None,
    )

"""What others may read of general auctions: views, and what somebody should submit now."""

from protocols.auction.open_prices import compute_dutch_price, compute_next_bid, is_within
from protocols.economy.auction_bids import get_standing
from protocols.economy.auction_model import (
    Auction,
    AuctionDuty,
    AuctionDutyKind,
    AuctionView,
    SolutionWanted,
    list_opened,
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


def quote_price(books: Books, auction: Auction, bidder: bytes, now_ms: int) -> int | None:
    """What `bidder` must bid in an english auction for its bid to stand, or what it pays (is paid)
    if it accepts the price of a dutch one at the agreed time `now_ms`. None in others, and where
    no further bid can stand."""
    terms = auction.terms
    weight_ppm = auction.weights.get(bidder) or books.reputation.weight_ppm(bidder)
    if auction.stage == "auction_accept":
        return compute_dutch_price(terms, now_ms - auction.opened_ms, weight_ppm)
    if auction.stage != "auction_bid":
        return None
    standing = get_standing(auction)
    price = max(1, terms.lots[0].limit)
    if standing is not None:
        price = compute_next_bid(
            terms, weight_ppm, (standing.bundles[0].price, standing.weight_ppm)
        )
    return price if price > 0 and is_within(terms, price) else None


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


def list_solutions_wanted(books: Books, me: bytes) -> list[SolutionWanted]:
    """Auctions that wait for better winners, and would take a word of `me`."""
    return [
        SolutionWanted(
            auction=auction.id,
            seed=auction.seed,
            terms=auction.terms,
            bids=list_opened(auction),
            winners=auction.solution,
            proof=auction.proof,
            deadline_ms=auction.stage_deadline_ms,
        )
        for auction in books.general_auctions.values()
        if auction.stage == "auction_solution" and auction.may_speak(me)
    ]


def _make_duty(auction: Auction, kind: AuctionDutyKind, me: bytes) -> AuctionDuty:
    return AuctionDuty(
        kind=kind,
        auction=auction.id,
        phase=auction.stage,
        deadline_ms=auction.stage_deadline_ms,
        commitment=auction.bids[me].commitment if kind == "reveal" else None,
    )

"""What bidders say: sealed bids and their opening, open bids, the acceptance of a price."""

from crdt.facts_auctions import (
    AuctionBid,
    AuctionBidCommitted,
    AuctionBidRevealed,
    AuctionBidsClosed,
    BidPlaced,
)
from protocols.auction import bundles, open_prices
from protocols.auction.commit_reveal import compute_auction_commitment
from protocols.economy.auction_model import Auction, SealedBid
from protocols.economy.auction_results import end_auction, end_sealed
from protocols.economy.auction_terms import (
    SEALED_KINDS,
    compute_bid_deposit,
    count_bidders_max,
)
from protocols.economy.auctions import check_bidder, enter_phase, extend_phase
from protocols.economy.books import Books, Part, compute_moves
from protocols.economy.model import Refused
from protocols.economy.operations_auctions import (
    AcceptPrice,
    CommitAuctionBid,
    PlaceBid,
    RevealAuctionBid,
)


def commit(books: Books, auction: Auction, signer: bytes, item: CommitAuctionBid) -> None:
    """Take a sealed bid with its deposit, or a pass. Raises Refused."""
    if auction.stage != "auction_commit":
        raise Refused("too_late" if auction.terms.kind in SEALED_KINDS else "not_sealed")
    weight_ppm = check_bidder(books, auction, signer)
    if signer in auction.bids:
        raise Refused("already_bid")
    if item.commitment is None and not auction.terms.bidders:
        raise Refused("not_asked")
    if len(auction.bids) >= count_bidders_max(books.parameters, auction.terms):
        raise Refused("too_many_bidders")
    deposit = 0
    if item.commitment is not None:
        deposit = compute_bid_deposit(books.parameters, auction.terms)
    books.require_free(signer, deposit)
    auction.bids[signer] = SealedBid(weight_ppm, item.commitment)
    books.emit(
        AuctionBidCommitted(
            auction=auction.id,
            bidder=signer,
            weight_ppm=weight_ppm,
            commitment=item.commitment,
            moves=compute_moves((signer, "free", signer, "locked", deposit)),
        )
    )
    books.hear(auction, signer)


def close_commits(books: Books, auction: Auction) -> None:
    """No further bid counts: from here on they are opened."""
    sealed = [key for key, bid in auction.bids.items() if bid.commitment is not None]
    auction.seed = books.seed
    if not sealed:
        end_sealed(books, auction)
        return
    enter_phase(books, auction, "auction_reveal", sealed, auction.terms.reveal_ms)
    books.emit(
        AuctionBidsClosed(
            auction=auction.id, seed=auction.seed, deadline_ms=auction.stage_deadline_ms
        )
    )


def reveal(books: Books, auction: Auction, signer: bytes, item: RevealAuctionBid) -> None:
    """Open a sealed bid. Raises Refused."""
    if auction.stage != "auction_reveal":
        raise Refused("too_early" if auction.stage == "auction_commit" else "too_late")
    if signer not in auction.waiting:
        raise Refused("nothing_to_reveal")
    bid, place = auction.bids[signer], books.committee
    priced = [(bundle.lots, bundle.price) for bundle in item.bundles]
    seal = compute_auction_commitment(
        place.network, place.id, auction.id, signer, priced, item.salt
    )
    if seal != bid.commitment:
        raise Refused("commitment_mismatch")
    fault = bundles.find_fault(auction.terms, item.bundles, books.parameters.auction_bundles_max)
    if fault is not None:
        raise Refused(fault)
    bid.bundles = item.bundles
    books.emit(AuctionBidRevealed(auction=auction.id, bidder=signer, bundles=item.bundles))
    books.hear(auction, signer)


def place_bid(books: Books, auction: Auction, signer: bytes, item: PlaceBid) -> None:
    """Take an open bid that beats the standing one, whose bidder is free again. Raises Refused."""
    terms = auction.terms
    if auction.stage != "auction_bid":
        raise Refused("too_late" if terms.kind == "english" else "not_english")
    weight_ppm = check_bidder(books, auction, signer)
    if not open_prices.is_within(terms, item.price):
        raise Refused("price_out_of_range")
    standing = get_standing(auction)
    moves: list[Part] = []
    if standing is not None:
        if standing.bidder == signer:
            raise Refused("already_best")
        price = standing.bundles[0].price
        if not open_prices.beats(terms, item.price, weight_ppm, (price, standing.weight_ppm)):
            raise Refused("bid_too_small")
        freed = compute_open_deposit(books, auction, price)
        moves.append((standing.bidder, "locked", standing.bidder, "free", freed))
    deposit = compute_open_deposit(books, auction, item.price)
    books.require_free(signer, deposit)
    auction.placed.pop(signer, None)
    if len(auction.placed) >= books.parameters.auction_bidders_max:
        del auction.placed[next(iter(auction.placed))]  # the worst: it can never win any more
    single = bundles.make_single(item.price)
    auction.placed[signer] = AuctionBid(signer, weight_ppm, single, books.time_ms)
    end_ms = open_prices.compute_end(
        terms, auction.opened_ms, auction.stage_deadline_ms, books.time_ms
    )
    extend_phase(books, auction, end_ms)
    books.emit(
        BidPlaced(
            auction=auction.id,
            bidder=signer,
            weight_ppm=weight_ppm,
            price=item.price,
            deadline_ms=end_ms,
            moves=compute_moves(*moves, (signer, "free", signer, "locked", deposit)),
        )
    )


def accept_price(books: Books, auction: Auction, signer: bytes, item: AcceptPrice) -> None:
    """Take the price of a dutch auction as it is at the time of this batch. Raises Refused."""
    terms = auction.terms
    if auction.stage != "auction_accept":
        raise Refused("too_late" if terms.kind == "dutch" else "not_dutch")
    weight_ppm = check_bidder(books, auction, signer)
    elapsed_ms = books.time_ms - auction.opened_ms
    price = open_prices.compute_dutch_price(terms, elapsed_ms, weight_ppm)
    worse = price > item.limit if terms.direction == "forward" else price < item.limit
    if worse:
        raise Refused("price_beyond_limit")
    deposit = compute_open_deposit(books, auction, price)
    books.require_free(signer, deposit)
    single = bundles.make_single(price)
    auction.placed[signer] = AuctionBid(signer, weight_ppm, single, books.time_ms)
    locked: tuple[Part, ...] = ((signer, "free", signer, "locked", deposit),)
    end_auction(books, auction, tuple(auction.placed.values()), locked)


def close_open(books: Books, auction: Auction) -> None:
    """The time for open bids is over: the standing one wins, if there is one."""
    end_auction(books, auction, tuple(auction.placed.values()))


def get_standing(auction: Auction) -> AuctionBid | None:
    """The best open bid."""
    return auction.placed[next(reversed(auction.placed))] if auction.placed else None


def compute_open_deposit(books: Books, auction: Auction, price: int) -> int:
    """What an open bid locks: the price where the bidder would pay it, else the flat deposit."""
    if auction.terms.direction == "forward":
        return price
    return compute_bid_deposit(books.parameters, auction.terms)

"""Operations on general auctions to the functions that execute them."""

from protocols.economy import auction_bids, auctions, deliveries
from protocols.economy.books import Books
from protocols.economy.model import OrderedOperation
from protocols.economy.operations import AnyBody
from protocols.economy.operations_auctions import (
    AcceptDelivery,
    AcceptPrice,
    CancelAuction,
    CommitAuctionBid,
    Deliver,
    OpenAuction,
    PlaceBid,
    RevealAuctionBid,
)


def execute(books: Books, ordered: OrderedOperation, body: AnyBody) -> None:
    """Raises Refused. Bodies of other kinds are none of its business."""
    signer = ordered.signer
    match body:
        case OpenAuction():
            auctions.open_auction(books, ordered, body)
        case CancelAuction():
            auctions.cancel_auction(books, signer, body)
        case CommitAuctionBid():
            auctions.speak(books, signer, body.auction, body, auction_bids.commit)
        case RevealAuctionBid():
            auctions.speak(books, signer, body.auction, body, auction_bids.reveal)
        case PlaceBid():
            auctions.speak(books, signer, body.auction, body, auction_bids.place_bid)
        case AcceptPrice():
            auctions.speak(books, signer, body.auction, body, auction_bids.accept_price)
        case Deliver():
            auctions.speak(books, signer, body.auction, body, deliveries.deliver)
        case AcceptDelivery():
            auctions.speak(books, signer, body.auction, body, deliveries.accept_delivery)

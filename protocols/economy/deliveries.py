"""After the result: the seller delivers, the payer accepts, silence pays.

The price waits in the payer's escrow and the seller's deposit is locked. What was never delivered
is paid back, with that deposit. A payer that withholds part of a price cannot keep it: nothing
proves what was delivered, so the withheld part burns.
"""

from typing import Literal

from crdt.facts_auctions import Delivered, DeliveryEnded
from crdt.moves import COMMON
from protocols.economy.auction_model import Agreement, Auction
from protocols.economy.auctions import enter_phase, remove_auction
from protocols.economy.books import Books, Part, compute_moves
from protocols.economy.model import Refused, compute_share
from protocols.economy.operations_auctions import AcceptDelivery, Deliver


def deliver(books: Books, auction: Auction, signer: bytes, item: Deliver) -> None:
    """Take the seller's word that it delivered. Raises Refused."""
    agreement = _find_agreement(auction, item.winner)
    if signer != get_seller(auction, item.winner):
        raise Refused("not_yours")
    if auction.stage != "auction_delivery":
        raise Refused("too_late")
    if agreement.delivered:
        raise Refused("already_delivered")
    agreement.delivered = True
    books.emit(
        Delivered(
            auction=auction.id, winner=item.winner, party=signer, blob=item.blob, note=item.note
        )
    )
    owed = auction.agreements.items()
    if not any(
        get_seller(auction, winner) == signer and not other.delivered for winner, other in owed
    ):
        books.hear(auction, signer)


def accept_delivery(books: Books, auction: Auction, signer: bytes, item: AcceptDelivery) -> None:
    """Pay what the payer says the delivery is worth; the rest burns. Raises Refused."""
    agreement = _find_agreement(auction, item.winner)
    if signer != get_payer(auction, item.winner):
        raise Refused("not_yours")
    if not agreement.delivered:
        raise Refused("not_delivered")
    paid = compute_share(agreement.award.price, item.paid_ppm)
    _end_agreement(books, auction, item.winner, "accepted", paid)
    if not any(get_payer(auction, winner) == signer for winner in auction.agreements):
        books.hear(auction, signer)


def close_delivery(books: Books, auction: Auction) -> None:
    """Everything was delivered, or the time is over: the payers have the word."""
    for winner, agreement in sorted(auction.agreements.items()):
        if not agreement.delivered:
            _end_agreement(books, auction, winner, "undelivered", 0)
    payers = {get_payer(auction, winner) for winner in auction.agreements}
    if payers:
        enter_phase(books, auction, "auction_acceptance", payers, auction.terms.accept_ms)
    else:
        remove_auction(books, auction)


def close_acceptance(books: Books, auction: Auction) -> None:
    """Whoever has not said a word pays in full."""
    for winner, agreement in sorted(auction.agreements.items()):
        _end_agreement(books, auction, winner, "silent", agreement.award.price)
    remove_auction(books, auction)


def get_seller(auction: Auction, winner: bytes) -> bytes:
    return auction.opener if auction.terms.direction == "forward" else winner


def get_payer(auction: Auction, winner: bytes) -> bytes:
    return winner if auction.terms.direction == "forward" else auction.opener


def _find_agreement(auction: Auction, winner: bytes) -> Agreement:
    agreement = auction.agreements.get(winner)
    if agreement is None:
        raise Refused("no_agreement")
    return agreement


def _end_agreement(
    books: Books,
    auction: Auction,
    winner: bytes,
    outcome: Literal["accepted", "silent", "undelivered"],
    paid: int,
) -> None:
    agreement = auction.agreements.pop(winner)
    payer, seller = get_payer(auction, winner), get_seller(auction, winner)
    price = agreement.award.price
    if outcome == "undelivered":
        parts: list[Part] = [
            (payer, "escrow", payer, "free", price),
            (seller, "locked", payer, "free", agreement.deposit),
        ]
    else:
        parts = [
            (payer, "escrow", seller, "free", paid),
            (payer, "escrow", COMMON, "burned", price - paid),
            (seller, "locked", seller, "free", agreement.deposit),
        ]
    books.emit(
        DeliveryEnded(
            auction=auction.id,
            winner=winner,
            outcome=outcome,
            price=price,
            paid=paid,
            moves=compute_moves(*parts),
        )
    )

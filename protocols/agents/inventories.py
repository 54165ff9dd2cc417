"""What a member says it holds for overdue phases of general auctions."""

from collections.abc import Iterable

from crdt.facts import AnyPhase
from crdt.facts_auctions import AuctionPhase
from protocols.economy.operations import Held, Operation
from protocols.economy.operations_auctions import (
    AcceptDelivery,
    AcceptPrice,
    CommitAuctionBid,
    Deliver,
    PlaceBid,
    RevealAuctionBid,
)
from protocols.economy.state import EconomyState

PARTIES_MAX = 256
"""Parties that one inventory names (`Held.parties`)."""


def find_word(operation: Operation) -> tuple[AuctionPhase, bytes] | None:
    """The phase in which an operation counts, and its auction; None for other operations."""
    body = operation.body
    match body:
        case CommitAuctionBid():
            return "auction_commit", body.auction
        case RevealAuctionBid():
            return "auction_reveal", body.auction
        case PlaceBid():
            return "auction_bid", body.auction
        case AcceptPrice():
            return "auction_accept", body.auction
        case Deliver():
            return "auction_delivery", body.auction
        case AcceptDelivery():
            return "auction_acceptance", body.auction
    return None


def list_held(
    state: EconomyState,
    me: bytes,
    said: Iterable[tuple[bytes, AnyPhase]],
    executable: Iterable[tuple[bytes, Operation]],
) -> list[Held]:
    """The inventories that `me` owes, from others' operations that could be executed now. `said`
    names those that are on their way."""
    known = set(said)
    asked = [
        duty
        for duty in state.auction_duties(me)
        if duty.kind == "inventory" and (duty.auction, duty.phase) not in known
    ]
    if not asked:
        return []
    speakers: dict[tuple[AuctionPhase, bytes], set[bytes]] = {}
    for signer, operation in executable:
        word = find_word(operation)
        if word is not None:
            speakers.setdefault(word, set()).add(signer)
    items = []
    for duty in asked:
        named = sorted(speakers.get((duty.phase, duty.auction), ()))
        parties = [party for party in named if state.may_speak(duty.auction, party)]
        items.append(Held(duty.auction, 0, duty.phase, tuple(parties[:PARTIES_MAX])))
    return items

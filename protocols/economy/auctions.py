"""General auctions: opening, cancelling, and how their phases begin and end.

A phase is closed as a task's is (`lifecycle.py`): at once when everybody it waits for has spoken,
else after its deadline with the inventories of a quorum, or `inventory_phase_ms` later. Where no
bidders are listed nobody is waited for: then the inventories alone name who must be ordered.
"""

from collections.abc import Callable, Iterable
from typing import TypeVar

from crdt.facts_auctions import AuctionBegan, AuctionCancelled, AuctionPhase
from protocols.auction.commit_reveal import may_close
from protocols.economy.auction_model import (
    OPEN_PHASES,
    Auction,
    compute_auction_id,
)
from protocols.economy.auction_terms import (
    SEALED_KINDS,
    check_terms,
    compute_budget,
    compute_seller_deposit,
    count_awards_max,
)
from protocols.economy.books import Books, compute_moves
from protocols.economy.model import OrderedOperation, Refused
from protocols.economy.operations_auctions import CancelAuction, OpenAuction


def open_auction(books: Books, ordered: OrderedOperation, body: OpenAuction) -> None:
    """Raises Refused."""
    opener, terms, rules = ordered.signer, body.terms, books.parameters
    if books.is_banned(opener):
        raise Refused("banned")
    if len(books.general_auctions) >= rules.auctions_open_max:
        raise Refused("too_many_auctions")
    check_terms(rules, opener, terms)
    escrow = compute_budget(terms)
    deposit = compute_seller_deposit(rules, terms) * count_awards_max(terms)
    books.require_free(opener, escrow + deposit)
    books.opened_count += 1
    place = books.committee
    phase: AuctionPhase = "auction_commit"
    if terms.kind not in SEALED_KINDS:
        phase = "auction_bid" if terms.kind == "english" else "auction_accept"
    auction = Auction(
        number=books.opened_count,
        id=compute_auction_id(place.network, place.id, opener, ordered.operation.nonce),
        opener=opener,
        terms=terms,
        opened_ms=books.time_ms,
        escrow=escrow,
        deposit=deposit,
        stage=phase,
        weights={key: books.reputation.weight_ppm(key) for key in terms.bidders},
    )
    books.general_auctions[auction.id] = auction
    enter_phase(books, auction, phase, terms.bidders, terms.bid_ms)
    books.emit(
        AuctionBegan(
            auction=auction.id,
            opener=opener,
            terms=terms,
            weights_ppm=tuple(auction.weights.values()),
            deadline_ms=auction.stage_deadline_ms,
            moves=compute_moves(
                (opener, "free", opener, "escrow", escrow),
                (opener, "free", opener, "locked", deposit),
            ),
        )
    )


def cancel_auction(books: Books, signer: bytes, body: CancelAuction) -> None:
    """Take an auction back before the first bid. Raises Refused."""
    auction = find_auction(books, body.auction)
    if signer != auction.opener:
        raise Refused("not_yours")
    if auction.stage not in OPEN_PHASES or auction.bids or auction.placed:
        raise Refused("bids_are_in")
    opener = auction.opener
    books.emit(
        AuctionCancelled(
            auction=auction.id,
            opener=opener,
            moves=compute_moves(
                (opener, "escrow", opener, "free", auction.escrow),
                (opener, "locked", opener, "free", auction.deposit),
            ),
        )
    )
    remove_auction(books, auction)


# --- phases ------------------------------------------------------------------------------------


def enter_phase(
    books: Books, auction: Auction, phase: AuctionPhase, parties: Iterable[bytes], time_ms: int
) -> None:
    """Wait for the word of each party, for `time_ms` milliseconds of agreed time."""
    books.forget_parties(auction)
    auction.stage = phase
    auction.stage_deadline_ms = books.time_ms + time_ms
    books.await_parties(auction, parties)
    books.schedule(auction, auction.stage_deadline_ms)
    books.touch(auction)


def extend_phase(books: Books, auction: Auction, deadline_ms: int) -> None:
    """The phase ends later than it was going to: what was overdue is not any more."""
    if deadline_ms > auction.stage_deadline_ms:
        books.clear_overdue(auction)
        auction.stage_deadline_ms = deadline_ms
        books.schedule(auction, deadline_ms)


def set_overdue(books: Books, auction: Auction) -> None:
    """The deadline has passed: members are asked for inventories."""
    books.mark_overdue(auction)
    books.schedule(auction, books.time_ms + books.parameters.inventory_phase_ms)


def is_complete(books: Books, auction: Auction) -> bool:
    """True when the phase may close now."""
    if not auction.waiting and not may_bid_unasked(auction):
        return True
    if not auction.overdue:
        return False
    place = books.committee
    inventories = {key: held for key, held in auction.inventories.items() if place.is_member(key)}
    named = {party for held in inventories.values() for party in held}
    return may_close(inventories, sorted(named), place.q, place.f)


def may_bid_unasked(auction: Auction) -> bool:
    """True while nobody knows who else will speak: only the deadline ends the phase."""
    if auction.stage not in OPEN_PHASES:
        return False
    return auction.stage != "auction_commit" or not auction.terms.bidders


def remove_auction(books: Books, auction: Auction) -> None:
    books.forget_parties(auction)
    del books.general_auctions[auction.id]


# --- who speaks --------------------------------------------------------------------------------

Item = TypeVar("Item")


def speak(
    books: Books,
    signer: bytes,
    id_: bytes,
    item: Item,
    handle: Callable[[Books, Auction, bytes, Item], None],
) -> None:
    """Let `handle` take the word of `signer`. Taken or refused, it was ordered: no inventory
    keeps the phase open for it any longer. Raises Refused."""
    auction = find_auction(books, id_)
    auction.inventories = {
        member: tuple(party for party in held if party != signer)
        for member, held in auction.inventories.items()
    }
    books.touch(auction)
    handle(books, auction, signer, item)


def find_auction(books: Books, id_: bytes) -> Auction:
    auction = books.general_auctions.get(id_)
    if auction is None:
        raise Refused("unknown_auction")
    return auction


def check_bidder(books: Books, auction: Auction, signer: bytes) -> int:
    """The weight of somebody who may bid: that of the opening if it is listed, else the present.
    Raises Refused."""
    if signer == auction.opener:
        raise Refused("own_auction")
    if books.is_banned(signer):
        raise Refused("banned")
    if auction.terms.bidders:
        if signer not in auction.weights:
            raise Refused("not_listed")
        return auction.weights[signer]
    return books.reputation.weight_ppm(signer)

"""The result of a general auction: winners, payments, and every deposit's end in one fact."""

from collections.abc import Mapping, Sequence

from crdt.facts import COMMON
from crdt.facts_auctions import AuctionAward, AuctionBid, AuctionEnded
from protocols.auction.clearing import Contest, NeedsSolution, Outcome, clear
from protocols.auction.several_lots import Candidate
from protocols.economy import variables
from protocols.economy.auction_model import Agreement, Auction, list_opened
from protocols.economy.auction_solutions import await_solution
from protocols.economy.auction_terms import compute_bid_deposit, compute_seller_deposit
from protocols.economy.auctions import enter_phase, remove_auction
from protocols.economy.books import Books, Part, compute_moves

Deposits = Mapping[bytes, int]
"""What each bidder has locked."""


def end_sealed(books: Books, auction: Auction) -> None:
    """The bids that will ever be opened are. Deposits of those that were not burn: the opener's own
    sybils would lose nothing by keeping silent, and could choose which bids to open."""
    end_auction(books, auction, list_opened(auction))


def end_solution(books: Books, auction: Auction) -> None:
    """The time for better winners is over."""
    bids = list_opened(auction)
    candidate = Candidate(auction.solution, auction.proof)
    outcome = clear(_make_contest(books, auction, bids, candidate))
    assert isinstance(outcome, Outcome)  # nothing is left to be submitted
    settle_outcome(books, auction, bids, outcome)


def end_auction(
    books: Books,
    auction: Auction,
    bids: tuple[AuctionBid, ...],
    locked: Sequence[Part] = (),
) -> None:
    """Find the outcome of `bids` and carry it out; `locked` is moved first. What is not proven to
    be the best waits for submitted solutions."""
    outcome = clear(_make_contest(books, auction, bids))
    if isinstance(outcome, NeedsSolution):
        await_solution(books, auction, outcome.found)
    else:
        settle_outcome(books, auction, bids, outcome, locked)


def _make_contest(
    books: Books,
    auction: Auction,
    bids: tuple[AuctionBid, ...],
    submitted: Candidate | None = None,
) -> Contest:
    return Contest(
        auction.id,
        auction.terms,
        auction.opened_ms,
        bids,
        auction.seed,
        _get_work_max(books, auction),
        submitted,
    )


def _get_work_max(books: Books, auction: Auction) -> int:
    return books.parameters.auction_work_max if auction.terms.kind == "combinatorial" else 0


def settle_outcome(
    books: Books,
    auction: Auction,
    bids: tuple[AuctionBid, ...],
    outcome: Outcome,
    locked: Sequence[Part] = (),
) -> None:
    """Record the result, end every deposit that it ends, and begin the deliveries."""
    terms = auction.terms
    deposits = _list_deposits(books, auction)
    silent = tuple(
        key
        for key, bid in sorted(auction.bids.items())
        if bid.commitment is not None and bid.bundles is None
    )
    parts: list[Part] = [(key, "locked", COMMON, "burned", deposits[key]) for key in silent]
    won = {award.winner: award for award in outcome.awards}
    for key in sorted(deposits):
        if key not in won and key not in silent:
            parts.append((key, "locked", key, "free", deposits[key]))
    for award in outcome.awards:
        parts += _pay_award(books, auction, award, deposits[award.winner])
    parts += _return_rest(books, auction, outcome.awards)
    is_delivered = bool(terms.delivery_ms and won)
    books.emit(
        AuctionEnded(
            auction=auction.id,
            opener=auction.opener,
            terms=terms,
            opened_ms=auction.opened_ms,
            seed=auction.seed,
            bids=bids,
            silent=silent,
            awards=outcome.awards,
            gap_ppm=outcome.gap_ppm,
            deadline_ms=books.time_ms + terms.delivery_ms if is_delivered else None,
            work_max=_get_work_max(books, auction),
            proof=auction.proof,
            moves=compute_moves(*locked, *parts),
        )
    )
    auction.bids, auction.placed = {}, {}
    auction.solution, auction.proof, auction.solvers = (), None, {}
    if is_delivered:
        _await_delivery(books, auction)
    else:
        remove_auction(books, auction)
    variables.note_result(books, auction.id, outcome.awards)


def _list_deposits(books: Books, auction: Auction) -> Deposits:
    """What bidders have locked now: all that sealed a bid, or the standing one."""
    flat = compute_bid_deposit(books.parameters, auction.terms)
    if not auction.placed:
        return {key: flat for key, bid in auction.bids.items() if bid.commitment is not None}
    standing = auction.placed[next(reversed(auction.placed))]
    is_forward = auction.terms.direction == "forward"
    return {standing.bidder: standing.bundles[0].price if is_forward else flat}


def _pay_award(books: Books, auction: Auction, award: AuctionAward, deposit: int) -> list[Part]:
    """Pay the seller at once, or put the price into escrow until the delivery."""
    winner, price, opener = award.winner, award.price, auction.opener
    delivered = auction.terms.delivery_ms > 0
    if auction.terms.direction == "forward":
        rest: Part = (winner, "locked", winner, "free", deposit - price)
        if not delivered:
            return [(winner, "locked", opener, "free", price), rest]
        kept = compute_seller_deposit(books.parameters, auction.terms)
        auction.deposit -= kept
        auction.agreements[winner] = Agreement(award, kept)
        return [(winner, "locked", winner, "escrow", price), rest]
    auction.escrow -= price
    if not delivered:
        return [
            (opener, "escrow", winner, "free", price),
            (winner, "locked", winner, "free", deposit),
        ]
    auction.agreements[winner] = Agreement(award, deposit)
    return []


def _return_rest(books: Books, auction: Auction, awards: Sequence[AuctionAward]) -> list[Part]:
    """What the opener had set aside for awards that did not come about."""
    opener = auction.opener
    parts: list[Part] = [
        (opener, "escrow", opener, "free", auction.escrow),
        (opener, "locked", opener, "free", auction.deposit),
    ]
    auction.escrow = auction.deposit = 0
    return parts


def _await_delivery(books: Books, auction: Auction) -> None:
    sellers = {auction.opener}
    if auction.terms.direction == "reverse":
        sellers = set(auction.agreements)
    enter_phase(books, auction, "auction_delivery", sellers, auction.terms.delivery_ms)

"""General auctions as a fold over facts: one row per auction, as `tasks.py` does for tasks."""

import msgspec

from crdt import facts
from crdt.facts import Fact


class AuctionRow(msgspec.Struct, frozen=True):
    """What is known of an auction; times are agreed time.

    `title` names the first of its `lots`. `bids` counts those that were sealed or placed. `price`
    is the best open bid, then what all winners together pay (are paid). `winners` are keys, one
    after the other; `pending` counts their agreements that have not ended. `deadline_ms` is that
    of the phase.
    """

    auction: bytes
    opener: bytes
    kind: str
    direction: str
    title: str
    lots: int
    state: str
    bids: int
    price: int | None
    winners: bytes
    pending: int
    opened_ms: int
    deadline_ms: int
    ended_ms: int | None


STATES = ("bidding", "revealing", "delivering", "sold", "unsold", "cancelled")
ENDED_STATES = ("sold", "unsold", "cancelled")


def get_auction(fact: Fact) -> bytes | None:
    """The general auction that a fact is about, or None."""
    auction: bytes | None = getattr(fact, "auction", None)
    return auction


def get_subject(fact: Fact) -> bytes | None:
    """The task or the general auction that a fact is about, or None."""
    task: bytes | None = getattr(fact, "task", None)
    return task if task is not None else get_auction(fact)


def fold_auction(row: AuctionRow | None, fact: Fact, time_ms: int) -> AuctionRow | None:
    """The row after `fact`, which happened at agreed time `time_ms`. A fact about an auction that
    was never opened, or has ended, changes nothing."""
    if row is not None and row.state in ENDED_STATES:
        return row
    if isinstance(fact, facts.AuctionBegan):
        return AuctionRow(
            auction=fact.auction,
            opener=fact.opener,
            kind=fact.terms.kind,
            direction=fact.terms.direction,
            title=fact.terms.lots[0].name,
            lots=len(fact.terms.lots),
            state="bidding",
            bids=0,
            price=None,
            winners=b"",
            pending=0,
            opened_ms=time_ms,
            deadline_ms=fact.deadline_ms,
            ended_ms=None,
        )
    if row is None:
        return None
    replace = msgspec.structs.replace
    match fact:
        case facts.AuctionBidCommitted(commitment=commitment) if commitment is not None:
            return replace(row, bids=row.bids + 1)
        case facts.BidPlaced(price=price, deadline_ms=deadline_ms):
            return replace(row, bids=row.bids + 1, price=price, deadline_ms=deadline_ms)
        case facts.AuctionBidsClosed(deadline_ms=deadline_ms):
            return replace(row, state="revealing", deadline_ms=deadline_ms)
        case facts.AuctionCancelled():
            return replace(row, state="cancelled", ended_ms=time_ms)
        case facts.AuctionEnded():
            return _end(row, fact, time_ms)
        case facts.DeliveryEnded():
            pending = row.pending - 1
            if pending:
                return replace(row, pending=pending)
            return replace(row, pending=0, state="sold", ended_ms=time_ms)
    return row


def _end(row: AuctionRow, fact: "facts.AuctionEnded", time_ms: int) -> AuctionRow:
    replace = msgspec.structs.replace
    if not fact.awards:
        return replace(row, state="unsold", price=None, ended_ms=time_ms)
    winners = b"".join(award.winner for award in fact.awards)
    price = sum(award.price for award in fact.awards)
    bids = max(row.bids, len(fact.bids))
    row = replace(row, bids=bids, price=price, winners=winners)
    if fact.deadline_ms is None:
        return replace(row, state="sold", ended_ms=time_ms)
    pending = len(fact.awards)
    return replace(row, state="delivering", pending=pending, deadline_ms=fact.deadline_ms)

"""What an outcome follows from, and what it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from crdt.facts_auctions import AuctionAward, AuctionBid, AuctionTerms


@dataclass(frozen=True, slots=True)
class Outcome:
    """Awards in the order of rank, then of lots. `gap_ppm` is 0 where they are proven the best."""

    awards: tuple[AuctionAward, ...] = ()
    gap_ppm: int = 0


@dataclass(frozen=True, slots=True)
class NeedsSolution:
    """The best set of bundles was not found within the limit: `found` is the best so far."""

    found: Outcome


@dataclass(frozen=True, slots=True)
class Contest:
    """What an outcome follows from. `bids` are those that were opened (sealed kinds, ascending by
    bidder), or the last of each bidder with the standing one at the end (english), or the
    acceptance (dutch)."""

    auction: bytes
    terms: AuctionTerms
    opened_ms: int
    bids: Sequence[AuctionBid]
    seed: bytes

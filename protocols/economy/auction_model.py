"""General auctions as data: the state of one, its agreements, views and duties."""

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from crdt.facts_auctions import AuctionAward, AuctionBid, AuctionPhase, AuctionTerms, BundleBid
from identity import cbor

OPEN_PHASES: tuple[AuctionPhase, ...] = ("auction_commit", "auction_bid", "auction_accept")
"""Phases in which somebody who is not listed may say the first word."""

AuctionDutyKind = Literal["bid", "reveal", "deliver", "accept", "inventory"]


@dataclass(slots=True)
class SealedBid:
    """What a bidder said: a seal or a pass (None), and what it opened."""

    weight_ppm: int
    commitment: bytes | None
    bundles: tuple[BundleBid, ...] | None = None


@dataclass(slots=True)
class Agreement:
    """One winner's award until it is paid. `deposit` is the seller's, lost if it does not
    deliver."""

    award: AuctionAward
    deposit: int
    delivered: bool = False


@dataclass(slots=True)
class Auction:
    """An auction under way. Amounts are credits, times agreed milliseconds; `number` counts tasks
    and auctions in the order they were opened."""

    number: int
    id: bytes
    opener: bytes
    terms: AuctionTerms
    opened_ms: int
    escrow: int
    """What is left of the opener's budget (reverse) in escrow."""
    deposit: int
    """What is left of the opener's deposit (forward with a delivery)."""
    stage: AuctionPhase
    stage_deadline_ms: int = 0
    overdue: bool = False
    due_ms: int = 0
    waiting: dict[bytes, None] = field(default_factory=dict)
    """Parties whose word the stage waits for."""
    inventories: dict[bytes, tuple[bytes, ...]] = field(default_factory=dict)
    weights: dict[bytes, int] = field(default_factory=dict)
    """Listed bidders and their weights at the opening."""
    bids: dict[bytes, SealedBid] = field(default_factory=dict)
    placed: dict[bytes, AuctionBid] = field(default_factory=dict)
    """english: the last bid of each bidder, the standing one last."""
    seed: bytes = bytes(32)
    agreements: dict[bytes, Agreement] = field(default_factory=dict)
    """By winner."""

    @property
    def round(self) -> int:
        """Where inventories name a task's round, an auction's is 0."""
        return 0

    def may_speak(self, party: bytes) -> bool:
        """True when the word of `party` may still count in this stage."""
        if self.stage not in OPEN_PHASES:
            return party in self.waiting
        if party == self.opener or party in self.bids:
            return False
        return not self.terms.bidders or party in self.weights


@dataclass(frozen=True, slots=True)
class AuctionView:
    """An auction under way, for reading. `bidders` have spoken so far (sealed, passed, or placed
    an open bid); `standing` is the best open bid, `price` what it is, or the dutch price now."""

    auction: bytes
    opener: bytes
    terms: AuctionTerms
    opened_ms: int
    stage: AuctionPhase
    stage_deadline_ms: int
    overdue: bool
    waiting: tuple[bytes, ...]
    bidders: tuple[bytes, ...]
    standing: bytes | None
    price: int | None
    agreements: tuple[Agreement, ...]


@dataclass(frozen=True, slots=True)
class AuctionDuty:
    """What somebody may or should submit now.

    bid: a seal or a pass, an open bid, or an acceptance of the price, by the kind; listed bidders
    only are asked. reveal: open what was sealed as `commitment`. deliver, accept: see the
    agreements of the view. inventory: say whose statements for the overdue `phase` you hold.
    """

    kind: AuctionDutyKind
    auction: bytes
    phase: AuctionPhase
    deadline_ms: int
    commitment: bytes | None = None


def compute_auction_id(network: bytes, committee: bytes, opener: bytes, nonce: int) -> bytes:
    """The id of the auction that its opener opened by the operation it numbered `nonce`."""
    content = ["econode/auction", network, committee, opener, nonce]
    return hashlib.sha256(cbor.encode(content)).digest()

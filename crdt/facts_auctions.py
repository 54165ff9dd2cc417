"""Facts about general auctions: goods and services that any funded account buys or sells.

(Tasks have auctions of their own: `AuctionOpened` and what follows it in `facts.py`.)
"""

from typing import Annotated, Literal

import msgspec

from crdt.facts_solutions import SolutionProof
from crdt.moves import Fact
from identity.schema import Amount, Digest, Key, Name, Positive, Text, TimeMs

LOTS_MAX = 64
BIDDERS_MAX = 256
UNITS_MAX = 256
BUNDLES_MAX = 64
"""A bidder in a call names a price for each lot; in a combinatorial auction `auction_bundles_max`
counts."""

AuctionKind = Literal[
    "english", "dutch", "first_price", "vickrey", "multi_unit", "combinatorial", "call"
]
Direction = Literal["forward", "reverse"]
"""forward: the opener sells. reverse: the opener buys."""
AuctionPhase = Literal[
    "auction_commit",
    "auction_reveal",
    "auction_bid",
    "auction_accept",
    "auction_solution",
    "auction_delivery",
    "auction_acceptance",
]
"""What an auction waits for: sealed bids, opened bids, open bids (english), somebody who accepts
the price (dutch), a better set of winners, what was sold, the payers' word on it."""
Pricing = Literal["vcg", "pay_as_bid"]
LotIndexes = Annotated[bytes, msgspec.Meta(min_length=1, max_length=LOTS_MAX)]
"""Lots by their places in the terms, one byte each, ascending."""


class Lot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing for sale or wanted. `limit` is the least price at which it is sold (forward), or
    the most that is paid for it (reverse); for several units, for each. `blob` is the digest of a
    description."""

    name: Name
    limit: Amount
    text: Annotated[str, msgspec.Meta(max_length=256)] = ""
    blob: Digest | None = None


class AuctionTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an auction is about. Durations are agreed time in milliseconds.

    - `cap`: forward, the most a bid may name, and the deposit of a sealed one. Reverse: 0.
    - `units`: `multi_unit` alone, how many are sold or bought, at most one to each bidder.
    - `pricing`: `combinatorial` alone.
    - `increment`: `english`, by how much a bid beats the one before.
    - `start`, `step`, `step_ms`: `dutch`, where the price begins and how it moves to the limit.
    - `bid_ms`: for sealed or open bids, or for the dutch price to be accepted. `reveal_ms`: to open
      sealed ones.
    - `extend_ms`, `extend_ms_max`: `english`, a bid moves the end to at least `extend_ms` after it,
      and all of them by `extend_ms_max` at most.
    - `bidders`: who may bid, and is waited for; empty: every funded account.
    - `delivery_ms`: how long the seller has to deliver; 0 pays at the result. `accept_ms`: how
      long the payer has to say what it is worth; silence pays in full.
    """

    kind: AuctionKind
    direction: Direction
    lots: Annotated[tuple[Lot, ...], msgspec.Meta(min_length=1, max_length=LOTS_MAX)]
    bid_ms: Positive
    cap: Amount = 0
    units: Annotated[int, msgspec.Meta(ge=1, le=UNITS_MAX)] = 1
    pricing: Pricing = "vcg"
    increment: Amount = 0
    start: Amount = 0
    step: Amount = 0
    step_ms: Amount = 0
    reveal_ms: Amount = 0
    extend_ms: Amount = 0
    extend_ms_max: Amount = 0
    bidders: Annotated[tuple[Key, ...], msgspec.Meta(max_length=BIDDERS_MAX)] = ()
    delivery_ms: Amount = 0
    accept_ms: Amount = 0


class BundleBid(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A price for these lots together. A bidder wins one of its bundles at most (XOR)."""

    lots: LotIndexes
    price: Positive


Bundles = Annotated[tuple[BundleBid, ...], msgspec.Meta(min_length=1, max_length=BUNDLES_MAX)]


class AuctionBid(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What somebody bid, as the result counts it. `time_ms` is when an open bid was ordered, 0 for
    a sealed one."""

    bidder: Key
    weight_ppm: Amount
    bundles: tuple[BundleBid, ...]
    time_ms: TimeMs


class AuctionAward(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`winner` gets these lots for `price` (forward) or provides them for it (reverse).
    `approximate`: in a combinatorial auction, the work did not suffice to prove the payment."""

    winner: Key
    lots: LotIndexes
    price: Amount
    approximate: bool = False


class AuctionBegan(Fact, frozen=True, tag="auction_began"):
    """An auction by these terms. `weights_ppm` are those of the bidders that the terms list."""

    auction: Digest
    opener: Key
    terms: AuctionTerms
    weights_ppm: tuple[Amount, ...]
    deadline_ms: TimeMs


class AuctionBidCommitted(Fact, frozen=True, tag="auction_bid_committed"):
    """A sealed bid with its deposit, or a pass (None) of a listed bidder."""

    auction: Digest
    bidder: Key
    weight_ppm: Amount
    commitment: Digest | None


class AuctionBidsClosed(Fact, frozen=True, tag="auction_bids_closed"):
    """No further bid counts; revealing begins. `seed` is the digest of the batch that closed
    them."""

    auction: Digest
    seed: Digest
    deadline_ms: TimeMs


class AuctionBidRevealed(Fact, frozen=True, tag="auction_bid_revealed"):
    auction: Digest
    bidder: Key
    bundles: tuple[BundleBid, ...]


class BidPlaced(Fact, frozen=True, tag="bid_placed"):
    """An open bid that stands until a better one comes; the end may have moved."""

    auction: Digest
    bidder: Key
    weight_ppm: Amount
    price: Amount
    deadline_ms: TimeMs


class AuctionEnded(Fact, frozen=True, tag="auction_ended"):
    """The result with everything it follows from: anybody computes `awards` again from this fact
    alone (`protocols/auction/verify.py`).

    `silent` did not open what they had sealed: their deposits burn. `gap_ppm`: how far
    from the best the chosen bundles may be; 0 when they are proven to be the best. `deadline_ms`
    is when everything must be delivered, None when nothing is. `work_max` is what the search for
    bundles could do, `proof` what was submitted where that did not suffice.
    """

    auction: Digest
    opener: Key
    terms: AuctionTerms
    opened_ms: TimeMs
    seed: Digest
    bids: tuple[AuctionBid, ...]
    silent: tuple[Key, ...]
    awards: tuple[AuctionAward, ...]
    gap_ppm: Amount
    deadline_ms: TimeMs | None
    work_max: Amount = 0
    proof: SolutionProof | None = None


class AuctionCancelled(Fact, frozen=True, tag="auction_cancelled"):
    """The opener took it back before the first bid."""

    auction: Digest
    opener: Key


class Delivered(Fact, frozen=True, tag="delivered"):
    """The seller says that it delivered what `winner`'s award is about: a blob, or a note."""

    auction: Digest
    winner: Key
    party: Key
    blob: Digest | None
    note: Text


class DeliveryEnded(Fact, frozen=True, tag="delivery_ended"):
    """The end of the agreement with `winner`: of `price` the seller is paid `paid`. What the payer
    withholds burns; what was never delivered is paid back."""

    auction: Digest
    winner: Key
    outcome: Literal["accepted", "silent", "undelivered"]
    price: Amount
    paid: Amount

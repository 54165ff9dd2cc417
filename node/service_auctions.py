"""What a node tells its owner of general auctions, and takes for them. The contract is
`NodeService`'s. Lots are named as the terms name them, accounts by PeerId."""

from typing import Annotated, Literal, Protocol, get_args

import msgspec

from crdt.facts_auctions import (
    BIDDERS_MAX,
    BUNDLES_MAX,
    LOTS_MAX,
    UNITS_MAX,
    AuctionKind,
    Direction,
    Pricing,
)
from identity.schema import Amount, Name, Positive, Text
from node.answer import Answer
from protocols.genesis import PPM

AUCTIONS_PER_PAGE_MAX = 500
PLANNED_MAX = 100_000
"""Tasks that one plan is about."""
AuctionState = Literal["bidding", "revealing", "delivering", "sold", "unsold", "cancelled"]
AUCTION_STATES: tuple[AuctionState, ...] = get_args(AuctionState)
AUCTION_KINDS: tuple[AuctionKind, ...] = get_args(AuctionKind)
FINAL_AUCTION_STATES = ("sold", "unsold", "cancelled")

HexDigest = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
PeerText = Annotated[str, msgspec.Meta(max_length=64)]


class AuctionLot(Answer, frozen=True, forbid_unknown_fields=True):
    """One thing for sale or wanted. `limit` is the least price at which it is sold, or the most
    that is paid for it. `blob` is the digest of a description."""

    name: Name
    limit: Amount
    text: Annotated[str, msgspec.Meta(max_length=256)] = ""
    blob: HexDigest | None = None


class AuctionOrder(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to open an auction; docs/market.md says what the terms of each kind are.
    `forward`: this node's account sells; `reverse`: it buys. Durations are milliseconds."""

    kind: AuctionKind
    direction: Direction
    lots: Annotated[tuple[AuctionLot, ...], msgspec.Meta(min_length=1, max_length=LOTS_MAX)]
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
    bidders: Annotated[tuple[PeerText, ...], msgspec.Meta(max_length=BIDDERS_MAX)] = ()
    delivery_ms: Amount = 0
    accept_ms: Amount = 0


class AuctionBundle(Answer, frozen=True, forbid_unknown_fields=True):
    """A price for these lots together."""

    lots: Annotated[tuple[Name, ...], msgspec.Meta(min_length=1, max_length=LOTS_MAX)]
    price: Positive


class AuctionBidOrder(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to bid: `price` where there is one lot, else `bundles`, of which one is won at
    most; neither: pass. In a dutch auction the price is accepted if it is that good or better."""

    price: Positive | None = None
    bundles: Annotated[tuple[AuctionBundle, ...], msgspec.Meta(max_length=BUNDLES_MAX)] = ()


class AuctionDeliverOrder(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to say that what `winner` won was delivered; the only agreement needs no name."""

    winner: PeerText | None = None
    blob: HexDigest | None = None
    note: Text = ""


class AuctionAcceptOrder(Answer, frozen=True, forbid_unknown_fields=True):
    """A request to pay `paid_ppm` millionths of the price of `winner`'s agreement; the rest
    burns."""

    winner: PeerText | None = None
    paid_ppm: Annotated[int, msgspec.Meta(ge=1, le=PPM)] = PPM


class AuctionBidDone(Answer, frozen=True):
    """A bid that was ordered, in the entry at `position`. `said`: sealed, placed, accepted (a
    dutch price) or passed. What was sealed is opened by the node."""

    auction: str
    said: Literal["sealed", "placed", "accepted", "passed"]
    position: int
    operation: str


class AuctionBid(Answer, frozen=True):
    """A bid as everybody sees it; `bundles` is None while it is sealed."""

    bidder: str
    weight_ppm: int
    bundles: tuple[AuctionBundle, ...] | None


class AuctionAward(Answer, frozen=True):
    """`winner` gets these lots for `price`, or provides them for it. `delivery`: none (paid at the
    result), due, delivered, or how it ended: accepted, silent (paid in full), undelivered."""

    winner: str
    lots: tuple[str, ...]
    price: int
    delivery: str
    paid: int | None = None
    blob: str | None = None
    note: str = ""


class AuctionSummary(Answer, frozen=True):
    """An auction as the committee's log tells it. `title` names the first of its `lots`; `price` is
    the best open bid, then what all winners together pay (are paid)."""

    id: str
    state: AuctionState
    kind: str
    direction: str
    title: str
    lots: int
    opener: str
    bids: int
    price: int | None
    winners: tuple[str, ...]
    opened_ms: int
    deadline_ms: int
    ended_ms: int | None


class AuctionPage(Answer, frozen=True):
    """In an order that does not change; `next` is the cursor of the next page, None at the end."""

    auctions: tuple[AuctionSummary, ...]
    next: str | None


class Auction(Answer, frozen=True):
    """All of an auction. `quote` is the price that a bid of this node's account must have now, in
    an english auction, or would accept in a dutch one. `own` is what this node sealed and nobody
    else knows yet. `waiting` has the word. `gap_ppm`: how far from the best the result may be."""

    summary: AuctionSummary
    terms: AuctionOrder
    phase: str | None
    waiting: tuple[str, ...]
    bids: tuple[AuctionBid, ...]
    standing: str | None
    quote: int | None
    own: tuple[tuple[AuctionBundle, ...], ...]
    silent: tuple[str, ...]
    awards: tuple[AuctionAward, ...]
    gap_ppm: int | None
    position: int | None
    """Of the entry with the result."""


class AuctionOpened(Answer, frozen=True):
    """An auction that was opened, in the entry at `position`."""

    auction: str
    position: int
    deadline_ms: int


class TaskPlanOrder(Answer, frozen=True, forbid_unknown_fields=True):
    """A question what `count` tasks of a capability would come to, with this budget each."""

    capability: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    count: Annotated[int, msgspec.Meta(ge=1, le=PLANNED_MAX)]
    budget: Positive
    duration_ms: Positive


class TaskPlan(Answer, frozen=True):
    """What it would come to after the entry at `position`: see `protocols/agents/task_plan.py`."""

    position: int
    capability: str
    count: int
    kind: str
    direction: str
    why: tuple[str, ...]
    bidders: tuple[str, ...]
    verifiers: int
    verifiers_eligible: int
    escrow: int
    deposit: int
    fees: int
    operations_min: int
    operations_max: int
    messages_per_batch: int
    messages_min: int
    waves: int
    price: int | None
    price_from: str
    shortest_ms: int
    round_ms_max: int
    obstacles: tuple[str, ...]


class AuctionService(Protocol):
    """General auctions of one committee. See NodeService for what holds for all methods. Problems
    of all that name an auction: not-found, ambiguous, and those that change something:
    auction-closed, and the reasons of docs/protocol-economy.md with - for _."""

    async def open(self, wanted: AuctionOrder) -> AuctionOpened: ...

    async def list(
        self, state: AuctionState | None, mine: bool, limit: int, cursor: str | None
    ) -> AuctionPage:
        """`mine`: opened by this node's account."""
        ...

    async def show(self, prefix: str) -> Auction: ...

    async def bid(self, prefix: str, wanted: AuctionBidOrder) -> AuctionBidDone: ...

    async def cancel(self, prefix: str) -> AuctionSummary: ...

    async def deliver(self, prefix: str, wanted: AuctionDeliverOrder) -> AuctionAward: ...

    async def accept(self, prefix: str, wanted: AuctionAcceptOrder) -> AuctionAward: ...

    async def certificate(self, prefix: str, wait: bool) -> bytes:
        """The result with all that proves it; `wait` until it is certified. Problem: no-result,
        and without `wait` not-certified."""
        ...

    async def plan_tasks(self, wanted: TaskPlanOrder) -> TaskPlan:
        """What tasks would come to now. Problem: unknown-capability."""
        ...

"""The screens over a committee's log: a bounded fold over its facts.

Every table forgets its oldest entry when it is full, so what is said concerns the recent past.
Whoever holds the log gets the same evidence from the same stretch of it.
"""

from collections import deque
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal

from crdt.facts import (
    COMMON,
    AuctionBegan,
    AuctionCancelled,
    AuctionEnded,
    Awarded,
    BidPlaced,
    DeliveryEnded,
    Fact,
    Paid,
    Settled,
    TaskEnded,
    TaskOpened,
    is_transit_account,
)
from crdt.facts_auctions import AuctionTerms
from protocols.auction.open_prices import beats
from protocols.auction.screens import (
    Payments,
    Shill,
    Spread,
    measure_spread,
    screen_cover_bids,
    screen_rotation,
    screen_wash_trading,
)
from protocols.bounded import put_newest

Screen = Literal["cover_bids", "rotation", "shill", "wash_trading"]

AUCTIONS_KEPT_MAX: Final = 64
"""Auctions of one winner, or of one set of bidders, that are looked at together."""
GROUPS_MAX: Final = 4_096
"""Winners, and sets of bidders, by capability or opener."""
PAIRS_MAX: Final = 16_384
"""Pairs of seller and bidder in english auctions."""
EDGES_MAX: Final = 65_536
"""Pairs of payer and payee."""
OPEN_MAX: Final = 16_384
"""Tasks, and english auctions, that are under way."""
QUICK_MS: Final = 2_000
"""A re-bid that soon after the bid it beats is a quick one."""

PAYMENT_KINDS = (Paid, Settled, AuctionEnded, DeliveryEnded)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a screen found of `parties` (a winner, a set of bidders, a seller and its bidder,
    accounts that pay each other) `about` a capability or an opener, with its numbers."""

    screen: Screen
    parties: tuple[bytes, ...]
    about: bytes | None
    suspicious: bool
    numbers: dict[str, int]


@dataclass(slots=True)
class _English:
    """An english auction under way: its standing bid, and each bidder's record in it."""

    opener: bytes
    terms: AuctionTerms
    price: int = 0
    weight_ppm: int = 0
    time_ms: int = 0
    bidders: dict[bytes, Shill] | None = None


class Screening:
    """Feed it facts in order with `apply`, ask with `list_evidence`."""

    def __init__(self) -> None:
        self._tasks: dict[bytes, bytes] = {}
        self._english: dict[bytes, _English] = {}
        self._spreads: dict[tuple[bytes, bytes], deque[Spread]] = {}
        self._winners: dict[tuple[bytes, tuple[bytes, ...]], deque[bytes]] = {}
        self._shills: dict[tuple[bytes, bytes], Shill] = {}
        self._held: dict[bytes, int] = {}
        """English auctions that each opener held."""
        self._edges: dict[tuple[bytes, bytes], Payments] = {}

    def apply(self, fact: Fact, time_ms: int) -> None:
        """Count a fact that came true at agreed time `time_ms`."""
        match fact:
            case TaskOpened():
                put_newest(self._tasks, fact.task, fact.capability, OPEN_MAX)
            case TaskEnded():
                self._tasks.pop(fact.task, None)
            case Awarded():
                prices = {bid.bidder: bid.price for bid in fact.bids}
                about = self._tasks.get(fact.task)
                if about is not None:
                    self._count_result(about, fact.winner, prices, forward=False)
            case AuctionBegan() if fact.terms.kind == "english":
                put_newest(self._english, fact.auction, _English(fact.opener, fact.terms), OPEN_MAX)
            case BidPlaced():
                self._count_bid(fact, time_ms)
            case AuctionCancelled():
                self._english.pop(fact.auction, None)
            case AuctionEnded():
                self._count_end(fact)
        if isinstance(fact, PAYMENT_KINDS):
            self._count_payments(fact)

    def list_evidence(self, *, only_suspicious: bool = True) -> list[Evidence]:
        """What the screens say of everything that was counted, in a fixed order."""
        found = self._list_covers() + self._list_rotations() + self._list_shills()
        for wash in screen_wash_trading(self._edges):
            numbers = asdict(wash)
            del numbers["accounts"]
            found.append(Evidence("wash_trading", wash.accounts, None, wash.is_suspicious, numbers))
        return [each for each in found if each.suspicious or not only_suspicious]

    # --- counting ----------------------------------------------------------------------------

    def _count_result(
        self, about: bytes, winner: bytes, prices: dict[bytes, int], *, forward: bool
    ) -> None:
        """A sealed auction of one thing with two bids or more."""
        if len(prices) < 2:
            return
        key = (about, winner)
        spreads = self._spreads.get(key) or deque(maxlen=AUCTIONS_KEPT_MAX)
        spreads.append(measure_spread(list(prices.values()), forward=forward))
        put_newest(self._spreads, key, spreads, GROUPS_MAX)
        group = (about, tuple(sorted(prices)))
        winners = self._winners.get(group) or deque(maxlen=AUCTIONS_KEPT_MAX)
        winners.append(winner)
        put_newest(self._winners, group, winners, GROUPS_MAX)

    def _count_bid(self, fact: BidPlaced, time_ms: int) -> None:
        auction = self._english.get(fact.auction)
        if auction is None:
            return
        if auction.bidders is None:
            auction.bidders = {}
        before = auction.bidders.get(fact.bidder)
        if before is None:
            now = Shill(auctions=1, others=0, offered=0, won=0, bids=1, rebids=0, quick=0)
        else:
            standing = (auction.price, auction.weight_ppm)
            is_least = not beats(auction.terms, fact.price - 1, fact.weight_ppm, standing)
            if auction.terms.direction == "reverse":
                is_least = not beats(auction.terms, fact.price + 1, fact.weight_ppm, standing)
            is_quick = is_least and time_ms - auction.time_ms <= QUICK_MS
            now = replace(
                before,
                bids=before.bids + 1,
                rebids=before.rebids + 1,
                quick=before.quick + is_quick,
            )
        auction.bidders[fact.bidder] = now
        auction.price, auction.weight_ppm = fact.price, fact.weight_ppm
        auction.time_ms = time_ms

    def _count_end(self, fact: AuctionEnded) -> None:
        winners = {award.winner for award in fact.awards}
        auction = self._english.pop(fact.auction, None)
        if auction is not None:
            held = self._held.get(fact.opener, 0) + 1
            put_newest(self._held, fact.opener, held, PAIRS_MAX)
        for bidder, said in ((auction and auction.bidders) or {}).items():
            key = (fact.opener, bidder)
            before = self._shills.get(key) or Shill(0, 0, 0, 0, 0, 0, 0)
            total = Shill(
                auctions=before.auctions + 1,
                others=0,
                offered=0,
                won=before.won + (bidder in winners),
                bids=before.bids + said.bids,
                rebids=before.rebids + said.rebids,
                quick=before.quick + said.quick,
            )
            put_newest(self._shills, key, total, PAIRS_MAX)
        if fact.terms.kind in ("first_price", "vickrey") and len(winners) == 1:
            prices = {bid.bidder: bid.bundles[0].price for bid in fact.bids}
            forward = fact.terms.direction == "forward"
            self._count_result(fact.opener, min(winners), prices, forward=forward)

    def _count_payments(self, fact: Fact) -> None:
        for move in fact.moves:
            ends = (move.source, move.target)
            if move.source == move.target or COMMON in ends or any(map(is_transit_account, ends)):
                continue
            before = self._edges.get(ends, Payments(0, 0))
            paid = Payments(before.count + 1, before.total + move.amount)
            put_newest(self._edges, ends, paid, EDGES_MAX)

    # --- telling -----------------------------------------------------------------------------

    def _list_covers(self) -> list[Evidence]:
        found = []
        for (about, winner), spreads in sorted(self._spreads.items()):
            cover = screen_cover_bids(spreads)
            found.append(
                Evidence("cover_bids", (winner,), about, cover.is_suspicious, asdict(cover))
            )
        return found

    def _list_rotations(self) -> list[Evidence]:
        found = []
        for (about, bidders), winners in sorted(self._winners.items()):
            turns = screen_rotation(tuple(winners))
            found.append(Evidence("rotation", bidders, about, turns.is_suspicious, asdict(turns)))
        return found

    def _list_shills(self) -> list[Evidence]:
        bid_in: dict[bytes, int] = {}
        for (_, bidder), said in self._shills.items():
            bid_in[bidder] = bid_in.get(bidder, 0) + said.auctions
        held = sum(self._held.values())
        found = []
        for (seller, bidder), said in sorted(self._shills.items()):
            offered = held - self._held.get(seller, 0)
            shill = replace(said, others=bid_in[bidder] - said.auctions, offered=offered)
            numbers = asdict(shill) | {"score_ppm": shill.score_ppm}
            found.append(Evidence("shill", (seller, bidder), seller, shill.is_suspicious, numbers))
        return found

"""Judges general auctions: who was heard, what was opened, who wins what for how much."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from crdt.facts import Fact
from crdt.facts_auctions import (
    AuctionBegan,
    AuctionBidCommitted,
    AuctionBidRevealed,
    AuctionBidsClosed,
    AuctionEnded,
    AuctionTerms,
    BidPlaced,
)
from devnet.sim.market.fold import Breach, LogFold, compute_weight, digest_of
from devnet.sim.market.leaders import SKEW_MS
from identity import cbor
from protocols.economy.operations_auctions import CommitAuctionBid, RevealAuctionBid

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld


@dataclass
class Lots:
    """What the log says of an auction under way."""

    opener: bytes
    terms: AuctionTerms
    deadline_ms: int
    sealed: dict[bytes, bytes | None] = field(default_factory=dict)
    opened: dict[bytes, int] = field(default_factory=dict)
    weights: dict[bytes, int] = field(default_factory=dict)
    seed: bytes | None = None
    standing: tuple[bytes, int] | None = None


class Sales:
    """The part of the referee that looks at general auctions. Its methods raise Breach."""

    def __init__(self, world: "MarketWorld", fold: LogFold) -> None:
        self.world, self.fold = world, fold
        self.gains: dict[bytes, int] = {}
        """What sales were worth to each: things won, things given away."""
        self.sold = 0
        self._open: dict[bytes, Lots] = {}
        self._heard: dict[tuple[str, bytes, bytes], int] = {}
        self._salts: dict[tuple[bytes, bytes], list[tuple[list[list[object]], bytes]]] = {}

    def hear(self, signer: bytes, body: object, heard_ms: int) -> None:
        if isinstance(body, CommitAuctionBid):
            self._heard.setdefault(("seal", body.auction, signer), heard_ms)
        elif isinstance(body, RevealAuctionBid):
            self._heard.setdefault(("open", body.auction, signer), heard_ms)

    def take_openings(self, signer: bytes, body: object) -> None:
        if isinstance(body, RevealAuctionBid):
            priced: list[list[object]] = [[each.lots, each.price] for each in body.bundles]
            self._salts.setdefault((body.auction, signer), []).append((priced, body.salt))

    def check(self, fact: Fact, digest: bytes) -> None:
        match fact:
            case AuctionBegan():
                self._open[fact.auction] = Lots(fact.opener, fact.terms, fact.deadline_ms)
            case AuctionBidCommitted():
                self._check_seal(fact)
            case AuctionBidsClosed():
                if fact.seed != digest:
                    raise Breach("A2 recomputed", "a seed that is not of the closing batch")
                lots = self._open[fact.auction]
                self._check_heard(fact.auction, "seal", lots, lots.sealed)
                lots.seed, lots.deadline_ms = fact.seed, fact.deadline_ms
            case AuctionBidRevealed():
                self._check_opening(fact)
            case BidPlaced():
                self._check_placed(fact)
            case AuctionEnded():
                self._check_end(fact)

    def _check_seal(self, fact: AuctionBidCommitted) -> None:
        lots = self._open[fact.auction]
        if lots.seed is not None or fact.bidder in lots.sealed or fact.bidder == lots.opener:
            raise Breach("A3 committed before the close", fact.bidder.hex()[:8])
        self._check_weight(lots, fact.bidder, fact.weight_ppm)
        lots.sealed[fact.bidder] = fact.commitment

    def _check_weight(self, lots: Lots, bidder: bytes, weight_ppm: int) -> None:
        if not lots.terms.bidders and weight_ppm != compute_weight(self.fold.scores.get(bidder, 0)):
            raise Breach("A2 recomputed", "a weight that is not the snapshot's")
        lots.weights[bidder] = weight_ppm

    def _check_opening(self, fact: AuctionBidRevealed) -> None:
        lots, place = self._open[fact.auction], self.world.committee
        if lots.seed is None:
            raise Breach("A4 no reveal before the close", fact.bidder.hex()[:8])
        for priced, salt in self._salts.get((fact.auction, fact.bidder), ()):
            who = [place.network, place.id, fact.auction, fact.bidder]
            content = ["econode/auction-bid", *who, priced, salt]
            seal = hashlib.sha256(cbor.encode(content)).digest()
            if seal == lots.sealed.get(fact.bidder) and priced[0][1] == fact.bundles[0].price:
                lots.opened[fact.bidder] = fact.bundles[0].price
                return
        raise Breach("A3 committed before the close", f"{fact.bidder.hex()[:8]} opens another bid")

    def _check_placed(self, fact: BidPlaced) -> None:
        lots = self._open[fact.auction]
        self._check_weight(lots, fact.bidder, fact.weight_ppm)
        if fact.bidder == lots.opener:
            raise Breach("A2 recomputed", "the opener bids")
        if lots.standing is not None:
            other, price = lots.standing
            if fact.price * fact.weight_ppm <= price * lots.weights[other]:
                raise Breach("A2 recomputed", "a bid that is not better")
        lots.standing, lots.deadline_ms = (fact.bidder, fact.price), fact.deadline_ms

    def _check_heard(
        self,
        auction: bytes,
        kind: str,
        lots: Lots,
        there: Collection[bytes],
    ) -> None:
        """A1: what every honest member held in time is there."""
        for (said, id_, bidder), heard_ms in self._heard.items():
            if (said, id_) != (kind, auction) or bidder in there:
                continue
            if heard_ms <= lots.deadline_ms - SKEW_MS and not (
                kind == "open" and lots.sealed.get(bidder) is None
            ):
                name = self.world.by_key[bidder].name
                raise Breach("A1 timely words count", f"{kind} of {name} is missing")

    def _check_end(self, fact: AuctionEnded) -> None:
        lots = self._open.pop(fact.auction)
        if fact.terms.kind == "english":
            due = [] if lots.standing is None else [lots.standing]
        else:
            self._check_heard(fact.auction, "open" if lots.seed else "seal", lots, lots.opened)
            if {each.bidder: each.bundles[0].price for each in fact.bids} != lots.opened:
                raise Breach("A2 recomputed", "other bids than were opened")
            due = find_awards(lots, fact.auction)
        got = [(award.winner, award.price) for award in fact.awards]
        if sorted(got) != sorted(due):
            raise Breach("A2 recomputed", f"awards {[p for _, p in got]}, {[p for _, p in due]}")
        self._check_moves(fact, lots, dict(due))
        lot = fact.terms.lots[0]
        for winner, _ in due:
            worth = self.world.by_key[winner].compute_worth(lot.name)
            self.gains[winner] = self.gains.get(winner, 0) + worth
            self.gains[fact.opener] = self.gains.get(fact.opener, 0) - lot.limit
            self.sold += 1

    def _check_moves(self, fact: AuctionEnded, lots: Lots, prices: dict[bytes, int]) -> None:
        """Winners pay their prices; who did not open loses its deposit; nobody else pays."""
        paid: dict[bytes, int] = {}
        for move in fact.moves:
            if move.source_bucket == "locked" and move.target != move.source:
                paid[move.source] = paid.get(move.source, 0) + move.amount
        silent = {key for key, seal in lots.sealed.items() if seal is not None} - set(lots.opened)
        due = prices | dict.fromkeys(silent, fact.terms.cap)
        if paid != {key: amount for key, amount in due.items() if amount}:
            raise Breach("A5 deposits end once", "somebody pays what is not due")


def find_awards(lots: Lots, auction: bytes) -> list[tuple[bytes, int]]:
    """Winners and prices of a sealed auction, by trying prices."""
    bids, units, limit = lots.opened, lots.terms.units, lots.terms.lots[0].limit
    winners = _rank(bids, lots, auction)[:units]
    if lots.terms.kind == "first_price":
        return [(winner, bids[winner]) for winner in winners]
    awards = []
    for winner in winners:
        low, high = limit, bids[winner]
        while low < high:
            middle = (low + high) // 2
            if winner in _rank({**bids, winner: middle}, lots, auction)[:units]:
                high = middle
            else:
                low = middle + 1
        awards.append((winner, low))
    return awards


def _rank(bids: dict[bytes, int], lots: Lots, auction: bytes) -> list[bytes]:
    assert lots.seed is not None
    seed, least = lots.seed, lots.terms.lots[0].limit
    counted = [bidder for bidder, price in bids.items() if price >= least]
    return sorted(
        counted,
        key=lambda bidder: (
            -Fraction(bids[bidder] * lots.weights[bidder]),
            digest_of(seed, auction, bidder),
        ),
    )

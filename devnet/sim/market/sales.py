"""Judges general auctions: who was heard, what was opened, who wins what for how much."""

import hashlib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from crdt.facts import COMMON, Fact
from crdt.facts_auctions import (
    AuctionBegan,
    AuctionBidCommitted,
    AuctionBidRevealed,
    AuctionBidsClosed,
    AuctionCancelled,
    AuctionEnded,
    AuctionTerms,
    BidPlaced,
    Delivered,
    DeliveryEnded,
)
from devnet.sim.market import winners
from devnet.sim.market.fold import MILLION, Breach, LogFold, compute_weight, list_flows
from devnet.sim.market.goods import BUDGET, LIMIT, get_names, make_blob
from devnet.sim.market.leaders import SKEW_MS
from identity import cbor
from protocols.economy.operations_auctions import (
    AcceptDelivery,
    AcceptPrice,
    CommitAuctionBid,
    Deliver,
    PlaceBid,
    RevealAuctionBid,
)

if TYPE_CHECKING:
    from devnet.sim.market.world import MarketWorld

WORDS = {
    CommitAuctionBid: "seal",
    RevealAuctionBid: "open",
    PlaceBid: "put",
    AcceptPrice: "take",
    Deliver: "deliver",
    AcceptDelivery: "answer",
}
Flows = Counter[tuple[bytes, str]]


@dataclass
class Lots:
    """What the log says of an auction under way."""

    opener: bytes
    terms: AuctionTerms
    opened_ms: int
    deadline_ms: int
    sealed: dict[bytes, bytes | None] = field(default_factory=dict)
    opened: dict[bytes, tuple[tuple[bytes, int], ...]] = field(default_factory=dict)
    weights: dict[bytes, int] = field(default_factory=dict)
    seed: bytes | None = None
    standing: tuple[bytes, int] | None = None
    owed: dict[bytes, tuple[bytes, int]] = field(default_factory=dict)
    """Lots and price of each winner that waits for its delivery."""
    delivered: set[bytes] = field(default_factory=set)
    settled_ms: int = 0
    """When the last delivery was said, or given up: from then on payers answer."""


class Sales:
    """The part of the referee that looks at general auctions. Its methods raise Breach."""

    def __init__(self, world: "MarketWorld", fold: LogFold) -> None:
        self.world, self.fold = world, fold
        self.gains: dict[bytes, int] = {}
        """What sales were worth to each: things won, things given away."""
        self.sold: Counter[tuple[str, str]] = Counter()
        """Lots by kind and direction."""
        self.ended = 0
        self.rights: set[bytes] = set()
        """Auctions of rights to set a variable: nothing else is handed over in them."""
        self.won: dict[bytes, tuple[bytes, int] | None] = {}
        """The winner of each right and what it paid."""
        self._open: dict[bytes, Lots] = {}
        self._heard: dict[tuple[str, bytes, bytes], int] = {}
        self._salts: dict[tuple[bytes, bytes], list[tuple[list[list[object]], bytes]]] = {}
        self._limits: dict[tuple[bytes, bytes], list[int]] = {}
        self._answers: dict[tuple[bytes, bytes, bytes], list[int]] = {}

    def hear(self, signer: bytes, body: object, heard_ms: int) -> None:
        """An honest party said this, and every honest member holds it from `heard_ms` on."""
        for kind, word in WORDS.items():
            if isinstance(body, kind):
                self._heard.setdefault((word, body.auction, signer), heard_ms)

    def take_openings(self, signer: bytes, body: object) -> None:
        """Remember what an ordered operation says beyond its facts."""
        match body:
            case RevealAuctionBid():
                priced: list[list[object]] = [[each.lots, each.price] for each in body.bundles]
                self._salts.setdefault((body.auction, signer), []).append((priced, body.salt))
            case PlaceBid():
                self._heard.pop(("put", body.auction, signer), None)
            case AcceptPrice():
                self._heard.pop(("take", body.auction, signer), None)
                self._limits.setdefault((body.auction, signer), []).append(body.limit)
            case AcceptDelivery():
                place = (body.auction, body.winner, signer)
                self._answers.setdefault(place, []).append(body.paid_ppm)

    def check(self, fact: Fact, digest: bytes) -> None:
        match fact:
            case AuctionBegan():
                self._check_opening_flows(fact)
                self._open[fact.auction] = Lots(
                    fact.opener, fact.terms, self.world.state.time_ms, fact.deadline_ms
                )
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
            case AuctionCancelled():
                lots = self._open.pop(fact.auction)
                if lots.sealed or lots.standing is not None:
                    raise Breach("A1 timely words count", "cancelled with bids")
            case Delivered():
                self._check_delivered(fact)
            case DeliveryEnded():
                self._check_delivery_end(fact)

    # --- what stands at stake ------------------------------------------------------------------

    def _compute_bid_deposit(self, terms: AuctionTerms) -> int:
        if terms.direction == "forward":
            return terms.cap
        limits = [lot.limit for lot in terms.lots]
        most = sum(limits) if terms.kind == "combinatorial" else max(limits)
        return most * self.world.state.parameters.deposit_ppm // MILLION

    def _compute_seller_deposit(self, terms: AuctionTerms) -> int:
        if terms.direction == "reverse" or not terms.delivery_ms:
            return 0
        return terms.cap * self.world.state.parameters.deposit_ppm // MILLION

    def _check_flows(self, fact: Fact, due: Flows) -> None:
        """The fact moves what it should, net, beside fees."""
        got = list_flows(fact.moves)
        if got != {place: amount for place, amount in due.items() if amount}:
            raise Breach("A5 deposits end once", f"{type(fact).__name__} moves what is not due")

    def _check_opening_flows(self, fact: AuctionBegan) -> None:
        terms, opener, due = fact.terms, fact.opener, Flows()
        most = terms.units if terms.kind == "multi_unit" else len(terms.lots)
        if terms.direction == "reverse":
            _pay(due, opener, "free", opener, "escrow", self._compute_budget(terms))
        _pay(due, opener, "free", opener, "locked", self._compute_seller_deposit(terms) * most)
        self._check_flows(fact, due)

    def _compute_budget(self, terms: AuctionTerms) -> int:
        return sum(lot.limit for lot in terms.lots) * terms.units

    # --- bids ----------------------------------------------------------------------------------

    def _check_seal(self, fact: AuctionBidCommitted) -> None:
        lots = self._open[fact.auction]
        if lots.seed is not None or fact.bidder in lots.sealed or fact.bidder == lots.opener:
            raise Breach("A3 committed before the close", fact.bidder.hex()[:8])
        self._check_weight(lots, fact.bidder, fact.weight_ppm)
        lots.sealed[fact.bidder] = fact.commitment
        deposit = self._compute_bid_deposit(lots.terms) if fact.commitment is not None else 0
        due = Flows()
        _pay(due, fact.bidder, "free", fact.bidder, "locked", deposit)
        self._check_flows(fact, due)

    def _check_weight(self, lots: Lots, bidder: bytes, weight_ppm: int) -> None:
        if not lots.terms.bidders and weight_ppm != compute_weight(self.fold.scores.get(bidder, 0)):
            raise Breach("A2 recomputed", "a weight that is not the snapshot's")
        lots.weights[bidder] = weight_ppm

    def _check_opening(self, fact: AuctionBidRevealed) -> None:
        lots, place = self._open[fact.auction], self.world.committee
        if lots.seed is None:
            raise Breach("A4 no reveal before the close", fact.bidder.hex()[:8])
        shown = [[each.lots, each.price] for each in fact.bundles]
        for priced, salt in self._salts.get((fact.auction, fact.bidder), ()):
            who = [place.network, place.id, fact.auction, fact.bidder]
            content = ["econode/auction-bid", *who, priced, salt]
            seal = hashlib.sha256(cbor.encode(content)).digest()
            if seal == lots.sealed.get(fact.bidder) and priced == shown:
                lots.opened[fact.bidder] = tuple((each.lots, each.price) for each in fact.bundles)
                return
        raise Breach("A3 committed before the close", f"{fact.bidder.hex()[:8]} opens another bid")

    def _check_placed(self, fact: BidPlaced) -> None:
        lots = self._open[fact.auction]
        terms, is_forward = lots.terms, lots.terms.direction == "forward"
        self._check_weight(lots, fact.bidder, fact.weight_ppm)
        if fact.bidder == lots.opener:
            raise Breach("A2 recomputed", "the opener bids")
        due = Flows()
        if lots.standing is not None:
            other, price = lots.standing
            weight = lots.weights[other]
            if is_forward:
                is_better = fact.price * fact.weight_ppm >= (price + terms.increment) * weight
            else:
                is_better = fact.price * weight <= (price - terms.increment) * fact.weight_ppm
            if not is_better:
                raise Breach("A2 recomputed", "a bid that is not better")
            freed = price if is_forward else self._compute_bid_deposit(terms)
            _pay(due, other, "locked", other, "free", freed)
        deposit = fact.price if is_forward else self._compute_bid_deposit(terms)
        _pay(due, fact.bidder, "free", fact.bidder, "locked", deposit)
        self._check_flows(fact, due)
        now_ms, hard_ms = (
            self.world.state.time_ms,
            lots.opened_ms + terms.bid_ms + terms.extend_ms_max,
        )
        moved_ms = min(now_ms + terms.extend_ms, hard_ms)
        end_ms = max(lots.deadline_ms, moved_ms) if moved_ms > now_ms else lots.deadline_ms
        if fact.deadline_ms != end_ms:
            raise Breach("A1 timely words count", "a late bid that nobody can answer")
        lots.standing, lots.deadline_ms = (fact.bidder, fact.price), fact.deadline_ms

    def _check_heard(self, auction: bytes, kind: str, lots: Lots, there: Collection[bytes]) -> None:
        """A1: what every honest member held in time is there."""
        for (said, id_, bidder), heard_ms in self._heard.items():
            if (said, id_) != (kind, auction) or bidder in there:
                continue
            if heard_ms <= lots.deadline_ms - SKEW_MS and not (
                kind == "open" and lots.sealed.get(bidder) is None
            ):
                name = self.world.by_key[bidder].name
                raise Breach("A1 timely words count", f"{kind} of {name} is missing")

    def _check_word(self, word: tuple[str, bytes, bytes], deadline_ms: int) -> None:
        heard_ms = self._heard.get(word)
        if heard_ms is not None and heard_ms <= deadline_ms - SKEW_MS:
            name = self.world.by_key[word[2]].name
            raise Breach("A1 timely words count", f"{word[0]} of {name} is missing")

    # --- results -------------------------------------------------------------------------------

    def _check_end(self, fact: AuctionEnded) -> None:
        lots = self._open[fact.auction]
        got = sorted((award.winner, award.lots, award.price) for award in fact.awards)
        if fact.terms.kind in ("english", "dutch"):
            due = self._find_open_awards(fact, lots)
        else:
            if lots.seed:
                self._check_heard(fact.auction, "open", lots, lots.opened)
            else:  # nobody sealed a price: those who passed have spoken, too
                self._check_heard(fact.auction, "seal", lots, lots.sealed)
            shown = {
                bid.bidder: tuple((each.lots, each.price) for each in bid.bundles)
                for bid in fact.bids
            }
            if shown != lots.opened:
                raise Breach("A2 recomputed", "other bids than were opened")
            if any(
                bid.weight_ppm != lots.weights.get(bid.bidder, bid.weight_ppm) for bid in fact.bids
            ):
                raise Breach("A2 recomputed", "other weights than were said")
            due = self._find_sealed_awards(fact, got)
        if got != due:
            raise Breach("A2 recomputed", f"awards {[a[1:] for a in got]}, {[a[1:] for a in due]}")
        self._check_flows(fact, self._list_result_flows(fact, lots, got))
        self._hand_out(fact, lots, got)

    def _find_open_awards(self, fact: AuctionEnded, lots: Lots) -> list[winners.Award]:
        if fact.terms.kind == "english":
            self._check_heard(fact.auction, "put", lots, ())
            return [] if lots.standing is None else [(lots.standing[0], b"\x00", lots.standing[1])]
        if not fact.bids:
            self._check_heard(fact.auction, "take", lots, ())
            return []
        bid, terms = fact.bids[0], fact.terms
        self._check_weight(lots, bid.bidder, bid.weight_ppm)
        moved = terms.step * ((self.world.state.time_ms - lots.opened_ms) // terms.step_ms)
        limit, said = terms.lots[0].limit, self._limits.get((fact.auction, bid.bidder), [])
        if terms.direction == "forward":
            clock = max(limit, terms.start - moved)
            price = min(terms.cap, -(-clock * MILLION // bid.weight_ppm))
            is_agreed = any(price <= each for each in said)
        else:
            price = max(1, min(limit, terms.start + moved) * bid.weight_ppm // MILLION)
            is_agreed = any(price >= each for each in said)
        if not is_agreed or len(fact.bids) > 1 or bid.bidder == lots.opener:
            raise Breach("A3 committed before the close", "a price that nobody accepted")
        return [(bid.bidder, b"\x00", price)]

    def _find_sealed_awards(
        self, fact: AuctionEnded, got: list[winners.Award]
    ) -> list[winners.Award]:
        """What should be; where the work did not suffice, what is, if it is no worse than said."""
        sealed = winners.make_sealed(fact.terms, fact.bids, fact.seed, fact.auction)
        is_exact = not fact.gap_ppm and not any(award.approximate for award in fact.awards)
        if fact.terms.kind != "combinatorial" or is_exact:
            return winners.find_awards(sealed)
        best, _, _ = winners.find_best(sealed)
        gain, taken = 0, 0
        for winner, lots, price in got:
            bid = next((p for each, p in sealed.bids[winner] if each == lots), None)
            mask = sum(1 << lot for lot in lots)
            if bid is None or taken & mask:
                raise Breach("A2 recomputed", "winners that may not win together")
            gain, taken = gain + winners.compute_gain(sealed, winner, lots, bid), taken | mask
            if price > bid if fact.terms.direction == "forward" else price < bid:
                raise Breach("A2 recomputed", "a winner loses")
        if len({winner for winner, _, _ in got}) < len(got) or (
            (best - gain) * MILLION > (fact.gap_ppm + 1) * best
        ):
            raise Breach("A2 recomputed", f"a gap beyond {fact.gap_ppm} ppm")
        return got

    def _list_result_flows(
        self, fact: AuctionEnded, lots: Lots, awards: list[winners.Award]
    ) -> Flows:
        """Winners pay their prices; who did not open loses its deposit; all else comes back."""
        terms, opener, due = fact.terms, lots.opener, Flows()
        is_forward, waits = terms.direction == "forward", terms.delivery_ms > 0
        won = {winner: price for winner, _, price in awards}
        deposits = self._list_deposits(lots, awards)
        silent = {key for key, seal in lots.sealed.items() if seal is not None} - set(lots.opened)
        for key, deposit in deposits.items():
            if key in silent:
                _pay(due, key, "locked", COMMON, "burned", deposit)
            elif key not in won:
                _pay(due, key, "locked", key, "free", deposit)
            elif is_forward:
                _pay(due, key, "locked", key, "free", deposit - won[key])
                target = (key, "escrow") if waits else (opener, "free")
                _pay(due, key, "locked", *target, won[key])
            elif not waits:
                _pay(due, key, "locked", key, "free", deposit)
                _pay(due, opener, "escrow", key, "free", won[key])
        if terms.kind == "dutch":  # locked by the same word that ends it
            for key, deposit in deposits.items():
                _pay(due, key, "free", key, "locked", deposit)
        if is_forward:
            most = terms.units if terms.kind == "multi_unit" else len(terms.lots)
            kept = self._compute_seller_deposit(terms) * (most - len(won))
            _pay(due, opener, "locked", opener, "free", kept)
        else:
            rest = self._compute_budget(terms) - sum(won.values())
            _pay(due, opener, "escrow", opener, "free", rest)
        return due

    def _list_deposits(self, lots: Lots, awards: list[winners.Award]) -> dict[bytes, int]:
        flat = self._compute_bid_deposit(lots.terms)
        if lots.terms.kind in ("english", "dutch"):
            is_forward = lots.terms.direction == "forward"
            return {winner: price if is_forward else flat for winner, _, price in awards}
        return {key: flat for key, seal in lots.sealed.items() if seal is not None}

    def _hand_out(self, fact: AuctionEnded, lots: Lots, awards: list[winners.Award]) -> None:
        self.ended += 1
        self.sold[fact.terms.kind, fact.terms.direction] += len(awards)
        if fact.auction in self.rights:
            del self._open[fact.auction]
            self.won[fact.auction] = (awards[0][0], awards[0][2]) if awards else None
            return
        if fact.terms.delivery_ms and awards:
            lots.owed = {winner: (things, price) for winner, things, price in awards}
            if fact.deadline_ms is None:
                raise Breach("A2 recomputed", "a delivery without an end")
            lots.deadline_ms = fact.deadline_ms
            return
        del self._open[fact.auction]
        for winner, things, _ in awards:
            self._give(lots, winner, things)

    def _give(self, lots: Lots, winner: bytes, things: bytes) -> None:
        """The things change hands."""
        terms, party = lots.terms, self.world.by_key[winner]
        value = party.appraise(get_names(terms, things), terms.direction)
        is_forward = terms.direction == "forward"
        one = -LIMIT if is_forward else BUDGET
        self._gain(winner, value if is_forward else -value)
        self._gain(lots.opener, one * party.scale * len(things))

    def _gain(self, account: bytes, amount: int) -> None:
        self.gains[account] = self.gains.get(account, 0) + amount

    # --- deliveries ----------------------------------------------------------------------------

    def _check_delivered(self, fact: Delivered) -> None:
        lots = self._open[fact.auction]
        seller = lots.opener if lots.terms.direction == "forward" else fact.winner
        if fact.party != seller or fact.winner not in lots.owed or fact.winner in lots.delivered:
            raise Breach("A2 recomputed", "delivered by somebody else, or twice")
        lots.delivered.add(fact.winner)
        lots.settled_ms = self.world.state.time_ms
        if fact.blob == make_blob(fact.auction, fact.winner):
            self._give(lots, fact.winner, lots.owed[fact.winner][0])

    def _check_delivery_end(self, fact: DeliveryEnded) -> None:
        lots, winner = self._open[fact.auction], fact.winner
        terms, is_forward = lots.terms, lots.terms.direction == "forward"
        seller, payer = (lots.opener, winner) if is_forward else (winner, lots.opener)
        _, price = lots.owed.pop(winner)
        deposit = (
            self._compute_seller_deposit(terms) if is_forward else self._compute_bid_deposit(terms)
        )
        due, paid = Flows(), 0
        answers = self._answers.get((fact.auction, winner, payer), [])
        if fact.outcome == "undelivered":
            if winner in lots.delivered:
                raise Breach("A1 timely words count", "a delivery is forgotten")
            self._check_word(("deliver", fact.auction, seller), lots.deadline_ms)
            lots.settled_ms = self.world.state.time_ms
            _pay(due, payer, "escrow", payer, "free", price)
            _pay(due, seller, "locked", payer, "free", deposit)
        else:
            if winner not in lots.delivered or (fact.outcome == "accepted") != bool(answers):
                raise Breach("A2 recomputed", f"{fact.outcome}, {len(answers)} answers")
            if not answers:
                deadline_ms = lots.settled_ms + terms.accept_ms
                self._check_word(("answer", fact.auction, payer), deadline_ms)
            paid = price * answers[0] // MILLION if answers else price
            _pay(due, payer, "escrow", seller, "free", paid)
            _pay(due, payer, "escrow", COMMON, "burned", price - paid)
            _pay(due, seller, "locked", seller, "free", deposit)
        if (fact.price, fact.paid) != (price, paid):
            raise Breach("A2 recomputed", f"paid {fact.paid}, {paid} is right")
        self._check_flows(fact, due)
        if not lots.owed:
            del self._open[fact.auction]


def _pay(due: Flows, source: bytes, at: str, target: bytes, to: str, amount: int) -> None:
    due[source, at] -= amount
    due[target, to] += amount

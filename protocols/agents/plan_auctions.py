"""From what is wanted to operations in general auctions: bid, and open what was sealed.

Salts are derived from the agent's secret. What was sealed is told by the caller, who keeps it on
disk before it sends a seal: a bid by hand follows from nothing else, and whoever cannot open a
seal loses the deposit.
"""

import hmac
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crdt.facts_auctions import AuctionPhase, BundleBid
from protocols.agents.inventories import find_word
from protocols.agents.strategies import Decision, SeededChance, View, Worth
from protocols.agents.wants import Want, find_want
from protocols.auction.commit_reveal import compute_auction_commitment
from protocols.committee import Committee
from protocols.economy.auction_model import OPEN_PHASES, AuctionView
from protocols.economy.auction_terms import compute_bid_deposit
from protocols.economy.operations import AnyBody, Operation
from protocols.economy.operations_auctions import (
    AcceptPrice,
    CommitAuctionBid,
    PlaceBid,
    RevealAuctionBid,
)
from protocols.economy.state import EconomyState

Bundles = tuple[BundleBid, ...]
SealedBids = Mapping[bytes, Collection[Bundles]]
"""What was sealed, by auction; several where it is not known which of them was ordered."""
Said = tuple[AuctionPhase, bytes]
"""The phase and the auction that a submitted operation answers."""


@dataclass(frozen=True, slots=True)
class Act:
    """An operation to submit now. `bundles` are what it bids, for `want`; both are to be kept
    before it is sent. `deposit` is what it locks."""

    auction: bytes
    body: AnyBody
    bundles: Bundles = ()
    want: Want | None = None
    deposit: int = 0


@dataclass(slots=True)
class Plan:
    """What to submit now, and when to look again although nothing is ordered meanwhile: at an
    agreed time at which the price of a dutch auction will be right."""

    acts: list[Act] = field(default_factory=list)
    wake_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Trader:
    """An account's means in the auctions of one committee. `passes`: where it is listed and wants
    nothing, it says so, and nobody waits for it."""

    committee: Committee
    me: bytes
    secret: bytes
    wants: tuple[Want, ...] = ()
    passes: bool = False

    def plan(
        self,
        state: EconomyState,
        sealed: SealedBids,
        left: Mapping[str, int],
        now_ms: int,
        pending: Sequence[Operation] = (),
    ) -> Plan:
        """`left`: how many units each want has room for, by name. `now_ms`: what the committee's
        time will be about when an operation is ordered. `pending`: own operations that are not
        executed yet; what they say is not said twice."""
        said = {word for operation in pending if (word := find_word(operation)) is not None}
        plan = Plan()
        plan.acts += self._open_seals(state, sealed, said)
        self._bid(state, dict(left), now_ms, said, plan)
        return plan

    def compute_seal(self, auction: bytes, bundles: Bundles) -> bytes:
        """The commitment of a bid by this account."""
        place = self.committee
        priced = [(bundle.lots, bundle.price) for bundle in bundles]
        salt = self.derive(auction, "salt")
        return compute_auction_commitment(place.network, place.id, auction, self.me, priced, salt)

    def derive(self, auction: bytes, kind: str) -> bytes:
        """HMAC-SHA256 of the auction under the secret; `kind` is "salt" or "rng"."""
        return hmac.digest(self.secret, b"auction" + auction + kind.encode(), "sha256")

    # --- opening what was sealed ----------------------------------------------------------------

    def _open_seals(
        self, state: EconomyState, sealed: SealedBids, said: set[Said]
    ) -> Iterator[Act]:
        for duty in state.auction_duties(self.me):
            if duty.kind != "reveal" or (duty.phase, duty.auction) in said:
                continue
            for bundles in sealed.get(duty.auction, ()):
                if self.compute_seal(duty.auction, bundles) == duty.commitment:
                    salt = self.derive(duty.auction, "salt")
                    yield Act(duty.auction, RevealAuctionBid(duty.auction, bundles, salt))
                    break

    # --- bidding --------------------------------------------------------------------------------

    def _bid(
        self,
        state: EconomyState,
        left: dict[str, int],
        now_ms: int,
        said: set[Said],
        plan: Plan,
    ) -> None:
        if not self.wants and not self.passes:
            return
        free = state.stake.get(self.me, "free")
        for seen in state.auctions():
            is_open = seen.stage in OPEN_PHASES and not seen.overdue
            answered = (seen.stage, seen.auction) in said
            if not is_open or answered or not state.may_speak(seen.auction, self.me):
                continue
            fee = state.parameters.operation_fee * (len(plan.acts) + 1)
            act = self._answer(state, seen, left, now_ms, free - fee, plan)
            if act is not None:
                free -= act.deposit
                plan.acts.append(act)
                if act.want is not None:
                    _take_room(left, act.want, act.bundles)

    def _answer(
        self,
        state: EconomyState,
        seen: AuctionView,
        left: dict[str, int],
        now_ms: int,
        free: int,
        plan: Plan,
    ) -> Act | None:
        again = {} if self.me in seen.bidders else left  # an english bid goes on with its own room
        found = find_want(self.wants, seen.terms, again)
        if found is not None:
            want, worth = found
            decision = self._decide(state, seen, want, worth, now_ms, free)
            act = self._make_act(state, seen, want, decision, now_ms, plan)
            if act is not None and act.deposit <= free:
                return act
            if decision.bundles and act is None:
                return None  # it waits for a better price
        if self.passes and self.me in seen.waiting and seen.stage == "auction_commit":
            return Act(seen.auction, CommitAuctionBid(seen.auction, None))
        return None

    def _decide(
        self,
        state: EconomyState,
        seen: AuctionView,
        want: Want,
        worth: tuple[Worth, ...],
        now_ms: int,
        free: int,
    ) -> Decision:
        terms = seen.terms
        view = View(
            kind=terms.kind,
            direction=terms.direction,
            auction=seen.auction,
            worth=worth[: state.parameters.auction_bundles_max],
            margin_ppm=want.margin_ppm,
            pricing=terms.pricing,
            cap=terms.cap,
            rivals=len(terms.bidders) - 1 if terms.bidders else None,
            price=state.quote(seen.auction, self.me, now_ms),
            leads=seen.standing == self.me,
            free=free,
        )
        return want.strategy.decide(view, SeededChance(self.derive(seen.auction, "rng")))

    def _make_act(
        self,
        state: EconomyState,
        seen: AuctionView,
        want: Want,
        decision: Decision,
        now_ms: int,
        plan: Plan,
    ) -> Act | None:
        bundles, terms, auction = decision.bundles, seen.terms, seen.auction
        if not bundles:
            return None
        price = bundles[0].price
        deposit = price
        if terms.direction == "reverse" or seen.stage == "auction_commit":
            deposit = compute_bid_deposit(state.parameters, terms)
        if seen.stage == "auction_commit":
            seal = self.compute_seal(auction, bundles)
            return Act(auction, CommitAuctionBid(auction, seal), bundles, want, deposit)
        if seen.stage == "auction_bid":
            return Act(auction, PlaceBid(auction, price), bundles, want, deposit)
        due_ms = self._find_time(state, seen, price, now_ms)
        if due_ms is None:
            return None
        if due_ms <= now_ms:
            return Act(auction, AcceptPrice(auction, price), bundles, want, deposit)
        plan.wake_ms = due_ms if plan.wake_ms is None else min(plan.wake_ms, due_ms)
        return None

    def _find_time(
        self, state: EconomyState, seen: AuctionView, limit: int, now_ms: int
    ) -> int | None:
        """When a dutch price is `limit` or better for this account; None if never."""
        first, last = now_ms, max(now_ms, seen.stage_deadline_ms - 1)

        def is_right(time_ms: int) -> bool:
            price = state.quote(seen.auction, self.me, time_ms)
            if price is None:
                return False
            return price <= limit if seen.terms.direction == "forward" else price >= limit

        if not is_right(last):
            return None
        while first < last:
            middle = (first + last) // 2
            if is_right(middle):
                last = middle
            else:
                first = middle + 1
        return first


def count_units(bundles: Bundles) -> int:
    """The most lots that a bidder can win by these bundles (XOR)."""
    return max((len(bundle.lots) for bundle in bundles), default=0)


def _take_room(left: dict[str, int], want: Want, bundles: Bundles) -> None:
    left[want.name] = left.get(want.name, want.units_max) - count_units(bundles)

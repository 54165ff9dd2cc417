"""Commands of the text scenarios about general auctions, and how their facts are told.

auction NAME KIND DIRECTION [limit=10 lots=a:10,b:5 for=m1,m2 TERM=VALUE ...]
seal NAME AUCTION BID|pass        BID: 25, or 0:30/01:50 (lots by place, then the price)
unseal NAME AUCTION BID [salt=TEXT]
put NAME AUCTION PRICE            an open bid
take NAME AUCTION LIMIT           accept the price of a dutch auction
retract NAME AUCTION              cancel
deliver NAME AUCTION WINNER [BLOB]
pay NAME AUCTION WINNER PPM       accept a delivery
held NAME AUCTION PHASE [PARTY ...]
auctions                          those under way, and what is due
asked NAME                        duties in them
"""

from abc import ABC, abstractmethod
from typing import Any

import msgspec

from crdt.facts import AuctionBegan, AuctionEnded, Fact
from crdt.facts_auctions import AuctionTerms, BundleBid, Lot
from protocols.auction.clearing import Contest, NeedsSolution, Outcome, clear
from protocols.auction.commit_reveal import compute_auction_commitment
from protocols.economy.operations import Body, Held, Inventory
from protocols.economy.operations_auctions import (
    AcceptDelivery,
    AcceptPrice,
    CancelAuction,
    CommitAuctionBid,
    Deliver,
    OpenAuction,
    PlaceBid,
    RevealAuctionBid,
)
from tests.economy.world import World, digest

DEFAULTS: dict[str, dict[str, Any]] = {
    "english": {"bid_ms": 10_000, "increment": 1, "extend_ms": 2_000, "extend_ms_max": 5_000},
    "dutch": {"bid_ms": 10_000, "start": 100, "step": 10, "step_ms": 1_000},
}
SEALED = {"bid_ms": 4_000, "reveal_ms": 4_000}


def make_terms(kind: str, direction: str, **changes: Any) -> AuctionTerms:
    """Terms that are in order for the kind, with `changes`."""
    limit = changes.pop("limit", 10)
    lots = changes.pop("lots", (Lot("a", limit),))
    plain: dict[str, Any] = {"kind": kind, "direction": direction, "lots": lots}
    plain |= DEFAULTS.get(kind, SEALED)
    plain["cap"] = 100 if direction == "forward" else 0
    if kind == "dutch" and direction == "reverse":
        plain["start"] = 1
    return AuctionTerms(**(plain | changes))


def parse_bid(text: str) -> tuple[BundleBid, ...]:
    if ":" not in text:
        return (BundleBid(b"\0", int(text)),)
    parts = (part.split(":") for part in text.split("/"))
    return tuple(BundleBid(bytes(map(int, lots)), int(price)) for lots, price in parts)


def seal_bid(
    world: World, name: str, auction: bytes, bundles: tuple[BundleBid, ...], salt: str = "salt"
) -> bytes:
    place = world.committee
    priced = [(bundle.lots, bundle.price) for bundle in bundles]
    return compute_auction_commitment(
        place.network, place.id, auction, world.keys[name], priced, digest(salt)
    )


class AuctionCommands(ABC):
    """The part of the runner that plays general auctions."""

    world: World
    words: dict[bytes, str]
    auctions: dict[str, bytes]

    @abstractmethod
    def submit(self, name: str, body: Body) -> list[str]:
        """The facts of one operation, told."""

    def do_auction(self, name: str, kind: str, direction: str, **options: str) -> list[str]:
        changes: dict[str, Any] = {}
        for key, value in options.items():
            if key == "lots":
                lots = (part.split(":") for part in value.split(","))
                changes["lots"] = tuple(Lot(lot, int(limit)) for lot, limit in lots)
            elif key == "for":
                changes["bidders"] = tuple(
                    sorted(self.world.keys[each] for each in value.split(","))
                )
            else:
                changes[key] = int(value) if value.isdigit() else value
        return self.submit(name, OpenAuction(make_terms(kind, direction, **changes)))

    def do_seal(self, name: str, auction: str, bid: str, **options: str) -> list[str]:
        id_, seal = self.find_auction(auction), None
        if bid != "pass":
            owner = options.get("of", name)
            seal = seal_bid(self.world, owner, id_, parse_bid(bid))
        return self.submit(name, CommitAuctionBid(id_, seal))

    def do_unseal(self, name: str, auction: str, bid: str, salt: str = "salt") -> list[str]:
        id_ = self.find_auction(auction)
        return self.submit(name, RevealAuctionBid(id_, parse_bid(bid), digest(salt)))

    def do_put(self, name: str, auction: str, price: str) -> list[str]:
        return self.submit(name, PlaceBid(self.find_auction(auction), int(price)))

    def do_take(self, name: str, auction: str, limit: str) -> list[str]:
        return self.submit(name, AcceptPrice(self.find_auction(auction), int(limit)))

    def do_retract(self, name: str, auction: str) -> list[str]:
        return self.submit(name, CancelAuction(self.find_auction(auction)))

    def do_deliver(self, name: str, auction: str, winner: str, blob: str = "") -> list[str]:
        data, note = (digest(blob), "") if blob else (None, "sent by post")
        key = self.world.keys[winner]
        return self.submit(name, Deliver(self.find_auction(auction), key, data, note))

    def do_pay(self, name: str, auction: str, winner: str, ppm: str) -> list[str]:
        key = self.world.keys[winner]
        return self.submit(name, AcceptDelivery(self.find_auction(auction), key, int(ppm)))

    def do_held(self, name: str, auction: str, phase: Any, *held: str) -> list[str]:
        parties = tuple(self.world.keys[word] for word in held)
        inventory = Inventory((Held(self.find_auction(auction), 0, phase, parties),))
        return self.submit(name, inventory)

    def do_auctions(self) -> list[str]:
        state = self.world.state
        due_ms = state.next_deadline_ms()
        lines = [f"due {None if due_ms is None else due_ms - self.world.genesis.created_ms}"]
        for view in state.auctions():
            waiting = " ".join(sorted(self.words[key] for key in view.waiting))
            standing = self.words[view.standing] if view.standing else "nobody"
            overdue = " overdue" if view.overdue else ""
            lines.append(
                f"{self.words[view.auction]} {view.stage}{overdue} waits=[{waiting}] "
                f"best={standing} price={view.price}"
            )
        return lines

    def do_asked(self, name: str) -> list[str]:
        duties = self.world.state.auction_duties(self.world.keys[name])
        return [f"{duty.kind} {self.words[duty.auction]} {duty.phase}" for duty in duties]

    def find_auction(self, name: str) -> bytes:
        return self.auctions.get(name, digest(name))

    # --- telling -----------------------------------------------------------------------------

    def note_auction(self, fact: Fact) -> None:
        """Give a new auction its name; a result must follow from its fact alone."""
        if isinstance(fact, AuctionBegan):
            name = f"a{len(self.auctions) + 1}"
            self.auctions[name] = fact.auction
            self.words[fact.auction] = name
        if isinstance(fact, AuctionEnded):
            contest = Contest(fact.auction, fact.terms, fact.opened_ms, fact.bids, fact.seed)
            found = clear(contest)
            outcome = found.found if isinstance(found, NeedsSolution) else found
            assert outcome == Outcome(fact.awards, fact.gap_ppm)

    def tell_struct(self, value: msgspec.Struct) -> str:
        """Bids, bundles and awards in few words."""
        match value:
            case BundleBid(lots, price):
                return f"{_tell_lots(lots)}:{price}"
            case AuctionTerms():
                return f"{value.kind}/{value.direction}"
        name, *rest = (getattr(value, field) for field in value.__struct_fields__)
        told = [self.words.get(name, "?")]
        for each in rest:
            if each is False:
                continue
            if isinstance(each, tuple):
                told += [self.tell_struct(item) for item in each]
            else:
                told.append(_tell_lots(each) if isinstance(each, bytes) else str(each))
        return "(" + " ".join(told) + ")"


def _tell_lots(lots: bytes) -> str:
    return "".join(map(str, lots))

"""Properties of general auctions under random batches: sense and nonsense, at any time."""

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crdt.auctions import ENDED_STATES, AuctionRow, fold_auction, get_auction
from crdt.facts import AuctionBegan, AuctionCancelled, AuctionEnded, DeliveryEnded
from crdt.facts_auctions import BundleBid, Lot
from crdt.stake import StakeView
from identity.schema import U63_MAX
from protocols.auction.clearing import has_rule
from protocols.auction.verify import verify_auction
from protocols.economy.auction_bids import compute_open_deposit, get_standing
from protocols.economy.auction_model import Auction
from protocols.economy.auction_terms import SEALED_KINDS, compute_bid_deposit
from protocols.economy.deliveries import get_payer, get_seller
from protocols.economy.operations import Body, Held, Inventory, Transfer
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
from protocols.economy.state import EconomyState
from tests.economy.auction_commands import make_terms, seal_bid
from tests.economy.world import World, check_receipt, digest

NAMES = ("m1", "m2", "m3", "m4", "alice", "bob")
KINDS = tuple(
    kind
    for kind in (*SEALED_KINDS, "english", "dutch")
    if has_rule(kind)  # type: ignore[arg-type]
)
PRICES = st.sampled_from([1, 5, 9, 10, 11, 40, 99, 100, 101, 5_000, U63_MAX])


class Checker:
    """A world with a twin that is dumped and loaded before each batch; both must agree."""

    def __init__(self) -> None:
        self.world = World(4, auctions_open_max=4)
        self.twin = self.reload(self.world.state)
        self.run([("alice", Transfer(self.world.keys["bob"], 2_000))], 0)
        self.sealed: dict[tuple[bytes, str], tuple[BundleBid, ...]] = {}

    def reload(self, state: EconomyState) -> EconomyState:
        world = self.world
        return EconomyState.load(state.dump(), world.genesis, world.committee, check_receipt)

    def run(self, pairs: list[tuple[str, Body]], wait_ms: int) -> None:
        world = self.world
        operations = world.sign_all(pairs)
        self.twin = self.reload(self.twin)
        facts = world.run(*operations, wait_ms=wait_ms)
        seed = digest(f"batch {world.state.position}")
        again = self.twin.execute(world.state.position, world.time_ms, seed, operations)
        assert facts == again
        assert world.state.dump() == self.twin.dump()
        self.check()

    def check(self) -> None:
        state, books = self.world.state, self.world.state._books
        assert state.stake.is_conserved()
        assert all(value > 0 for value in state.stake.balances().values())
        locked: Counter[bytes] = Counter()
        escrow: Counter[bytes] = Counter()
        for auction in books.general_auctions.values():
            assert auction.escrow >= 0 <= auction.deposit
            escrow[auction.opener] += auction.escrow
            locked[auction.opener] += auction.deposit
            for bidder, amount in self.list_locked(auction):
                locked[bidder] += amount
            for winner, each in auction.agreements.items():
                escrow[get_payer(auction, winner)] += each.award.price
                locked[get_seller(auction, winner)] += each.deposit
        for key in self.world.keys.values():
            assert state.stake.get(key, "locked") == locked[key]
            assert state.stake.get(key, "escrow") == escrow[key]
        due_ms = state.next_deadline_ms()
        assert (due_ms is None) == (not books.general_auctions)
        assert due_ms is None or due_ms > state.time_ms
        assert len(books.general_auctions) <= state.parameters.auctions_open_max

    def list_locked(self, auction: Auction) -> list[tuple[bytes, int]]:
        books = self.world.state._books
        flat = compute_bid_deposit(books.parameters, auction.terms)
        found = [(key, flat) for key, bid in auction.bids.items() if bid.commitment is not None]
        standing = get_standing(auction)
        if standing is not None:
            amount = compute_open_deposit(books, auction, standing.bundles[0].price)
            found.append((standing.bidder, amount))
        return found

    def finish(self) -> None:
        """With nobody saying a word any more everything ends, and nothing is left behind."""
        for _ in range(40):
            due_ms = self.world.state.next_deadline_ms()
            if due_ms is None:
                break
            self.run([], due_ms - self.world.time_ms)
        totals = self.world.state.stake.totals()
        assert not self.world.state._books.general_auctions
        assert totals["locked"] == totals["escrow"] == 0

    def check_log(self) -> None:
        """What anybody can see from the log alone."""
        log = self.world.log
        stake = StakeView()
        rows: dict[bytes, AuctionRow] = {}
        for fact in log:
            stake.apply(fact)
            id_ = get_auction(fact)
            if id_ is not None:
                row = fold_auction(rows.get(id_), fact, 0)
                assert row is not None
                rows[id_] = row
        assert stake.balances() == self.world.state.stake.balances()
        assert all(row.state in ENDED_STATES for row in rows.values())
        opened = Counter(fact.auction for fact in log if isinstance(fact, AuctionBegan))
        over = (AuctionEnded, AuctionCancelled)
        assert opened == Counter(fact.auction for fact in log if isinstance(fact, over))
        delivered = Counter(
            (fact.auction, fact.winner) for fact in log if isinstance(fact, DeliveryEnded)
        )
        owed: Counter[tuple[bytes, bytes]] = Counter()
        for fact in log:
            if isinstance(fact, AuctionEnded):
                verify_auction(fact)
                if fact.deadline_ms is not None:
                    owed.update((fact.auction, award.winner) for award in fact.awards)
        assert delivered == owed


def open_one(data: st.DataObject, checker: Checker) -> None:
    world = checker.world
    direction = data.draw(st.sampled_from(["forward", "reverse"]))
    kind = data.draw(st.sampled_from(KINDS))
    changes: dict[str, Any] = {"limit": data.draw(st.sampled_from([1, 10, 90, 0, 200_000]))}
    if data.draw(st.booleans()):
        changes |= {"delivery_ms": 5_000, "accept_ms": 5_000}
    if kind == "multi_unit":
        changes["units"] = data.draw(st.integers(1, 3))
    if kind in ("combinatorial", "call"):
        changes["lots"] = tuple(Lot(name, changes["limit"]) for name in "abc")
        if kind == "combinatorial":
            changes["pricing"] = data.draw(st.sampled_from(["vcg", "pay_as_bid"]))
    if data.draw(st.booleans()):
        named = data.draw(st.sets(st.sampled_from(NAMES), min_size=1))
        changes["bidders"] = tuple(sorted(world.keys[name] for name in named))
    terms = make_terms(kind, direction, **changes)
    checker.run([(data.draw(st.sampled_from(NAMES)), OpenAuction(terms))], 0)


def draw_bundles(data: st.DataObject, auction: Any) -> tuple[BundleBid, ...]:
    if len(auction.terms.lots) == 1:
        return (BundleBid(b"\0", data.draw(PRICES)),)
    lots = st.sets(st.integers(0, 3), min_size=1, max_size=3).map(lambda each: bytes(sorted(each)))
    chosen = data.draw(st.lists(lots, min_size=1, max_size=3))
    return tuple(BundleBid(each, data.draw(st.integers(1, 60))) for each in chosen)


def act(data: st.DataObject, checker: Checker) -> None:
    """Somebody does what the auction is about, or nearly so."""
    world = checker.world
    views = list(world.state.auctions())
    if not views:
        return open_one(data, checker)
    view = data.draw(st.sampled_from(views))
    name = data.draw(st.sampled_from(NAMES))
    id_ = view.auction
    winners = [each.award.winner for each in view.agreements]
    winner = data.draw(st.sampled_from([*winners, world.keys[name]]))
    match view.stage:
        case "auction_commit":
            bundles = draw_bundles(data, view)
            checker.sealed.setdefault((id_, name), bundles)
            seal = seal_bid(world, name, id_, checker.sealed[id_, name])
            body: Body = CommitAuctionBid(id_, data.draw(st.sampled_from([seal, seal, None])))
        case "auction_reveal":
            bundles = checker.sealed.get((id_, name)) or draw_bundles(data, view)
            body = RevealAuctionBid(id_, bundles, digest("salt"))
        case "auction_bid":
            step = data.draw(st.integers(-1, 30))
            body = PlaceBid(id_, max(1, (view.price or 10) + step))
        case "auction_accept":
            body = AcceptPrice(id_, data.draw(PRICES))
        case "auction_delivery":
            name = world.names[view.opener if view.terms.direction == "forward" else winner]
            body = Deliver(id_, winner, None, "sent")
        case _:
            name = world.names[winner if view.terms.direction == "forward" else view.opener]
            body = AcceptDelivery(id_, winner, data.draw(st.integers(1, 1_000_000)))
    return checker.run([(name, body)], data.draw(st.sampled_from([0, 0, 10, 1_000])))


def babble(data: st.DataObject, checker: Checker) -> None:
    """Any words at any time, inventories too."""
    world = checker.world
    ids = [view.auction for view in world.state.auctions()] or [digest("none")]
    id_, key = st.sampled_from(ids), st.sampled_from(list(world.keys.values()))
    stages = sorted({view.stage for view in world.state.auctions()}) or ["auction_commit"]
    salt, ppm = st.just(digest("salt")), st.integers(1, 1_000_000)
    single = PRICES.map(lambda price: (BundleBid(b"\0", price),))
    words = st.one_of(
        st.builds(CommitAuctionBid, id_, st.sampled_from([None, digest("seal")])),
        st.builds(RevealAuctionBid, id_, single, salt),
        st.builds(PlaceBid, id_, PRICES),
        st.builds(AcceptPrice, id_, PRICES),
        st.builds(CancelAuction, id_),
        st.builds(Deliver, id_, key, st.none(), st.just("")),
        st.builds(AcceptDelivery, id_, key, ppm),
        st.builds(Transfer, key, st.sampled_from([1, 50_000])),
        st.builds(Held, id_, st.integers(0, 1), st.sampled_from(stages), st.tuples(key, key)).map(
            lambda held: Inventory((held,))
        ),
    )
    pairs = data.draw(st.lists(st.tuples(st.sampled_from(NAMES), words), max_size=4))
    checker.run(pairs, data.draw(st.sampled_from([0, 100, 4_000])))


def take_stock(data: st.DataObject, checker: Checker) -> None:
    """Members say what they hold of what is overdue: nothing, or somebody's word."""
    world = checker.world
    held = data.draw(st.sampled_from([(), (world.keys["m4"],)]))
    pairs: list[tuple[str, Body]] = []
    for name in data.draw(st.sets(st.sampled_from(world.members))):
        duties = world.state.auction_duties(world.keys[name])
        pairs += [
            (name, Inventory((Held(duty.auction, 0, duty.phase, held),)))
            for duty in duties
            if duty.kind == "inventory"
        ]
    checker.run(sorted(pairs, key=lambda pair: pair[0]), 0)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow], database=None)
@given(st.data())
def test_no_sequence_of_batches_breaks_the_rules(data: st.DataObject) -> None:
    checker = Checker()
    steps = ("open", "act", "act", "act", "act", "wait", "stock", "babble")
    for _ in range(data.draw(st.integers(1, 30))):
        match data.draw(st.sampled_from(steps)):
            case "open":
                open_one(data, checker)
            case "act":
                act(data, checker)
            case "wait":
                checker.run([], data.draw(st.sampled_from([1, 1_000, 4_000, 10_000, 20_000])))
            case "stock":
                take_stock(data, checker)
            case _:
                babble(data, checker)
    checker.finish()
    checker.check_log()

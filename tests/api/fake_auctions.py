"""General auctions of the fake node: each ends with its first sealed bid; open ones go on."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence

from crdt.auctions import AuctionRow, fold_auction
from crdt.facts import Fact
from crdt.facts_auctions import (
    AuctionAward,
    AuctionBegan,
    AuctionBid,
    AuctionBidCommitted,
    AuctionCancelled,
    AuctionEnded,
    AuctionTerms,
    BidPlaced,
    Lot,
)
from identity.keys import parse_peer_id
from node import service_auctions as service
from node.auction_words import Known, describe, describe_summary, parse_bundles
from node.problem import Problem, not_found

BIDDER = bytes.fromhex("3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29")
WEIGHT_PPM = 950_000
TIME_MS = 1_000


class FakeAuctions:
    """Implements node.service_auctions.AuctionService."""

    def __init__(self, me: bytes, publish: Callable[[Sequence[Fact]], Awaitable[int]]) -> None:
        self._me, self._publish = me, publish
        self._facts: dict[bytes, list[Fact]] = {}
        self._rows: dict[bytes, AuctionRow] = {}

    async def open(self, wanted: service.AuctionOrder) -> service.AuctionOpened:
        lots = tuple(Lot(lot.name, lot.limit, lot.text) for lot in wanted.lots)
        bidders = tuple(sorted(map(parse_peer_id, wanted.bidders)))
        plain = {name: getattr(wanted, name) for name in AuctionTerms.__struct_fields__}
        terms = AuctionTerms(**(plain | {"lots": lots, "bidders": bidders}))
        id_ = hashlib.sha256(b"auction %d" % len(self._rows)).digest()
        deadline_ms = TIME_MS + terms.bid_ms
        began = AuctionBegan(
            auction=id_, opener=self._me, terms=terms, weights_ppm=(), deadline_ms=deadline_ms
        )
        position = await self._tell(id_, began)
        return service.AuctionOpened(auction=id_.hex(), position=position, deadline_ms=deadline_ms)

    async def _tell(self, id_: bytes, *made: Fact) -> int:
        for fact in made:
            self._facts.setdefault(id_, []).append(fact)
            row = fold_auction(self._rows.get(id_), fact, TIME_MS)
            assert row is not None
            self._rows[id_] = row
        return await self._publish(made)

    async def list(
        self, state: service.AuctionState | None, mine: bool, limit: int, cursor: str | None
    ) -> service.AuctionPage:
        rows = [row for _, row in sorted(self._rows.items()) if state in (None, row.state)]
        rows = [row for row in rows if cursor is None or row.auction.hex() > cursor][:limit]
        following = rows[-1].auction.hex() if len(rows) == limit else None
        return service.AuctionPage(auctions=tuple(map(describe_summary, rows)), next=following)

    def _find(self, prefix: str) -> AuctionRow:
        found = [row for id_, row in self._rows.items() if id_.hex().startswith(prefix)]
        if len(found) != 1:
            raise not_found("auction", prefix, "`econode auction list` shows those there are")
        return found[0]

    def _get_terms(self, row: AuctionRow) -> AuctionTerms:
        began = self._facts[row.auction][0]
        assert isinstance(began, AuctionBegan)
        return began.terms

    async def show(self, prefix: str) -> service.Auction:
        row = self._find(prefix)
        return describe(Known(row, self._get_terms(row), self._facts[row.auction], None))

    async def bid(self, prefix: str, wanted: service.AuctionBidOrder) -> service.AuctionBidDone:
        row = self._find(prefix)
        if row.ended_ms is not None:
            raise Problem("auction-closed", "the auction has ended", status=409)
        terms = self._get_terms(row)
        bundles = parse_bundles(terms, wanted)
        if not bundles:
            raise Problem("not-asked", "only named bidders can pass", status=409)
        price = bundles[0].price
        if terms.kind == "english":
            said = "placed"
            made: tuple[Fact, ...] = (
                BidPlaced(
                    auction=row.auction,
                    bidder=BIDDER,
                    weight_ppm=WEIGHT_PPM,
                    price=price,
                    deadline_ms=row.deadline_ms,
                ),
            )
        else:
            said = "sealed"
            made = (
                AuctionBidCommitted(
                    auction=row.auction,
                    bidder=BIDDER,
                    weight_ppm=WEIGHT_PPM,
                    commitment=bytes(32),
                ),
                AuctionEnded(
                    auction=row.auction,
                    opener=row.opener,
                    terms=terms,
                    opened_ms=TIME_MS,
                    seed=bytes(32),
                    bids=(AuctionBid(BIDDER, WEIGHT_PPM, bundles, 0),),
                    silent=(),
                    awards=(AuctionAward(BIDDER, bundles[0].lots, price),),
                    gap_ppm=0,
                    deadline_ms=None,
                ),
            )
        position = await self._tell(row.auction, *made)
        return service.AuctionBidDone(
            auction=row.auction.hex(), said=said, position=position, operation="00" * 32
        )

    async def cancel(self, prefix: str) -> service.AuctionSummary:
        row = self._find(prefix)
        await self._tell(row.auction, AuctionCancelled(auction=row.auction, opener=self._me))
        return describe_summary(self._find(prefix))

    async def deliver(
        self, prefix: str, wanted: service.AuctionDeliverOrder
    ) -> service.AuctionAward:
        self._find(prefix)
        raise Problem("no-agreement", "nobody has an agreement there now", status=409)

    async def accept(self, prefix: str, wanted: service.AuctionAcceptOrder) -> service.AuctionAward:
        self._find(prefix)
        raise Problem("no-agreement", "nobody has an agreement there now", status=409)

    async def certificate(self, prefix: str, wait: bool) -> bytes:
        row = self._find(prefix)
        if row.ended_ms is None:
            raise Problem("no-result", "the auction has no result", status=409)
        return b"a certificate"

    async def plan_tasks(self, wanted: service.TaskPlanOrder) -> service.TaskPlan:
        if wanted.capability != "upper":
            raise not_found("capability", wanted.capability)
        return service.TaskPlan(
            position=0,
            capability=wanted.capability,
            count=wanted.count,
            kind="vickrey",
            direction="reverse",
            why=("the lowest bid wins",),
            bidders=(),
            verifiers=0,
            verifiers_eligible=0,
            escrow=wanted.budget * wanted.count,
            deposit=wanted.budget // 2,
            fees=1,
            operations_min=9,
            operations_max=9,
            messages_per_batch=0,
            messages_min=0,
            waves=1,
            price=7,
            price_from="recent",
            shortest_ms=1_000,
            round_ms_max=9_000,
            obstacles=("too_few_verifiers",) if wanted.budget == 13 else (),
        )

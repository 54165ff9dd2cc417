"""General auctions of one committee behind the local API: `AuctionService` over chain and ledger.

What the committee would refuse, for a fee, is refused here before anything is sent, as far as the
state that this node has tells it.
"""

import dataclasses
from collections.abc import Sequence

import trio

from crdt.auctions import AuctionRow
from crdt.facts import AuctionBegan, AuctionEnded, Fact, decode_fact
from crdt.facts_auctions import AuctionTerms, Bundles, Lot
from identity.keys import compute_peer_id, parse_peer_id
from node import service_auctions as service
from node.account import Ordered
from node.auction_results import make_result_file
from node.auction_words import Known, describe, describe_summary, parse_bundles
from node.driver import read_clock_ms
from node.ledger import FactRow
from node.node_service import PlaceService
from node.place import Place
from node.problem import Problem, not_found
from node.refusals import explain_reason
from node.task_specs import find_capability
from protocols.agents.task_plan import Demand, plan_tasks
from protocols.auction.bundles import find_fault
from protocols.economy import model
from protocols.economy.auction_model import Agreement, AuctionView, compute_auction_id
from protocols.economy.auction_terms import (
    check_terms,
    compute_bid_deposit,
    compute_budget,
    compute_seller_deposit,
    count_awards_max,
)
from protocols.economy.market_model import find_right
from protocols.economy.operations_auctions import (
    AcceptDelivery,
    AcceptPrice,
    CancelAuction,
    CommitAuctionBid,
    Deliver,
    OpenAuction,
    PlaceBid,
)

WORDS_MAX = 512
"""Facts of one kind about one auction that `show` reads: more than bidders, and than winners."""
_WORDS = (
    *("auction_began", "auction_bid_committed", "auction_bid_revealed", "bid_placed"),
    *("auction_ended", "delivered", "delivery_ended"),
)

RECENT_MAX = 20
"""Awards whose median price a plan expects."""


class PlaceAuctions:
    """See `AuctionService` for the contract. `of` is this node in the same committee."""

    def __init__(self, place: Place, of: PlaceService) -> None:
        self._place, self._node = place, place.node
        self._order, self._finish = of.order, of.finish
        self._wait_certified = of.wait_certified
        self._me = place.node.key.public

    # --- reading --------------------------------------------------------------------------------

    async def list(
        self, state: service.AuctionState | None, mine: bool, limit: int, cursor: str | None
    ) -> service.AuctionPage:
        rows = await self._node.ledger.read_auctions(
            self._place.id,
            count_max=limit,
            after=bytes.fromhex(cursor) if cursor else None,
            state=state,
            opener=self._me if mine else None,
        )
        following = rows[-1].auction.hex() if len(rows) == limit else None
        return service.AuctionPage(auctions=tuple(map(describe_summary, rows)), next=following)

    async def show(self, prefix: str) -> service.Auction:
        row = await self._find(prefix)
        state = self._place.chain.state
        view = state.get_auction(row.auction)
        facts, position = await self._read_words(row.auction)
        terms = next(
            (fact.terms for fact in facts if isinstance(fact, AuctionBegan | AuctionEnded)),
            None if view is None else view.terms,
        )
        if terms is None:
            raise Problem(
                "not-held",
                f"auction {row.auction.hex()[:16]} ended while this node fetched a state",
                remedy="ask another node",
                status=409,
            )
        quote = state.quote(row.auction, self._me, self._estimate_time())
        own = self._node.bids.list_sealed(self._place.id).get(row.auction, ())
        return describe(Known(row, terms, facts, view, own, quote, position))

    async def certificate(self, prefix: str, wait: bool) -> bytes:
        row = await self._find(prefix)
        results = await self._read_kind(row.auction, "auction_ended")
        if not results:
            raise Problem(
                "no-result",
                f"auction {row.auction.hex()[:16]} has no result: it is {row.state}",
                remedy="`econode auction show` tells how far it is",
                status=409,
            )
        if self._place is not self._node.main:
            raise Problem(
                "not-the-founding-committee",
                "results of the founding committee are proven in one file",
                remedy="in others: econode ledger export",
                status=409,
            )
        if wait:
            await self._wait_certified(results[0].position)
        return await trio.to_thread.run_sync(
            make_result_file, self._node.home.ledger_path, self._node.genesis, row.auction.hex()
        )

    # --- changing -------------------------------------------------------------------------------

    async def open(self, wanted: service.AuctionOrder) -> service.AuctionOpened:
        terms, rules = _parse_terms(wanted), self._place.chain.state.parameters
        try:
            check_terms(rules, self._me, terms)
        except model.Refused as refused:
            raise explain_reason(refused.reason) from None
        deposit = compute_seller_deposit(rules, terms) * count_awards_max(terms)
        self._require_free(compute_budget(terms) + deposit)
        ordered = await self._order(OpenAuction(terms))
        nonce, network = ordered.request.operation.nonce, self._node.network
        id_ = compute_auction_id(network, self._place.id, self._me, nonce)
        began = next(
            fact for fact in ordered.facts if isinstance(fact, AuctionBegan) and fact.auction == id_
        )
        return service.AuctionOpened(
            auction=id_.hex(), position=ordered.position, deadline_ms=began.deadline_ms
        )

    async def bid(self, prefix: str, wanted: service.AuctionBidOrder) -> service.AuctionBidDone:
        row = await self._find(prefix)
        view = self._get_open(row)
        bundles = parse_bundles(view.terms, wanted)
        self._check_bidder(view)
        if not bundles:
            return await self._pass(view)
        self._check_bundles(view, bundles)
        price = bundles[0].price
        if view.stage == "auction_commit":
            seal = self._place.bidder.trader.compute_seal(view.auction, bundles)
            self._require_free(compute_bid_deposit(self._place.chain.state.parameters, view.terms))
            ordered = await self._place.bidder.bid(
                CommitAuctionBid(view.auction, seal), view.auction, bundles
            )
            return _describe_bid(view, "sealed", await self._finish(ordered))
        self._check_open_price(view, price)
        if view.stage == "auction_bid":
            ordered = await self._order(PlaceBid(view.auction, price))
            return _describe_bid(view, "placed", ordered)
        ordered = await self._order(AcceptPrice(view.auction, price))
        return _describe_bid(view, "accepted", ordered)

    async def cancel(self, prefix: str) -> service.AuctionSummary:
        view = self._get_open(await self._find(prefix))
        if view.opener != self._me:
            raise explain_reason("not_yours")
        if view.bidders:
            raise explain_reason("bids_are_in")
        if find_right(self._place.chain.state.variables(), view.auction) is not None:
            raise explain_reason("right_to_a_variable")
        await self._order(CancelAuction(view.auction))
        return describe_summary(await self._find(view.auction.hex()))

    async def deliver(
        self, prefix: str, wanted: service.AuctionDeliverOrder
    ) -> service.AuctionAward:
        view = self._get_open(await self._find(prefix))
        sells = view.terms.direction == "forward"
        agreement = self._choose_agreement(view, wanted.winner, is_opener=sells)
        if agreement.delivered:
            raise explain_reason("already_delivered")
        if view.stage != "auction_delivery":
            raise explain_reason("too_late")
        blob = None if wanted.blob is None else bytes.fromhex(wanted.blob)
        winner = agreement.award.winner
        await self._order(Deliver(view.auction, winner, blob, wanted.note))
        return await self._show_award(view, winner)

    async def accept(self, prefix: str, wanted: service.AuctionAcceptOrder) -> service.AuctionAward:
        view = self._get_open(await self._find(prefix))
        buys = view.terms.direction == "reverse"
        agreement = self._choose_agreement(view, wanted.winner, is_opener=buys)
        if not agreement.delivered:
            raise explain_reason("not_delivered")
        winner = agreement.award.winner
        await self._order(AcceptDelivery(view.auction, winner, wanted.paid_ppm))
        return await self._show_award(view, winner)

    async def plan_tasks(self, wanted: service.TaskPlanOrder) -> service.TaskPlan:
        place = self._place
        capability, verification = find_capability(place, wanted.capability)
        recent = await self._node.ledger.read_prices(place.id, capability, RECENT_MAX)
        demand = Demand(capability, wanted.count, wanted.budget, wanted.duration_ms, verification)
        plan = plan_tasks(place.chain.state, self._me, demand, recent)
        return service.TaskPlan(
            **dataclasses.asdict(plan)
            | {
                "position": place.chain.get_position(),
                "capability": wanted.capability,
                "count": wanted.count,
                "bidders": tuple(map(compute_peer_id, plan.bidders)),
            }
        )

    # --- checks -------------------------------------------------------------------------------

    def _get_open(self, row: AuctionRow) -> AuctionView:
        """The auction in the state. Raises Problem for one that has ended."""
        view = self._place.chain.state.get_auction(row.auction)
        if view is None:
            raise explain_reason("auction_closed", f"auction {row.auction.hex()[:16]} has ended")
        return view

    def _check_bidder(self, view: AuctionView) -> None:
        if view.stage not in ("auction_commit", "auction_bid", "auction_accept"):
            raise explain_reason("too_late", "no further bid counts")
        if view.opener == self._me:
            raise explain_reason("own_auction")
        if view.terms.bidders and self._me not in view.terms.bidders:
            raise explain_reason("not_listed")
        if view.stage == "auction_commit" and self._me in view.bidders:
            raise explain_reason("already_bid")

    def _check_bundles(self, view: AuctionView, bundles: Bundles) -> None:
        terms, rules = view.terms, self._place.chain.state.parameters
        fault = find_fault(terms, bundles, rules.auction_bundles_max)
        if fault is not None:
            raise explain_reason(fault)
        for bundle in bundles:
            limit = sum(terms.lots[index].limit for index in bundle.lots)
            forward = terms.direction == "forward"
            beyond = bundle.price < limit if forward else bundle.price > limit
            if beyond and view.stage != "auction_accept":
                least = f"at least {limit}" if forward else f"at most {limit}"
                raise explain_reason("price_out_of_range", f"a bid for that names {least}")

    def _check_open_price(self, view: AuctionView, price: int) -> None:
        state, terms = self._place.chain.state, view.terms
        if view.standing == self._me:
            raise explain_reason("already_best")
        quote = state.quote(view.auction, self._me, self._estimate_time())
        forward = terms.direction == "forward"
        english = view.stage == "auction_bid"
        if quote is None:
            raise explain_reason("bid_too_small", "no bid beats the standing one any more")
        if english and (price < quote if forward else price > quote):
            raise explain_reason("bid_too_small", f"a bid that stands names {quote} now")
        if not english and (price < quote if forward else price > quote):
            raise explain_reason("price_beyond_limit", f"the price is {quote} now")
        pays = price if english else quote
        deposit = pays if forward else compute_bid_deposit(state.parameters, terms)
        self._require_free(deposit)

    def _require_free(self, amount: int) -> None:
        state = self._place.chain.state
        if state.stake.get(self._me, "free") < amount + state.parameters.operation_fee:
            raise explain_reason("insufficient_credits", f"it puts {amount} credits aside")

    def _choose_agreement(
        self, view: AuctionView, winner: str | None, *, is_opener: bool
    ) -> Agreement:
        """The agreement that is meant, where this account has the word. Raises Problem."""
        key = None if winner is None else parse_peer_id(winner)
        if not is_opener:
            key = self._me if key is None else key
        elif view.opener != self._me:
            raise explain_reason("not_yours")
        found = [each for each in view.agreements if key in (None, each.award.winner)]
        if not found:
            raise explain_reason("no_agreement")
        if len(found) > 1:
            raise Problem(
                "ambiguous",
                f"{len(found)} winners have an agreement",
                where="winner",
                remedy="say which: --winner PEERID",
            )
        if not is_opener and found[0].award.winner != self._me:
            raise explain_reason("not_yours")
        return found[0]

    # --- small ones -----------------------------------------------------------------------------

    async def _pass(self, view: AuctionView) -> service.AuctionBidDone:
        if view.stage != "auction_commit" or not view.terms.bidders:
            raise explain_reason("not_asked")
        ordered = await self._order(CommitAuctionBid(view.auction, None))
        return _describe_bid(view, "passed", ordered)

    async def _show_award(self, view: AuctionView, winner: bytes) -> service.AuctionAward:
        shown = await self.show(view.auction.hex())
        wanted = [award for award in shown.awards if parse_peer_id(award.winner) == winner]
        return wanted[0]

    async def _find(self, prefix: str) -> AuctionRow:
        rows = await self._node.ledger.find_auctions(self._place.id, prefix)
        if not rows:
            raise not_found("auction", prefix, "`econode auction list` shows those there are")
        if len(rows) > 1:
            raise Problem(
                "ambiguous", f"several auctions begin with {prefix}", remedy="give more digits"
            )
        return rows[0]

    async def _read_words(self, auction: bytes) -> tuple[tuple[Fact, ...], int | None]:
        """The facts about an auction, and the position of its result."""
        found: dict[tuple[int, int], Fact] = {}
        position: int | None = None
        for kind in _WORDS:
            rows = await self._read_kind(auction, kind)
            found.update({(row.position, row.item): decode_fact(row.data) for row in rows})
            if kind == "auction_ended" and rows:
                position = rows[0].position
        return tuple(found[place] for place in sorted(found)), position

    async def _read_kind(self, auction: bytes, kind: str) -> Sequence[FactRow]:
        return await self._node.ledger.read_facts(
            self._place.id, count_max=WORDS_MAX, kind=kind, task=auction, newest_first=True
        )

    def _estimate_time(self) -> int:
        return max(read_clock_ms(), self._place.chain.get_time_ms())


def _parse_terms(wanted: service.AuctionOrder) -> AuctionTerms:
    """Raises InvalidPeerId or Problem."""
    lots = tuple(
        Lot(lot.name, lot.limit, lot.text, None if lot.blob is None else bytes.fromhex(lot.blob))
        for lot in wanted.lots
    )
    bidders = tuple(sorted(parse_peer_id(peer) for peer in wanted.bidders))
    plain = {name: getattr(wanted, name) for name in AuctionTerms.__struct_fields__}
    return AuctionTerms(**(plain | {"lots": lots, "bidders": bidders}))


def _describe_bid(view: AuctionView, said: str, ordered: Ordered) -> service.AuctionBidDone:
    return service.AuctionBidDone(
        auction=view.auction.hex(),
        said=said,  # type: ignore[arg-type]
        position=ordered.position,
        operation=ordered.request.digest.hex(),
    )

"""The local API's routes about general auctions."""

from typing import Annotated

from fastapi import Query, Request, Response

from node import service_auctions as service
from node.api_checks import CommitteeName, HexCursor, Prefix, Proof
from node.api_json import AddRoute, answer, give_bytes, parse
from node.service import NodeService
from protocols.genesis import MAIN_COMMITTEE


class AuctionRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route(
            "POST", "/v1/tasks/plan", self._plan_tasks, service.TaskPlan, body=service.TaskPlanOrder
        )
        route("POST", "/v1/auctions", self._open, service.AuctionOpened, body=service.AuctionOrder)
        route("GET", "/v1/auctions", self._list, service.AuctionPage)
        route("GET", "/v1/auctions/{prefix}", self._show, service.Auction)
        route(
            "POST",
            "/v1/auctions/{prefix}/bids",
            self._bid,
            service.AuctionBidDone,
            body=service.AuctionBidOrder,
        )
        route("POST", "/v1/auctions/{prefix}/cancel", self._cancel, service.AuctionSummary)
        route(
            "POST",
            "/v1/auctions/{prefix}/deliveries",
            self._deliver,
            service.AuctionAward,
            body=service.AuctionDeliverOrder,
        )
        route(
            "POST",
            "/v1/auctions/{prefix}/acceptances",
            self._accept,
            service.AuctionAward,
            body=service.AuctionAcceptOrder,
        )
        route("GET", "/v1/auctions/{prefix}/certificate", self._certificate, bytes, problems=(409,))

    async def _open(self, request: Request, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Open an auction (body: AuctionOrder); answers once it is executed."""
        wanted = parse(await request.body(), service.AuctionOrder)
        return answer(await self._node.auctions_of(committee).open(wanted))

    async def _list(
        self,
        state: service.AuctionState | None = None,
        mine: bool = False,
        limit: Annotated[int, Query(ge=1, le=service.AUCTIONS_PER_PAGE_MAX)] = 100,
        cursor: HexCursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """General auctions, by id."""
        found = await self._node.auctions_of(committee).list(state, mine, limit, cursor)
        return answer(found)

    async def _show(
        self, prefix: Prefix, proof: Proof = False, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """All of an auction. With `proof`: the last facts about it."""
        found = await self._node.auctions_of(committee).show(prefix.lower())
        if proof:
            place, id_ = self._node.at(committee).get_id(), found.summary.id
            return answer(await self._node.proofs.prove(place, "auction", id_))
        return answer(found)

    async def _bid(
        self, request: Request, prefix: Prefix, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Bid (body: AuctionBidOrder); answers once it is executed. The node opens what it seals
        when the time has come, also after a restart."""
        wanted = parse(await request.body(), service.AuctionBidOrder)
        auctions = self._node.auctions_of(committee)
        return answer(await auctions.bid(prefix.lower(), wanted))

    async def _cancel(self, prefix: Prefix, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Take back an auction that nobody has bid in."""
        return answer(await self._node.auctions_of(committee).cancel(prefix.lower()))

    async def _deliver(
        self, request: Request, prefix: Prefix, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Say that what was sold was delivered (body: AuctionDeliverOrder)."""
        wanted = parse(await request.body(), service.AuctionDeliverOrder)
        auctions = self._node.auctions_of(committee)
        return answer(await auctions.deliver(prefix.lower(), wanted))

    async def _accept(
        self, request: Request, prefix: Prefix, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Say what a delivery is worth (body: AuctionAcceptOrder)."""
        wanted = parse(await request.body(), service.AuctionAcceptOrder)
        auctions = self._node.auctions_of(committee)
        return answer(await auctions.accept(prefix.lower(), wanted))

    async def _certificate(
        self, prefix: Prefix, wait: bool = False, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """The result with all that proves it, as raw bytes; `wait` until it is certified."""
        data = await self._node.auctions_of(committee).certificate(prefix.lower(), wait)
        return give_bytes(data)

    async def _plan_tasks(
        self, request: Request, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """What tasks would come to (body: TaskPlanOrder). Nothing is submitted."""
        wanted = parse(await request.body(), service.TaskPlanOrder)
        return answer(await self._node.auctions_of(committee).plan_tasks(wanted))

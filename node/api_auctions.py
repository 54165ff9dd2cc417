"""The local API's routes about general auctions."""

from fastapi import Request, Response

from node import service_auctions as service
from node.api_checks import check_prefix, check_range, invalid, is_hex
from node.api_json import AddRoute, answer, parse
from node.service import NodeService
from protocols.genesis import MAIN_COMMITTEE


class AuctionRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("POST", "/v1/tasks/plan", self._plan_tasks, service.TaskPlan)
        route("POST", "/v1/auctions", self._open, service.AuctionOpened)
        route("GET", "/v1/auctions", self._list, service.AuctionPage)
        route("GET", "/v1/auctions/{prefix}", self._show, service.Auction)
        route("POST", "/v1/auctions/{prefix}/bids", self._bid, service.AuctionBidDone)
        route("POST", "/v1/auctions/{prefix}/cancel", self._cancel, service.AuctionSummary)
        route("POST", "/v1/auctions/{prefix}/deliveries", self._deliver, service.AuctionAward)
        route("POST", "/v1/auctions/{prefix}/acceptances", self._accept, service.AuctionAward)
        route("GET", "/v1/auctions/{prefix}/certificate", self._certificate, bytes)

    async def _open(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Open an auction (body: AuctionOrder); answers once it is executed."""
        wanted = parse(await request.body(), service.AuctionOrder)
        return answer(await self._node.auctions_of(committee).open(wanted))

    async def _list(
        self,
        state: str | None = None,
        mine: bool = False,
        limit: int = 100,
        cursor: str | None = None,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        known = next((item for item in service.AUCTION_STATES if item == state), None)
        if known != state:
            raise invalid("state", f"one of {', '.join(service.AUCTION_STATES)}")
        check_range("limit", limit, 1, service.AUCTIONS_PER_PAGE_MAX)
        if cursor is not None and not is_hex(cursor):
            raise invalid("cursor", "the `next` of the page before")
        found = await self._node.auctions_of(committee).list(known, mine, limit, cursor)
        return answer(found)

    async def _show(self, prefix: str, committee: str = MAIN_COMMITTEE) -> Response:
        return answer(await self._node.auctions_of(committee).show(check_prefix(prefix)))

    async def _bid(
        self, request: Request, prefix: str, committee: str = MAIN_COMMITTEE
    ) -> Response:
        """Bid (body: AuctionBidOrder); answers once it is executed. The node opens what it seals
        when the time has come, also after a restart."""
        wanted = parse(await request.body(), service.AuctionBidOrder)
        auctions = self._node.auctions_of(committee)
        return answer(await auctions.bid(check_prefix(prefix), wanted))

    async def _cancel(self, prefix: str, committee: str = MAIN_COMMITTEE) -> Response:
        """Take back an auction that nobody has bid in."""
        return answer(await self._node.auctions_of(committee).cancel(check_prefix(prefix)))

    async def _deliver(
        self, request: Request, prefix: str, committee: str = MAIN_COMMITTEE
    ) -> Response:
        """Say that what was sold was delivered (body: AuctionDeliverOrder)."""
        wanted = parse(await request.body(), service.AuctionDeliverOrder)
        auctions = self._node.auctions_of(committee)
        return answer(await auctions.deliver(check_prefix(prefix), wanted))

    async def _accept(
        self, request: Request, prefix: str, committee: str = MAIN_COMMITTEE
    ) -> Response:
        """Say what a delivery is worth (body: AuctionAcceptOrder)."""
        wanted = parse(await request.body(), service.AuctionAcceptOrder)
        auctions = self._node.auctions_of(committee)
        return answer(await auctions.accept(check_prefix(prefix), wanted))

    async def _certificate(
        self, prefix: str, wait: bool = False, committee: str = MAIN_COMMITTEE
    ) -> Response:
        """The result with all that proves it, as raw bytes; `wait` until it is certified."""
        data = await self._node.auctions_of(committee).certificate(check_prefix(prefix), wait)
        return Response(data, media_type="application/octet-stream")

    async def _plan_tasks(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """What tasks would come to (body: TaskPlanOrder). Nothing is submitted."""
        wanted = parse(await request.body(), service.TaskPlanOrder)
        return answer(await self._node.auctions_of(committee).plan_tasks(wanted))

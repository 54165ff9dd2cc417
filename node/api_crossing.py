"""The local API's routes about credits between committees."""

from typing import Annotated

import msgspec
from fastapi import Path, Request, Response

from node.api_checks import PAGE_MAX, CommitteeName, Cursor, Limit, Prefix, check_peer
from node.api_json import AddRoute, answer, parse
from node.crossing_answers import (
    Crossing,
    CrossingRequest,
    Crossings,
    Funding,
    FundingRequest,
    Fundings,
)
from node.pages import cut_page
from node.service import NodeService
from protocols.genesis import MAIN_COMMITTEE


class CrossingRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("POST", "/v1/crossings", self._export, Crossing, body=CrossingRequest)
        route("GET", "/v1/crossings", self._crossings, Crossings, problems=(409,))
        route("GET", "/v1/crossings/{operation}", self._crossing, Crossing)
        route("POST", "/v1/fundings", self._fund, Funding, body=FundingRequest)
        route("GET", "/v1/fundings", self._fundings, Fundings, problems=(409,))
        route("GET", "/v1/fundings/{prefix}", self._funding, Funding)

    async def _export(
        self, request: Request, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Send credits to a neighbouring committee (body: CrossingRequest); answers once they
        have left."""
        wanted = parse(await request.body(), CrossingRequest)
        check_peer("to", wanted.to)
        return answer(await self._node.crossings_of(committee).export(wanted))

    async def _crossings(
        self,
        limit: Limit = PAGE_MAX,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """The committee's borders, and a page of what is on its way over them."""
        found = await self._node.crossings_of(committee).crossings()
        page, following = cut_page(found.crossings, lambda each: each.operation, limit, cursor)
        return answer(msgspec.structs.replace(found, crossings=page, next=following))

    async def _crossing(
        self,
        operation: Annotated[str, Path(pattern="^[0-9a-f]{64}$")],
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """How far a transfer is that left the committee."""
        return answer(await self._node.crossings_of(committee).crossing(operation))

    async def _fund(self, request: Request, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Open tasks in `committee` with credits from another (body: FundingRequest); answers
        once that is noted, and the node goes on with it."""
        wanted = parse(await request.body(), FundingRequest)
        return answer(await self._node.crossings_of(committee).fund_tasks(wanted))

    async def _fundings(
        self,
        limit: Limit = PAGE_MAX,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Tasks of `committee` that were paid from others, the last ones."""
        found = (await self._node.crossings_of(committee).fundings()).fundings
        page, following = cut_page(found, lambda each: each.id, limit, cursor)
        return answer(Fundings(fundings=page, next=following))

    async def _funding(self, prefix: Prefix, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """The one of that id, or with that task."""
        return answer(await self._node.crossings_of(committee).funding(prefix.lower()))

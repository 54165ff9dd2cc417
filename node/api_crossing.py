"""The local API's routes about credits between committees."""

from fastapi import Request, Response

from node.api_json import AddRoute, answer, parse
from node.crossing_answers import (
    Crossing,
    CrossingRequest,
    Crossings,
    Funding,
    FundingRequest,
    Fundings,
)
from node.service import NodeService
from protocols.genesis import MAIN_COMMITTEE


class CrossingRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("POST", "/v1/crossings", self._export, Crossing)
        route("GET", "/v1/crossings", self._crossings, Crossings)
        route("GET", "/v1/crossings/{operation}", self._crossing, Crossing)
        route("POST", "/v1/fundings", self._fund, Funding)
        route("GET", "/v1/fundings", self._fundings, Fundings)
        route("GET", "/v1/fundings/{prefix}", self._funding, Funding)

    async def _export(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Send credits to a neighbouring committee (body: CrossingRequest); answers once they
        have left."""
        wanted = parse(await request.body(), CrossingRequest)
        return answer(await self._node.crossings_of(committee).export(wanted))

    async def _crossings(self, committee: str = MAIN_COMMITTEE) -> Response:
        """The committee's borders, and what is on its way over them."""
        return answer(await self._node.crossings_of(committee).crossings())

    async def _crossing(self, operation: str, committee: str = MAIN_COMMITTEE) -> Response:
        """How far a transfer is that left the committee."""
        return answer(await self._node.crossings_of(committee).crossing(operation))

    async def _fund(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Open tasks in `committee` with credits from another (body: FundingRequest); answers
        once that is noted, and the node goes on with it."""
        wanted = parse(await request.body(), FundingRequest)
        return answer(await self._node.crossings_of(committee).fund_tasks(wanted))

    async def _fundings(self, committee: str = MAIN_COMMITTEE) -> Response:
        """Tasks of `committee` that were paid from others, the last ones."""
        return answer(await self._node.crossings_of(committee).fundings())

    async def _funding(self, prefix: str, committee: str = MAIN_COMMITTEE) -> Response:
        """The one of that id, or with that task."""
        return answer(await self._node.crossings_of(committee).funding(prefix))

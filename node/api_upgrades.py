"""The local API's routes about versions of the semantics."""

from fastapi import Request, Response

from node import service_upgrades as service
from node.api_json import AddRoute, answer, parse
from node.service import Executed, NodeService
from protocols.genesis import MAIN_COMMITTEE


class UpgradeRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/upgrades", self._upgrades, service.Upgrades)
        route("POST", "/v1/upgrades/consents", self._consent, Executed)

    async def _upgrades(self, committee: str = MAIN_COMMITTEE) -> Response:
        """Which version of the semantics holds, and which ones the members' programs execute."""
        return answer(await self._node.upgrades_of(committee).upgrades())

    async def _consent(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Consent to a version (body: UpgradeRequest); answers once it is executed."""
        wanted = parse(await request.body(), service.UpgradeRequest)
        return answer(await self._node.upgrades_of(committee).consent(wanted.semantics))

"""The local API's routes about markets and variables."""

from fastapi import Request, Response

from crdt.facts_market import VariableTerms
from node import service_market as service
from node.api_checks import check_range, invalid
from node.api_json import AddRoute, answer, parse
from node.service import NodeService
from node.service_anomalies import Anomalies
from protocols.genesis import MAIN_COMMITTEE

NAME_CHARS_MAX = 64


class MarketRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/market/prices", self._prices, service.MarketPrices)
        route("GET", "/v1/market/prices/history", self._history, service.PriceHistory)
        route("GET", "/v1/market/halts", self._halts, service.MarketHalts)
        route("GET", "/v1/market/screens", self._screens, service.Screened)
        route("GET", "/v1/anomalies", self._anomalies, Anomalies)
        route("GET", "/v1/variables", self._variables, service.Variables)
        route("POST", "/v1/variables", self._open, service.VariableDone)
        route("GET", "/v1/variables/show", self._variable, service.Variable)
        route("GET", "/v1/variables/history", self._variable_history, service.VariableHistory)
        route("POST", "/v1/variables/value", self._set, service.VariableDone)
        route("POST", "/v1/variables/report", self._report, service.VariableDone)

    async def _prices(self, committee: str = MAIN_COMMITTEE) -> Response:
        """Posted prices and halts of all capabilities."""
        return answer(await self._node.market_of(committee).prices())

    async def _history(
        self, capability: str, limit: int = 100, committee: str = MAIN_COMMITTEE
    ) -> Response:
        """Posted prices of a capability (name or id), the newest first."""
        check_range("limit", limit, 1, service.HISTORY_MAX)
        name = _check_name("capability", capability)
        return answer(await self._node.market_of(committee).price_history(name, limit))

    async def _halts(
        self,
        capability: str | None = None,
        limit: int = 100,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """Halts of all capabilities or of one, the newest first."""
        check_range("limit", limit, 1, service.HISTORY_MAX)
        name = None if capability is None else _check_name("capability", capability)
        return answer(await self._node.market_of(committee).halts(name, limit))

    async def _screens(
        self,
        positions: int = 2_000,
        everything: bool = False,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """What the screens for foul play say of the newest entries, with their numbers."""
        check_range("positions", positions, 1, service.POSITIONS_SCREENED_MAX)
        market = self._node.market_of(committee)
        return answer(await market.screens(positions, everything=everything))

    async def _anomalies(self, committee: str = MAIN_COMMITTEE) -> Response:
        """What is unusual in the market, the agents and the members, with its numbers."""
        return answer(await self._node.market_of(committee).anomalies())

    async def _variables(self, committee: str = MAIN_COMMITTEE) -> Response:
        """Variables under way."""
        return answer(await self._node.market_of(committee).variables())

    async def _open(self, request: Request, committee: str = MAIN_COMMITTEE) -> Response:
        """Open a variable (body: VariableTerms); answers once it is executed."""
        terms = parse(await request.body(), VariableTerms)
        return answer(await self._node.market_of(committee).open_variable(terms))

    async def _variable(self, name: str, committee: str = MAIN_COMMITTEE) -> Response:
        """A variable by its name or id, also after its end."""
        market = self._node.market_of(committee)
        return answer(await market.variable(_check_name("name", name)))

    async def _variable_history(self, name: str, committee: str = MAIN_COMMITTEE) -> Response:
        """What happened to a variable, the oldest first."""
        market = self._node.market_of(committee)
        return answer(await market.variable_history(_check_name("name", name)))

    async def _set(self, request: Request, name: str, committee: str = MAIN_COMMITTEE) -> Response:
        """Set a variable that this account holds (body: VariableValue)."""
        wanted = parse(await request.body(), service.VariableValue)
        market = self._node.market_of(committee)
        return answer(await market.set_variable(_check_name("name", name), wanted.value))

    async def _report(
        self, request: Request, name: str, committee: str = MAIN_COMMITTEE
    ) -> Response:
        """Seal a member's report on a term, or open it when all are sealed (body:
        VariableReport)."""
        wanted = parse(await request.body(), service.VariableReport)
        market = self._node.market_of(committee)
        return answer(await market.report(_check_name("name", name), wanted.objective_ppm))


def _check_name(field: str, name: str) -> str:
    if not 1 <= len(name) <= NAME_CHARS_MAX:
        raise invalid(field, f"of 1 to {NAME_CHARS_MAX} characters")
    return name

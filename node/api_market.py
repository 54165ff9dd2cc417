"""The local API's routes about markets and variables."""

from typing import Annotated

import msgspec
from fastapi import Query, Request, Response

from crdt.facts_market import VariableTerms
from node import service_market as service
from node.api_checks import PAGE_MAX, CommitteeName, Cursor, Limit, Name, Proof, invalid
from node.api_json import AddRoute, answer, parse
from node.pages import cut_page
from node.service import NodeService
from node.service_anomalies import Anomalies
from protocols.genesis import MAIN_COMMITTEE

_Positions = Annotated[int, Query(ge=1, le=service.POSITIONS_SCREENED_MAX)]


class MarketRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/market/prices", self._prices, service.MarketPrices, problems=(409,))
        route("GET", "/v1/market/prices/history", self._history, service.PriceHistory)
        route("GET", "/v1/market/halts", self._halts, service.MarketHalts)
        route("GET", "/v1/market/screens", self._screens, service.Screened, problems=(409,))
        route("GET", "/v1/anomalies", self._anomalies, Anomalies)
        route("GET", "/v1/variables", self._variables, service.Variables, problems=(409,))
        route("POST", "/v1/variables", self._open, service.VariableDone, body=VariableTerms)
        route("GET", "/v1/variables/show", self._variable, service.Variable)
        route("GET", "/v1/variables/history", self._variable_history, service.VariableHistory)
        route(
            "POST",
            "/v1/variables/value",
            self._set,
            service.VariableDone,
            body=service.VariableValue,
        )
        route(
            "POST",
            "/v1/variables/report",
            self._report,
            service.VariableDone,
            body=service.VariableReport,
        )

    async def _prices(
        self,
        limit: Limit = PAGE_MAX,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Posted prices and halts of all capabilities."""
        found = await self._node.market_of(committee).prices()
        page, following = cut_page(found.prices, lambda each: each.capability, limit, cursor)
        return answer(msgspec.structs.replace(found, prices=page, next=following))

    async def _history(
        self,
        capability: Name,
        limit: Limit = 100,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Posted prices of a capability (name or id), the newest first."""
        return answer(
            await self._node.market_of(committee).price_history(capability, limit, cursor)
        )

    async def _halts(
        self,
        capability: Name | None = None,
        limit: Limit = 100,
        cursor: Cursor = None,
        proof: Proof = False,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Halts of all capabilities or of one, the newest first. With `proof`: the last halt of
        one."""
        found = await self._node.market_of(committee).halts(capability, limit, cursor)
        if proof:
            if capability is None or not found.halts:
                raise invalid("capability", "one that was halted, to prove its last halt")
            place, id_ = self._node.at(committee).get_id(), found.halts[0].capability
            return answer(await self._node.proofs.prove(place, "halt", id_))
        return answer(found)

    async def _screens(
        self,
        positions: _Positions = 2_000,
        everything: bool = False,
        limit: Limit = PAGE_MAX,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """What the screens for foul play say of the newest entries, with their numbers."""
        market = self._node.market_of(committee)
        found = await market.screens(positions, everything=everything)
        page, following = cut_page(found.evidence, service.name_evidence, limit, cursor)
        return answer(msgspec.structs.replace(found, evidence=page, next=following))

    async def _anomalies(self, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """What is unusual in the market, the agents and the members, with its numbers."""
        return answer(await self._node.market_of(committee).anomalies())

    async def _variables(
        self,
        limit: Limit = PAGE_MAX,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Variables under way."""
        found = (await self._node.market_of(committee).variables()).variables
        page, following = cut_page(found, lambda each: each.id, limit, cursor)
        return answer(service.Variables(variables=page, next=following))

    async def _open(self, request: Request, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Open a variable (body: VariableTerms); answers once it is executed."""
        terms = parse(await request.body(), VariableTerms)
        return answer(await self._node.market_of(committee).open_variable(terms))

    async def _variable(
        self, name: Name, proof: Proof = False, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """A variable by its name or id, also after its end. With `proof`: the last facts."""
        found = await self._node.market_of(committee).variable(name)
        if proof:
            place, id_ = self._node.at(committee).get_id(), found.summary.id
            return answer(await self._node.proofs.prove(place, "variable", id_))
        return answer(found)

    async def _variable_history(
        self,
        name: Name,
        limit: Limit = PAGE_MAX,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """What happened to a variable, the oldest first."""
        market = self._node.market_of(committee)
        return answer(await market.variable_history(name, limit, cursor))

    async def _set(
        self, request: Request, name: Name, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Set a variable that this account holds (body: VariableValue)."""
        wanted = parse(await request.body(), service.VariableValue)
        market = self._node.market_of(committee)
        return answer(await market.set_variable(name, wanted.value))

    async def _report(
        self, request: Request, name: Name, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Seal a member's report on a term, or open it when all are sealed (body:
        VariableReport)."""
        wanted = parse(await request.body(), service.VariableReport)
        market = self._node.market_of(committee)
        return answer(await market.report(name, wanted.objective_ppm))

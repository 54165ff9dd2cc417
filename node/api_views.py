"""Routes of the local API that ask for the views of a committee's log."""

from typing import Annotated

from fastapi import Query, Response

from node import service_views as service
from node.api_checks import Amount, CommitteeName, Cursor, Name, PeerId, Proof, check_peer, invalid
from node.api_contract import EVENTS
from node.api_json import AddRoute, answer
from node.event_stream import OpenStream
from node.feeds import feed_views
from node.service import NodeService
from node.service_views import (
    CARDS_PER_PAGE_MAX,
    SNAPSHOTS_EXPLAINED_MAX,
)
from protocols.genesis import MAIN_COMMITTEE

SCORES_MAX = 10_000
_Snapshots = Annotated[int, Query(ge=1, le=SNAPSHOTS_EXPLAINED_MAX)]


class ViewRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService, open_stream: OpenStream) -> None:
        self._node, self._open_stream = node, open_stream

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/reputation", self._reputation, service.Reputation, problems=(409,))
        route(
            "GET",
            "/v1/reputation/explanation",
            self._explain,
            service.Explanation,
            problems=(409, 422),
        )
        route("GET", "/v1/directory", self._find_cards, service.Cards, problems=(409,))
        route("GET", "/v1/directory/card", self._card, service.Card)
        route("GET", "/v1/views/events", self._watch_views, service.ViewsUpdate, media=EVENTS)

    async def _reputation(
        self,
        agent: PeerId | None = None,
        limit: Annotated[int, Query(ge=1, le=SCORES_MAX)] = SCORES_MAX,
        cursor: Cursor = None,
        proof: Proof = False,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Scores, the best first: of all agents, of one, or of the best `limit`. With `proof`: that
        of one in the newest certified state."""
        if agent is not None:
            check_peer("agent", agent)
        if proof:
            if agent is None:
                raise invalid("agent", "given with proof")
            place = self._node.at(committee).get_id()
            return answer(await self._node.proofs.prove(place, "reputation", agent))
        return answer(await self._node.at(committee).reputation(agent, limit, cursor))

    async def _explain(
        self,
        agent: PeerId,
        snapshots: _Snapshots = 10,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Every receipt behind an agent's score, by its newest snapshots."""
        check_peer("agent", agent)
        return answer(await self._node.at(committee).explain(agent, snapshots))

    async def _find_cards(
        self,
        capability: Name | None = None,
        score_min: Amount = 0,
        bond_min: Amount = 0,
        price_max: Amount | None = None,
        limit: Annotated[int, Query(ge=1, le=CARDS_PER_PAGE_MAX)] = 100,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Good agent cards that pass every filter, the best score first. `capability` is a name
        or an id."""
        node = self._node.at(committee)
        wanted = (capability, score_min, bond_min, price_max)
        return answer(await node.find_cards(*wanted, limit, cursor))

    async def _card(self, agent: PeerId, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """An agent's newest card, also when it has expired or its author is frozen."""
        check_peer("agent", agent)
        return answer(await self._node.at(committee).card(agent))

    async def _watch_views(self, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """The document of the views as Server-Sent Events: event `views`, data = ViewsUpdate."""
        return self._open_stream(feed_views(self._node.at(committee)))

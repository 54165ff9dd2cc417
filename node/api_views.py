"""Routes of the local API that ask for the views of a committee's log."""

from fastapi import Response

from identity.schema import U63_MAX
from node import service_views as service
from node.api_checks import check_range, invalid
from node.api_json import AddRoute, answer
from node.event_stream import OpenStream
from node.feeds import feed_views
from node.service import NodeService
from node.service_views import (
    CARDS_PER_PAGE_MAX,
    SNAPSHOTS_EXPLAINED_MAX,
    STAKE_FACTS_PER_PAGE_MAX,
)
from protocols.genesis import MAIN_COMMITTEE

SCORES_MAX = 10_000
NAME_CHARS_MAX = 64
CURSOR_CHARS_MAX = 64


class ViewRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService, open_stream: OpenStream) -> None:
        self._node, self._open_stream = node, open_stream

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/reputation", self._reputation, service.Reputation)
        route("GET", "/v1/reputation/explanation", self._explain, service.Explanation)
        route("GET", "/v1/directory", self._find_cards, service.Cards)
        route("GET", "/v1/directory/card", self._card, service.Card)
        route("GET", "/v1/stake/facts", self._stake_facts, service.StakeFacts)
        route("GET", "/v1/views/events", self._watch_views, service.ViewsUpdate)

    async def _reputation(
        self,
        agent: str | None = None,
        limit: int | None = None,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """Scores, the best first: of all agents, of one, or of the best `limit`."""
        if limit is not None:
            check_range("limit", limit, 1, SCORES_MAX)
        return answer(await self._node.at(committee).reputation(agent, limit))

    async def _explain(
        self, agent: str, snapshots: int = 10, committee: str = MAIN_COMMITTEE
    ) -> Response:
        """Every receipt behind an agent's score, by its newest snapshots."""
        check_range("snapshots", snapshots, 1, SNAPSHOTS_EXPLAINED_MAX)
        return answer(await self._node.at(committee).explain(agent, snapshots))

    async def _find_cards(
        self,
        capability: str | None = None,
        score_min: int = 0,
        bond_min: int = 0,
        price_max: int | None = None,
        limit: int = 100,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """Good agent cards that pass every filter, the best score first. `capability` is a name
        or an id."""
        if capability is not None and not 1 <= len(capability) <= NAME_CHARS_MAX:
            raise invalid("capability", f"of 1 to {NAME_CHARS_MAX} characters")
        check_range("score_min", score_min, 0, U63_MAX)
        check_range("bond_min", bond_min, 0, U63_MAX)
        if price_max is not None:
            check_range("price_max", price_max, 0, U63_MAX)
        check_range("limit", limit, 1, CARDS_PER_PAGE_MAX)
        node = self._node.at(committee)
        return answer(await node.find_cards(capability, score_min, bond_min, price_max, limit))

    async def _card(self, agent: str, committee: str = MAIN_COMMITTEE) -> Response:
        """An agent's newest card, also when it has expired or its author is frozen."""
        return answer(await self._node.at(committee).card(agent))

    async def _stake_facts(
        self,
        account: str,
        limit: int = 20,
        cursor: str | None = None,
        committee: str = MAIN_COMMITTEE,
    ) -> Response:
        """Facts that name an account or move its credits, newest first, each with its proof."""
        check_range("limit", limit, 1, STAKE_FACTS_PER_PAGE_MAX)
        if cursor is not None and len(cursor) > CURSOR_CHARS_MAX:
            raise invalid("cursor", "the `next` of the page before")
        return answer(await self._node.at(committee).stake_facts(account, limit, cursor))

    async def _watch_views(self, committee: str = MAIN_COMMITTEE) -> Response:
        """The document of the views as Server-Sent Events: event `views`, data = ViewsUpdate."""
        return self._open_stream(feed_views(self._node.at(committee)))

"""The views of one committee behind the local API: `ViewsService` over chain, logs and ledger."""

from contextlib import AbstractContextManager

import trio

from crdt.directory import Offer, Query, Standing
from crdt.log import compute_root
from crdt.reputation import compute_weight
from identity import schema
from identity.keys import compute_peer_id, parse_peer_id
from node import service_views as service
from node.driver import read_clock_ms
from node.explain import Explainer, describe_period
from node.pages import cut_page
from node.place import Place
from node.problem import not_found
from node.stake_facts import StakeFactsReader

ID_CHARS = 64
"""Of a capability's id in hexadecimal."""


class PlaceViews:
    """See `ViewsService` for the contract."""

    def __init__(self, place: Place) -> None:
        self._node = place.node
        self._place = place
        self._committee = place.id

    def get_id(self) -> bytes:
        return self._committee

    async def reputation(
        self, agent: str | None, limit: int | None = None, cursor: str | None = None
    ) -> service.Reputation:
        await trio.lowlevel.checkpoint()
        state = self._place.chain.state
        fixed = state.reputation.scores()
        wanted = None if agent is None else parse_peer_id(agent)
        found = [score for score in fixed if wanted in (None, score.agent)]
        found.sort(key=lambda score: (-score.score_ppm, score.agent))
        page, following = cut_page(
            found, lambda score: score.agent.hex(), limit or len(found), cursor
        )
        scores = tuple(
            service.Score(
                peer_id=compute_peer_id(score.agent),
                good=score.good,
                bad=score.bad,
                score_ppm=score.score_ppm,
                banned=state.is_banned(score.agent),
            )
            for score in page
        )
        return service.Reputation(
            snapshot=state.reputation.number,
            root=compute_root([schema.encode(score) for score in fixed]).hex(),
            scores=scores,
            next=following,
        )

    async def explain(self, agent: str, snapshots: int) -> service.Explanation:
        key = parse_peer_id(agent)
        await self._node.ledger.flush()
        found = Explainer(self._node.ledger, self._committee)
        position, whole, periods = await found.explain(key, snapshots)
        score = periods[-1].before.score_ppm()
        return service.Explanation(
            peer_id=compute_peer_id(key),
            position=position,
            score_ppm=score,
            weight_ppm=compute_weight(score),
            banned=self._place.chain.state.is_banned(key),
            whole=whole,
            periods=tuple(map(describe_period, periods)),
        )

    async def find_cards(
        self,
        capability: str | None,
        score_min: int,
        bond_min: int,
        price_max: int | None,
        limit: int,
        cursor: str | None = None,
    ) -> service.Cards:
        await trio.lowlevel.checkpoint()
        id_, name = _read_capability(capability)
        query = Query(id_, name, score_min, bond_min, price_max)
        found = self._node.logs.directory.find(read_clock_ms(), query, self._get_standing)
        page, following = cut_page(found, lambda each: each[0].agent.hex(), limit, cursor)
        cards = tuple(self._describe_card(*each) for each in page)
        return service.Cards(cards=cards, found=len(found), next=following)

    async def card(self, agent: str) -> service.Card:
        await trio.lowlevel.checkpoint()
        key = parse_peer_id(agent)
        offer = self._node.logs.directory.get_offer(key)
        if offer is None:
            raise not_found("agent card", agent, "`econode directory find` shows those there are")
        return self._describe_card(offer, self._get_standing(key))

    async def stake_facts(self, account: str, limit: int, cursor: str | None) -> service.StakeFacts:
        key = parse_peer_id(account)
        await self._node.ledger.flush()
        return await StakeFactsReader(self._node.ledger, self._committee).read(key, limit, cursor)

    def watch_views(self) -> AbstractContextManager[service.ViewsWatch]:
        return self._place.views.watch()

    def _get_standing(self, agent: bytes) -> Standing:
        state = self._place.chain.state
        score_ppm, bond = state.reputation.score_ppm(agent), state.get_standing_bond(agent)
        return Standing(score_ppm, bond, state.is_banned(agent))

    def _describe_card(self, offer: Offer, standing: Standing) -> service.Card:
        directory, card = self._node.logs.directory, offer.card
        good = directory.is_good(offer, read_clock_ms())
        bad: service.CardState = "frozen" if directory.is_frozen(offer.agent) else "expired"
        entry = self._node.logs.replica.get_hash(offer.agent, offer.position) or b""
        return service.Card(
            peer_id=compute_peer_id(offer.agent),
            state="good" if good else bad,
            score_ppm=standing.score_ppm,
            bonded=standing.bonded,
            price_hint=card.price_hint,
            expires_ms=card.expires_ms,
            addresses=card.addresses,
            capabilities=tuple(
                service.CardCapability(id=each.id.hex(), name=each.name, version=each.version)
                for each in card.capabilities
            ),
            position=offer.position,
            entry=entry.hex(),
        )


def _read_capability(text: str | None) -> tuple[bytes | None, str | None]:
    """(id, name): 64 hex digits are an id, anything else is a name."""
    if text is not None and len(text) == ID_CHARS and not set(text) - set("0123456789abcdef"):
        return bytes.fromhex(text), None
    return None, text

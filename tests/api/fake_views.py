"""The views of the fake node: fixed cards and scores of its members, and its own log's facts."""

import hashlib

from crdt.directory import Query, Standing
from crdt.facts import OfferedCapability
from crdt.items import Card
from identity import keys
from identity.errors import InvalidKey
from node import service_views as service
from node.pages import cut_page
from node.problem import Problem, not_found
from protocols.genesis import Genesis

CAPABILITY = hashlib.sha256(b"upper").digest()
PRICE, EXPIRES_MS, BONDED = 5, 9_000_000_000_000, 10_000


class FakeViews:
    """Implements node.service_views.ViewsService."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis

    async def reputation(
        self, agent: str | None, limit: int | None = None, cursor: str | None = None
    ) -> service.Reputation:
        agents = [member.peer for member in self._genesis.members if agent in (None, member.peer)]
        scores = [
            service.Score(peer_id=peer, good=4, bad=0, score_ppm=800_000, banned=False)
            for peer in agents
        ]
        found = service.sort_scores(scores)
        page, following = cut_page(found, lambda each: each.peer_id, limit or 1, cursor)
        return service.Reputation(snapshot=0, root="00" * 32, scores=page, next=following)

    async def explain(self, agent: str, snapshots: int) -> service.Explanation:
        parse_peer(agent)
        receipt = service.ScoreReceipt(
            task="ab" * 32,
            position=3,
            item=1,
            round=0,
            grade="excellent",
            rater=self._genesis.members[0].peer,
            amount=7,
            good=1_000_000,
            bad=0,
            counted_ppm=500_000,
        )
        rater = service.ScoreRater(
            peer_id=self._genesis.members[0].peer,
            handed=4_000_000,
            allowance=2_000_000,
            share_ppm=500_000,
        )
        period = service.ScorePeriod(
            snapshot=1,
            position=4,
            before=service.Masses(good=0, bad=0),
            receipts=(receipt,),
            raters=(rater,),
            after=service.Masses(good=500_000, bad=0),
            score_ppm=333_333,
        )
        return service.Explanation(
            peer_id=agent,
            position=5,
            score_ppm=333_333,
            weight_ppm=966_666,
            banned=False,
            whole=snapshots > 1,
            periods=(period,),
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
        query = Query(None, capability, score_min, bond_min, price_max)
        known = Card((OfferedCapability(CAPABILITY, "upper", "1"),), (), PRICE, EXPIRES_MS)
        peers = [member.peer for member in self._genesis.members]
        found = [peer for peer in peers if query.matches(known, Standing(800_000, BONDED))]
        page, following = cut_page(found, str, limit, cursor)
        cards = [await self.card(peer) for peer in page]
        return service.Cards(cards=tuple(cards), found=len(found), next=following)

    async def card(self, agent: str) -> service.Card:
        parse_peer(agent)
        if agent not in [member.peer for member in self._genesis.members]:
            raise not_found("agent card", agent)
        offered = service.CardCapability(id=CAPABILITY.hex(), name="upper", version="1")
        return service.Card(
            peer_id=agent,
            state="good",
            score_ppm=800_000,
            bonded=BONDED,
            price_hint=PRICE,
            expires_ms=EXPIRES_MS,
            addresses=("/ip4/127.0.0.1/tcp/4710",),
            capabilities=(offered,),
            position=0,
            entry="00" * 32,
        )

    async def stake_facts(self, account: str, limit: int, cursor: str | None) -> service.StakeFacts:
        parse_peer(account)
        move = {
            "source": "common",
            "source_bucket": "minted",
            "target": account,
            "target_bucket": "free",
            "amount": 5,
        }
        header = service.StakeHeader(position=0, previous="00" * 32, time_ms=1, root="00" * 32)
        fact = service.StakeFact(
            position=0,
            item=0,
            count=1,
            fact={"kind": "minted", "account": account, "moves": [move]},
            data="00",
            path=(),
            headers=(header,),
            certified=0,
        )
        return service.StakeFacts(
            account=account, facts=(fact,), certificates={"0": "00"}, next=None, not_held=()
        )


def parse_peer(text: str) -> bytes:
    try:
        return keys.parse_peer_id(text)
    except InvalidKey as error:
        raise Problem("invalid-request", str(error), where="peer") from None

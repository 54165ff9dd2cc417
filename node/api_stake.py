"""The local API's routes about credits and members."""

from typing import Annotated

import msgspec
from fastapi import Query, Request, Response

from node import service, service_views
from node.api_checks import (
    PAGE_MAX,
    CommitteeName,
    Cursor,
    Limit,
    PeerId,
    Proof,
    check_peer,
    invalid,
)
from node.api_json import AddRoute, answer, parse
from node.pages import cut_page
from node.service import NodeService
from node.service_views import STAKE_FACTS_PER_PAGE_MAX
from protocols.genesis import MAIN_COMMITTEE


class StakeRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        done = service.Executed
        route("GET", "/v1/stake", self._stake, service.Stake, problems=(409,))
        route("GET", "/v1/stake/facts", self._facts, service_views.StakeFacts)
        route("POST", "/v1/transfers", self._transfer, done, body=service.Transfer)
        route("POST", "/v1/bonds", self._bond, done, body=service.Bond)
        route("POST", "/v1/unbondings", self._unbond, done, body=service.Bond)
        route("GET", "/v1/members", self._members, service.Members, problems=(409,))
        route("POST", "/v1/members/join", self._join, done, body=service.Join)
        route("POST", "/v1/members/leave", self._leave, done)

    async def _stake(
        self,
        account: PeerId | None = None,
        limit: Limit = PAGE_MAX,
        cursor: Cursor = None,
        proof: Proof = False,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Credits of all accounts, or of one; one that never held credits has zeros. With `proof`:
        those of one in the newest certified state."""
        if account is not None:
            check_peer("account", account)
        if proof:
            if account is None:
                raise invalid("account", "given with proof")
            place = self._node.at(committee).get_id()
            return answer(await self._node.proofs.prove(place, "account", account))
        return answer(await self._node.at(committee).stake(account, limit, cursor))

    async def _facts(
        self,
        account: PeerId,
        limit: Annotated[int, Query(ge=1, le=STAKE_FACTS_PER_PAGE_MAX)] = 20,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Facts that name an account or move its credits, newest first, each with its proof."""
        check_peer("account", account)
        return answer(await self._node.at(committee).stake_facts(account, limit, cursor))

    async def _transfer(
        self, request: Request, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Pay credits to another account; answers once it is executed."""
        transfer = parse(await request.body(), service.Transfer)
        check_peer("to", transfer.to)
        done = await self._node.at(committee).transfer(transfer.to, transfer.amount)
        return answer(done)

    async def _bond(self, request: Request, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Bond credits; answers once it is executed."""
        bond = parse(await request.body(), service.Bond)
        return answer(await self._node.at(committee).bond(bond.amount))

    async def _unbond(
        self, request: Request, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Begin to take a bond back; answers once that is executed."""
        bond = parse(await request.body(), service.Bond)
        return answer(await self._node.at(committee).unbond(bond.amount))

    async def _members(
        self,
        limit: Limit = PAGE_MAX,
        cursor: Cursor = None,
        proof: Proof = False,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """The committee now. With `proof`: the members of the newest certified entry's epoch."""
        if proof:
            place = self._node.at(committee).get_id()
            return answer(await self._node.proofs.prove(place, "members", ""))
        found = await self._node.at(committee).members()
        page, following = cut_page(found.members, lambda each: each.peer_id, limit, cursor)
        return answer(msgspec.structs.replace(found, members=page, next=following))

    async def _join(self, request: Request, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Become a member of the committee; answers once it is executed."""
        join = parse(await request.body(), service.Join)
        return answer(await self._node.at(committee).join_committee(join.bond))

    async def _leave(self, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Be a member no longer; answers once it is executed."""
        return answer(await self._node.at(committee).leave_committee())

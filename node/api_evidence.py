"""The local API's routes about evidence."""

from typing import Annotated

from fastapi import Query, Request, Response

from node.api_checks import COMMITTEE_CHARS_MAX, Cursor, Prefix, Proof
from node.api_json import AddRoute, answer, give_bytes
from node.service import NodeService
from node.service_evidence import CASES_PER_PAGE_MAX, EvidenceItem, EvidenceList
from protocols.genesis import MAIN_COMMITTEE

Order = Annotated[
    str | None,
    Query(max_length=COMMITTEE_CHARS_MAX, description="The committee that is to punish."),
]


class EvidenceRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/evidence", self._list, EvidenceList, problems=(409,))
        route("GET", "/v1/evidence/{prefix}", self._show, EvidenceItem)
        route("GET", "/v1/evidence/{prefix}/file", self._file, bytes)
        route("POST", "/v1/evidence", self._submit, EvidenceItem, body=bytes)

    async def _list(
        self,
        limit: Annotated[int, Query(ge=1, le=CASES_PER_PAGE_MAX)] = 100,
        cursor: Cursor = None,
    ) -> Response:
        """Proven offences that this node knows of, the newest first."""
        return answer(await self._node.evidence.recent(limit, cursor))

    async def _show(self, prefix: Prefix, proof: Proof = False) -> Response:
        """A proven offence. With `proof`: the fact that the founding committee punished it."""
        found = await self._node.evidence.show(prefix.lower())
        if proof:
            place = self._node.at(MAIN_COMMITTEE).get_id()
            return answer(await self._node.proofs.prove(place, "evidence", found.id))
        return answer(found)

    async def _file(self, prefix: Prefix) -> Response:
        """The evidence as a file, for anybody to check."""
        data = await self._node.evidence.get_file(prefix.lower())
        return give_bytes(data)

    async def _submit(self, request: Request, order_in: Order = None) -> Response:
        """Take a file of evidence (body: its bytes) and have it ordered; answers once it is."""
        return answer(await self._node.evidence.submit(await request.body(), order_in))

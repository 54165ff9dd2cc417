"""The local API's routes about evidence."""

from fastapi import Request, Response

from node.api_checks import check_prefix, check_range
from node.api_json import AddRoute, answer
from node.service import NodeService
from node.service_evidence import CASES_PER_PAGE_MAX, EvidenceItem, EvidenceList


class EvidenceRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("GET", "/v1/evidence", self._list, EvidenceList)
        route("GET", "/v1/evidence/{prefix}", self._show, EvidenceItem)
        route("GET", "/v1/evidence/{prefix}/file", self._file, bytes)
        route("POST", "/v1/evidence", self._submit, EvidenceItem)

    async def _list(self, limit: int = 100) -> Response:
        """Proven offences that this node knows of, the newest first."""
        check_range("limit", limit, 1, CASES_PER_PAGE_MAX)
        return answer(await self._node.evidence.recent(limit))

    async def _show(self, prefix: str) -> Response:
        return answer(await self._node.evidence.show(check_prefix(prefix)))

    async def _file(self, prefix: str) -> Response:
        """The evidence as a file, for anybody to check."""
        data = await self._node.evidence.get_file(check_prefix(prefix))
        return Response(data, media_type="application/octet-stream")

    async def _submit(self, request: Request, order_in: str | None = None) -> Response:
        """Take a file of evidence (body: its bytes) and have it ordered; answers once it is."""
        return answer(await self._node.evidence.submit(await request.body(), order_in))

"""The dashboard's files, and what only it asks of the local API.

The files hold nothing of the node, so they need no token; the page gets one from its owner
(`econode dashboard`) and sends it with each request. The policy lets it load and ask nothing
anywhere else.
"""

from pathlib import Path

from fastapi import Request, Response

import node
from node.api_checks import CommitteeName, Prefix
from node.api_json import AddRoute, answer, give_bytes
from node.problem import not_found
from node.proofs import ProofChecked
from node.service import NodeService
from protocols.genesis import MAIN_COMMITTEE

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-cache",
}
PAGE = "/"
FILES = "/dashboard/"


def is_file(path: str) -> bool:
    """True for paths that give the page and its files, which anybody on this machine may have."""
    return path == PAGE or path.startswith(FILES)


class DashboardRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, service: NodeService) -> None:
        self._node = service
        folder = Path(node.__file__).parent / "dashboard"
        self._files = {
            path.name: (path.read_bytes(), _TYPES[path.suffix])
            for path in sorted(folder.iterdir())
            if path.suffix in _TYPES
        }

    def add(self, route: AddRoute) -> None:
        route("GET", PAGE, self._page, bytes, media=_TYPES[".html"])
        route("GET", FILES + "{name}", self._file, bytes)
        route("GET", "/v1/tasks/{prefix}/proof", self._prove_task, bytes, problems=(409,))
        route("POST", "/v1/proofs/verify", self._check_proof, ProofChecked, body=bytes)

    async def _page(self) -> Response:
        """The dashboard, for a browser."""
        return self._give("index.html")

    async def _file(self, name: str) -> Response:
        """A file of the dashboard."""
        return self._give(name)

    def _give(self, name: str) -> Response:
        if name not in self._files:
            raise not_found("file", name, "the dashboard is at /")
        data, kind = self._files[name]
        return Response(data, media_type=kind, headers=_HEADERS)

    async def _prove_task(
        self, prefix: Prefix, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """A light proof of how a task ended, as `econode ledger prove` writes it."""
        place = self._node.at(committee).get_id()
        data = await self._node.proofs.of_task(place, prefix.lower())
        return give_bytes(data)

    async def _check_proof(self, request: Request) -> Response:
        """What a light proof (body: its bytes) proves to whoever trusts this node's genesis."""
        return answer(await self._node.proofs.check(await request.body()))

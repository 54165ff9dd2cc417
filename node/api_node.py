"""The local API's routes about the node itself: its state, links, inputs, committees."""

from fastapi import Request, Response

from node import service
from node.api_checks import PAGE_MAX, CommitteeName, Cursor, Limit
from node.api_json import AddRoute, answer, parse
from node.pages import cut_page
from node.service import NodeService
from protocols.genesis import MAIN_COMMITTEE


class NodeRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("GET", "/health", self._health, service.Health)
        route("GET", "/v1/status", self._status, service.Status)
        route("GET", "/v1/peers", self._peers, service.Peers, problems=(409,))
        route("PUT", "/v1/blobs", self._put_blob, service.BlobStored, body=bytes)
        route("GET", "/v1/capabilities", self._capabilities, service.Capabilities, problems=(409,))
        route("GET", "/v1/committees", self._committees, service.Committees, problems=(409,))
        route("POST", "/v1/committees", self._form, service.Executed, body=service.FormRequest)
        route(
            *("POST", "/v1/committees/consents", self._consent, service.Executed),
            body=service.ConsentRequest,
        )
        route("POST", "/v1/operations", self._operation, service.Accepted, body=bytes)
        route("POST", "/v1/shutdown", self._shutdown, service.Health)

    async def _health(self) -> Response:
        """Which node answers. Needs no token."""
        return answer(service.Health(status="ok", peer_id=self._node.peer_id))

    async def _status(self, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """The node and its committee at one moment."""
        return answer(await self._node.at(committee).status())

    async def _peers(self, limit: Limit = PAGE_MAX, cursor: Cursor = None) -> Response:
        """Links to other peers."""
        found = (await self._node.peers()).peers
        page, following = cut_page(found, lambda each: each.peer_id, limit, cursor)
        return answer(service.Peers(peers=page, next=following))

    async def _put_blob(self, request: Request) -> Response:
        """The raw bytes of an input; the answer names them by their SHA-256."""
        return answer(await self._node.put_blob(await request.body()))

    async def _capabilities(
        self,
        limit: Limit = PAGE_MAX,
        cursor: Cursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """What agents offer now, each with who offers it."""
        found = (await self._node.at(committee).capabilities()).capabilities
        page, following = cut_page(found, lambda each: each.id, limit, cursor)
        return answer(service.Capabilities(capabilities=page, next=following))

    async def _committees(self, limit: Limit = PAGE_MAX, cursor: Cursor = None) -> Response:
        """The committees that this node knows of."""
        found = (await self._node.committees()).committees
        page, following = cut_page(found, lambda each: each.id, limit, cursor)
        return answer(service.Committees(committees=page, next=following))

    async def _form(self, request: Request, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Propose a committee in the log of `committee`."""
        terms = parse(await request.body(), service.FormRequest)
        return answer(await self._node.form_committee(committee, terms))

    async def _consent(
        self, request: Request, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Consent to a committee that was proposed in `committee`."""
        consent = parse(await request.body(), service.ConsentRequest)
        return answer(await self._node.consent_committee(committee, consent.committee))

    async def _operation(
        self, request: Request, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Take in a signed operation (body: the statement's CBOR)."""
        return answer(await self._node.at(committee).submit_operation(await request.body()))

    async def _shutdown(self) -> Response:
        """Begin to stop the node, as SIGTERM does."""
        await self._node.shutdown()
        return answer(service.Health(status="ok", peer_id=self._node.peer_id))

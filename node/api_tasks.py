"""The local API's routes for the requester's word on its tasks."""

from fastapi import Request, Response

from node import service
from node.api_checks import check_prefix
from node.api_json import AddRoute, answer, parse
from node.service import NodeService
from protocols.genesis import MAIN_COMMITTEE


class TaskRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("POST", "/v1/tasks/{prefix}/answer", self._answer, service.Task)
        route("POST", "/v1/tasks/{prefix}/cancel", self._cancel, service.Task)

    async def _answer(
        self, request: Request, prefix: str, committee: str = MAIN_COMMITTEE
    ) -> Response:
        """Say what a delivered result is worth (body: TaskAnswer); answers once it is settled."""
        wanted = parse(await request.body(), service.TaskAnswer)
        node = self._node.at(committee)
        return answer(await node.answer_task(check_prefix(prefix), wanted.paid_ppm))

    async def _cancel(self, prefix: str, committee: str = MAIN_COMMITTEE) -> Response:
        """Take a task back: for nothing until it is awarded, for a share of the price then."""
        return answer(await self._node.at(committee).cancel_task(check_prefix(prefix)))

"""The local API's routes about tasks."""

from typing import Annotated

from fastapi import Query, Request, Response

from node import service
from node.api_checks import CommitteeName, HexCursor, Prefix, Proof
from node.api_json import AddRoute, answer, give_bytes, parse
from node.service import NodeService, TaskState
from protocols.genesis import MAIN_COMMITTEE


class TaskRoutes:
    """Handlers over `node`; `add` registers them."""

    def __init__(self, node: NodeService) -> None:
        self._node = node

    def add(self, route: AddRoute) -> None:
        route("POST", "/v1/tasks", self._submit, service.TasksSubmitted, body=service.TaskBatch)
        route("GET", "/v1/tasks", self._list, service.TaskPage)
        route("GET", "/v1/tasks/{prefix}", self._show, service.Task)
        route("GET", "/v1/tasks/{prefix}/result", self._result, bytes, problems=(409,))
        route(
            *("POST", "/v1/tasks/{prefix}/answer", self._answer, service.Task),
            body=service.TaskAnswer,
        )
        route("POST", "/v1/tasks/{prefix}/cancel", self._cancel, service.Task)

    async def _submit(
        self, request: Request, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Open tasks on blobs that were put before; answers once they are opened."""
        batch = parse(await request.body(), service.TaskBatch)
        node = self._node.at(committee)
        done = await node.submit_tasks(batch.tasks, batch.budget, batch.duration_ms, batch.options)
        return answer(done)

    async def _list(
        self,
        state: TaskState | None = None,
        limit: Annotated[int, Query(ge=1, le=service.TASKS_PER_PAGE_MAX)] = 100,
        cursor: HexCursor = None,
        committee: CommitteeName = MAIN_COMMITTEE,
    ) -> Response:
        """Tasks, by id."""
        return answer(await self._node.at(committee).tasks(state, limit, cursor))

    async def _show(
        self, prefix: Prefix, proof: Proof = False, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """A task. With `proof`: the last facts about it."""
        node = self._node.at(committee)
        task = await node.task(prefix.lower())
        if proof:
            return answer(await self._node.proofs.prove(node.get_id(), "task", task.id))
        return answer(task)

    async def _result(
        self, prefix: Prefix, proof: Proof = False, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """The output of a task, as raw bytes. With `proof`: the fact that names its SHA-256."""
        if proof:
            node = self._node.at(committee)
            task = await node.task(prefix.lower())
            return answer(await self._node.proofs.prove(node.get_id(), "result", task.id))
        return give_bytes(await self._node.at(committee).result(prefix.lower()))

    async def _answer(
        self, request: Request, prefix: Prefix, committee: CommitteeName = MAIN_COMMITTEE
    ) -> Response:
        """Say what a delivered result is worth; answers once it is settled."""
        wanted = parse(await request.body(), service.TaskAnswer)
        node = self._node.at(committee)
        return answer(await node.answer_task(prefix.lower(), wanted.paid_ppm))

    async def _cancel(self, prefix: Prefix, committee: CommitteeName = MAIN_COMMITTEE) -> Response:
        """Take a task back: for nothing until it is awarded, for a share of the price then."""
        return answer(await self._node.at(committee).cancel_task(prefix.lower()))

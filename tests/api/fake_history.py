"""The past of the fake node: what its tasks are, and nothing more."""

from collections import Counter
from collections.abc import Iterable

from node import service_history as service
from node.problem import not_found
from node.service import Task, TaskState
from node.service_auctions import AuctionState


class FakeHistory:
    """Implements node.service_history.HistoryService over the tasks of the fake node."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks = tuple(tasks)

    async def tasks(
        self, state: TaskState | None, limit: int, cursor: str | None
    ) -> service.TaskHistory:
        chosen = [task for task in self._tasks if state in (None, task.state)]
        counts = Counter(task.state for task in self._tasks)
        return service.TaskHistory(counts=dict(counts), tasks=tuple(chosen[:limit]), next=None)

    async def auctions(
        self, state: AuctionState | None, limit: int, cursor: str | None
    ) -> service.AuctionHistory:
        return service.AuctionHistory(counts={}, auctions=(), next=None)

    async def story(self, subject: bytes, limit: int, cursor: str | None) -> service.Story:
        return service.Story(id=subject.hex(), facts=(), next=None)

    async def find(self, text: str) -> service.Found:
        found = (
            service.FoundThing(kind="task", id=task.id)
            for task in self._tasks
            if task.id.startswith(text)
        )
        return service.Found(found=tuple(found))

    async def prove_entry(self, position: int) -> bytes:
        raise not_found("position", str(position))

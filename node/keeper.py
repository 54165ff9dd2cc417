"""Which blobs must stay: the inputs of tasks under way. Everything else may make room."""

from crdt.facts import TaskEnded, TaskOpened
from node.blob_store import BlobAbsent, BlobStore
from protocols.economy.state import EconomyState
from protocols.step import Certified, Executed, Transferred


class Keeper:
    """A driver's listener that pins inputs while their tasks are under way.

    Pins live in memory: they are set again from the state when the node starts. An input that
    arrives after its task was opened is an executor's own business and is not pinned.
    """

    def __init__(self, state: EconomyState, store: BlobStore) -> None:
        self._state, self._store = state, store
        self._pinned: dict[bytes, bytes] = {}
        """Input by task."""
        for task in state.tasks():
            self._pin(task.task, task.input)

    def on_executed(self, executed: Executed) -> None:
        for fact in executed.facts:
            match fact:
                case TaskOpened():
                    self._pin(fact.task, fact.input)
                case TaskEnded() if fact.task in self._pinned:
                    self._store.unpin(self._pinned.pop(fact.task))

    def on_transferred(self, transferred: Transferred) -> None:
        for digest in self._pinned.values():
            self._store.unpin(digest)
        self._pinned.clear()
        for task in self._state.tasks():
            self._pin(task.task, task.input)

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: tasks end when they are executed."""

    def _pin(self, task: bytes, digest: bytes) -> None:
        try:
            self._store.pin(digest)
        except BlobAbsent:
            return  # this node does not hold it
        self._pinned[task] = digest

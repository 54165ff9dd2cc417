"""Which blobs must stay: the inputs of tasks under way. Everything else may make room."""

from crdt.facts import OutputHeld, TaskEnded, TaskOpened
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
        self._pinned: dict[bytes, list[bytes]] = {}
        """By task its input, and the outputs that wait for judges or the requester."""
        self._pin_all()

    def on_executed(self, executed: Executed) -> None:
        for fact in executed.facts:
            match fact:
                case TaskOpened():
                    self._pin(fact.task, fact.input)
                case OutputHeld():
                    self._pin(fact.task, fact.output)
                case TaskEnded():
                    for digest in self._pinned.pop(fact.task, ()):
                        self._store.unpin(digest)

    def on_transferred(self, transferred: Transferred) -> None:
        for digests in self._pinned.values():
            for digest in digests:
                self._store.unpin(digest)
        self._pinned.clear()
        self._pin_all()

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: tasks end when they are executed."""

    def _pin_all(self) -> None:
        for task in self._state.tasks():
            self._pin(task.task, task.input)
            if task.output is not None:
                self._pin(task.task, task.output)

    def _pin(self, task: bytes, digest: bytes) -> None:
        try:
            self._store.pin(digest)
        except BlobAbsent:
            return  # this node does not hold it
        self._pinned.setdefault(task, []).append(digest)

"""What this node writes into its own log about work: receipts for what was done for it."""

from typing import TYPE_CHECKING

from crdt.facts import Settled, TaskEnded, TaskOpened
from crdt.items import WorkReceipt
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.place import Place


class Journal:
    """A driver's listener that appends to the node's log what one committee settled."""

    def __init__(self, place: "Place") -> None:
        self._node, self._state = place.node, place.chain.state
        self._open = self._list_open()
        """This node's own tasks that have not ended."""

    def _list_open(self) -> set[bytes]:
        me = self._node.key.public
        return {task.task for task in self._state.tasks() if task.requester == me}

    def on_executed(self, executed: Executed) -> None:
        receipts: list[WorkReceipt] = []
        for fact in executed.facts:
            match fact:
                case TaskOpened() if fact.requester == self._node.key.public:
                    self._open.add(fact.task)
                case Settled() if fact.task in self._open:
                    receipts.append(WorkReceipt(fact.task, fact.round, fact.executor, fact.grade))
                case TaskEnded():
                    self._open.discard(fact.task)
        if receipts:
            self._node.logs.append(receipts)

    def on_transferred(self, transferred: Transferred) -> None:
        self._open = self._list_open()

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: receipts follow from what is executed."""

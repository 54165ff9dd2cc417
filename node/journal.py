"""What this node writes into its own log: its agent card, and receipts for work done for it."""

from typing import TYPE_CHECKING

from crdt.facts import Settled, TaskEnded, TaskOpened
from crdt.items import Card, WorkReceipt
from node.driver import read_clock_ms
from protocols.step import Certified, Executed

if TYPE_CHECKING:
    from node.node import Node

CARD_DAYS = 30
CARD_CHECK_MS = 3_600_000
CARD_MS = CARD_DAYS * 24 * 3_600_000


class Journal:
    """A driver's listener that appends to `node.logs`."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._card_checked_ms = 0
        me = node.key.public
        self._open = {task.task for task in node.chain.state.tasks() if task.requester == me}
        """This node's own tasks that have not ended."""

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

    def on_certified(self, certified: Certified) -> None:
        """A certificate shows that the node is up to date enough for a card."""
        now_ms = read_clock_ms()
        if now_ms >= self._card_checked_ms + CARD_CHECK_MS:
            self._card_checked_ms = now_ms
            self._renew_card(now_ms)

    def _renew_card(self, now_ms: int) -> None:
        node = self._node
        offered = node.chain.state.get_offer(node.key.public) or ()
        addresses = tuple(node.config.network.announce or node.transport.listen_addresses())
        price = node.config.agent.price_base
        known = node.logs.directory.get_card(node.key.public)
        wanted = Card(offered, addresses, price, now_ms + CARD_MS)
        if (
            known is None
            or known.expires_ms < now_ms + CARD_MS // 2
            or (
                (known.capabilities, known.addresses, known.price_hint)
                != (wanted.capabilities, wanted.addresses, wanted.price_hint)
            )
        ):
            node.logs.append([wanted])

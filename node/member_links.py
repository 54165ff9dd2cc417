"""Keeps links to the members: whoever joined said with its signature where it listens."""

from typing import TYPE_CHECKING

from crdt.facts import EpochBegan
from protocols.step import Certified, Executed

if TYPE_CHECKING:
    from node.node import Node


class MemberLinks:
    """A driver's listener for every committee."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    def on_executed(self, executed: Executed) -> None:
        """The next epoch's members are dialled before it begins."""
        if executed.facts and isinstance(executed.facts[-1], EpochBegan):
            self._node.transport.set_peers(self._node.list_peers())

    def on_certified(self, certified: Certified) -> None:
        """Nothing to do: a link to a member that never votes does no harm."""

"""What waits to be written into the node's own log, in order."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import trio

from crdt.items import Item, encode_item
from crdt.replica import ITEM_OVERHEAD
from identity.errors import EconodeError

ITEMS_WAITING_MAX = 4_096
ITEMS_WAITING_BYTES_MAX = 16 * 1024 * 1024
TICKETS_MAX = 256
"""Items that somebody waits for."""
ENTRY_ITEMS_MAX = 256
ENTRY_ITEM_BYTES_MAX = 48 * 1024
"""Bytes of the items of one own entry, so that it fits into one message of gossip. A single larger
item has an entry of its own, which anti-entropy brings."""


class OutboxFull(EconodeError):
    """Too much waits to be written already."""


@dataclass(eq=False, slots=True)
class Ticket:
    """`done` is set once the item stands in the own log at `position`, or never will: `failure`."""

    done: trio.Event = field(default_factory=trio.Event)
    position: int = -1
    failure: EconodeError | None = None

    def succeed(self, position: int) -> None:
        self.position = position
        self.done.set()

    def fail(self, failure: EconodeError) -> None:
        self.failure = failure
        self.done.set()


@dataclass(frozen=True, slots=True)
class Waiting:
    """An encoded item, and the ticket of whoever waits for it."""

    data: bytes
    ticket: Ticket | None


class Outbox:
    """Items in the order they came."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._tickets = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, items: Iterable[Item]) -> None:
        """Items that nobody waits for: beyond a bound the oldest of them are dropped."""
        self._waiting.extend(Waiting(encode_item(item), None) for item in items)
        untracked = [each for each in self._waiting if each.ticket is None]
        count, size = len(untracked), sum(len(each.data) for each in untracked)
        dropped: set[int] = set()
        for each in untracked:
            if count <= ITEMS_WAITING_MAX and size <= ITEMS_WAITING_BYTES_MAX:
                break
            dropped.add(id(each))
            count, size = count - 1, size - len(each.data)
        if dropped:
            self._waiting = deque(each for each in self._waiting if id(each) not in dropped)

    def put_tracked(self, item: Item) -> Ticket:
        """An item that is never dropped. Raises OutboxFull."""
        if self._tickets >= TICKETS_MAX:
            raise OutboxFull(f"{TICKETS_MAX} values wait to be written already")
        ticket = Ticket()
        self._waiting.append(Waiting(encode_item(item), ticket))
        self._tickets += 1
        return ticket

    def withdraw(self, ticket: Ticket) -> None:
        """Take an item back if it still waits."""
        kept = deque(each for each in self._waiting if each.ticket is not ticket)
        self._tickets -= len(self._waiting) - len(kept)
        self._waiting = kept

    def take(self) -> list[Waiting]:
        """The items of the next entry, within its bounds."""
        taken: list[Waiting] = []
        size = 0
        while self._waiting and len(taken) < ENTRY_ITEMS_MAX:
            size += len(self._waiting[0].data) + ITEM_OVERHEAD
            if taken and size > ENTRY_ITEM_BYTES_MAX:
                break
            taken.append(self._waiting.popleft())
            self._tickets -= taken[-1].ticket is not None
        return taken

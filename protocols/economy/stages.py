"""Stages: what waits for the word of some parties until a deadline, be it a task or an auction.

A stage is complete when everybody it waits for has spoken. From its deadline on it is overdue:
members order inventories of what they hold (`lifecycle.py`). Everything falls due in the order of
deadlines, then of the numbers that tasks and auctions were opened with.
"""

import heapq
from collections.abc import Iterable, Iterator

from protocols.economy.auction_model import Auction
from protocols.economy.model import Task

Staged = Task | Auction

_STALE_MAX = 256
"""Outdated entries that the heap of deadlines may hold beside two for each task and auction."""


class Stages:
    """Whom all stages wait for, which are overdue, which fall due, which may be complete."""

    def __init__(self) -> None:
        self.tasks: dict[bytes, Task] = {}
        self.general_auctions: dict[bytes, Auction] = {}
        self._todo: dict[bytes, dict[int, Staged]] = {}
        self._overdue: dict[int, Staged] = {}
        self._due: list[tuple[int, int, bytes]] = []
        self._touched: dict[int, Staged] = {}

    def find_staged(self, id_: bytes) -> Staged | None:
        return self.tasks.get(id_) or self.general_auctions.get(id_)

    def await_parties(self, staged: Staged, parties: Iterable[bytes]) -> None:
        staged.waiting = dict.fromkeys(sorted(parties))
        for party in staged.waiting:
            self._todo.setdefault(party, {})[staged.number] = staged

    def forget_parties(self, staged: Staged) -> None:
        """The stage is over: wait for nobody."""
        for party in staged.waiting:
            self._forget_todo(party, staged.number)
        staged.waiting = {}
        self.clear_overdue(staged)

    def hear(self, staged: Staged, party: bytes) -> None:
        """The party has spoken, or its word no longer counts."""
        if party in staged.waiting:
            del staged.waiting[party]
            self._forget_todo(party, staged.number)
            self.touch(staged)

    def mark_overdue(self, staged: Staged) -> None:
        """The stage's deadline has passed: members are asked for inventories."""
        staged.overdue = True
        self._overdue[staged.number] = staged

    def clear_overdue(self, staged: Staged) -> None:
        staged.inventories = {}
        staged.overdue = False
        self._overdue.pop(staged.number, None)

    def touch(self, staged: Staged) -> None:
        """Look at it again before the next operation."""
        self._touched[staged.number] = staged

    def take_touched(self) -> Staged | None:
        """What was touched and opened first, or None."""
        while self._touched:
            staged = self._touched.pop(min(self._touched))
            if self.find_staged(staged.id) is staged:
                return staged
        return None

    def schedule(self, staged: Staged, due_ms: int) -> None:
        staged.due_ms = due_ms
        if len(self._due) > 2 * (len(self.tasks) + len(self.general_auctions)) + _STALE_MAX:
            self._due = [(other.due_ms, other.number, other.id) for other in self._list_staged()]
            heapq.heapify(self._due)
        heapq.heappush(self._due, (due_ms, staged.number, staged.id))

    def next_staged_ms(self) -> int | None:
        """When the next task or auction falls due; None when none is under way."""
        while self._due:
            due_ms, _, id_ = self._due[0]
            staged = self.find_staged(id_)
            if staged is not None and staged.due_ms == due_ms:
                return due_ms
            heapq.heappop(self._due)
        return None

    def pop_due(self, time_ms: int) -> Staged | None:
        """The next that is due at `time_ms`, or None; it must be scheduled again."""
        due_ms = self.next_staged_ms()
        if due_ms is None or due_ms > time_ms:
            return None
        return self.find_staged(heapq.heappop(self._due)[2])

    def list_todo(self, party: bytes) -> list[Staged]:
        """What waits for the word of `party`, in the order it was opened."""
        return [staged for _, staged in sorted(self._todo.get(party, {}).items())]

    def list_overdue(self) -> list[Staged]:
        return [staged for _, staged in sorted(self._overdue.items())]

    def restore_stages(self) -> None:
        """Rebuild what follows from the tasks and auctions."""
        for staged in self._list_staged():
            self.schedule(staged, staged.due_ms)
            for party in staged.waiting:
                self._todo.setdefault(party, {})[staged.number] = staged
            if staged.overdue:
                self._overdue[staged.number] = staged

    def _list_staged(self) -> Iterator[Staged]:
        yield from self.tasks.values()
        yield from self.general_auctions.values()

    def _forget_todo(self, party: bytes, number: int) -> None:
        mine = self._todo[party]
        del mine[number]
        if not mine:
            del self._todo[party]

"""The job as it goes: a fold over the facts that the nodes' APIs tell, for people to watch.

It decides nothing: the verdict comes from the ledger files (`devnet/summary.py`).
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from node.service import FINAL_STATES

RECENT_MAX = 8


@dataclass(slots=True)
class TaskLine:
    """What a watcher wants to know of a task; the executor is a PeerId."""

    task: str
    state: str = "opened"
    round: int = 0
    executor: str = ""
    price: int | None = None
    grade: str = ""


@dataclass(slots=True)
class JobProgress:
    """Facts are given once each and in order (`apply`)."""

    tasks: dict[str, TaskLine] = field(default_factory=dict)
    recent: deque[TaskLine] = field(default_factory=lambda: deque(maxlen=RECENT_MAX))
    slashed: dict[str, int] = field(default_factory=dict)
    """Credits burned, by PeerId."""

    def apply(self, fact: Mapping[str, Any]) -> None:
        if fact["kind"] == "slashed":
            offender = fact["offender"]
            self.slashed[offender] = self.slashed.get(offender, 0) + fact["amount"]
            return
        if fact["kind"] == "task_opened":
            self.tasks[fact["task"]] = TaskLine(fact["task"])
        line = self.tasks.get(fact.get("task", ""))
        if line is not None:
            self._apply_to_task(line, fact)

    def _apply_to_task(self, line: TaskLine, fact: Mapping[str, Any]) -> None:
        match fact["kind"]:
            case "auction_opened":
                line.state, line.round = "bidding", fact["round"]
            case "unsold" | "undecided":
                line.state = "opened"
            case "awarded":
                line.state, line.executor, line.price = "working", fact["winner"], fact["price"]
            case "verifiers_drawn":
                line.state = "verifying"
            case "accepted":
                line.state = "accepted"
            case "settled":
                line.grade = fact["grade"]
            case "task_ended":
                line.state = fact["outcome"]
                self.recent.append(line)

    def count_states(self, tasks: Iterable[str]) -> Counter[str]:
        """How many of `tasks` are in each state; one not seen yet counts as "submitted"."""
        return Counter(
            self.tasks[task].state if task in self.tasks else "submitted" for task in tasks
        )

    def count_ended(self, tasks: Iterable[str]) -> int:
        counts = self.count_states(tasks)
        return sum(counts[state] for state in FINAL_STATES)

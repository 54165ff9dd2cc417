"""Commands of text scenarios for tasks that are not run again by others.

    beat NAME TASK PPM                       a heartbeat with the progress so far
    deliver_work NAME TASK OUTPUT [holders=2] open the result, with receipts of so many members
    score NAME TASK SCORE                    a judge's sealed score
    show_score NAME TASK SCORE
    answer NAME TASK PPM                     the requester's word
    cancel NAME TASK

`open` takes terms of the task (`lease_ms=60000 verification=judged`) and `pool=CREDITS`; `world`
takes `verification=judged`: how members offer the capability. In `play` a number is a score.
"""

from typing import Any

from crdt.facts_tasks import TaskTerms
from protocols.auction.commit_reveal import compute_score_commitment
from protocols.economy.operations import CommitWork, RevealWork, WorkCommitment, WorkOpening
from protocols.economy.operations_tasks import (
    AcceptWork,
    Beat,
    CancelTask,
    Heartbeat,
    RevealScores,
    ScoreOpening,
)
from tests.economy.world import digest, make_receipt

PLAIN = [("verification", "exact"), ("terms", TaskTerms())]


class TaskCommands:
    """A part of the scenarios' runner, which has `world`, `find` and `submit`."""

    world: Any
    find: Any
    submit: Any

    def do_beat(self, name: str, task: str, progress_ppm: str) -> list[str]:
        beat = Beat(*self.find(task), int(progress_ppm))
        return self.submit(name, Heartbeat((beat,)))

    def do_deliver_work(self, name: str, task: str, output: str, holders: str = "2") -> list[str]:
        names = self.world.members[: int(holders)]
        blob = digest(output)
        receipts = tuple(make_receipt(self.world.keys[each], blob) for each in names)
        opening = WorkOpening(*self.find(task), blob, 7, digest("salt"))
        return self.submit(name, RevealWork((opening,), receipts))

    def do_score(self, name: str, task: str, score: str) -> list[str]:
        id_, round_ = self.find(task)
        place, key = self.world.committee, self.world.keys[name]
        seal = compute_score_commitment(
            place.network, place.id, id_, round_, key, int(score), digest("salt")
        )
        return self.submit(name, CommitWork((WorkCommitment(id_, round_, seal, None),)))

    def do_show_score(self, name: str, task: str, score: str) -> list[str]:
        opening = ScoreOpening(*self.find(task), int(score), digest("salt"))
        return self.submit(name, RevealScores((opening,)))

    def do_answer(self, name: str, task: str, paid_ppm: str) -> list[str]:
        return self.submit(name, AcceptWork(*self.find(task), int(paid_ppm)))

    def do_cancel_task(self, name: str, task: str) -> list[str]:
        return self.submit(name, CancelTask(self.find(task)[0]))


def tell_terms(terms: TaskTerms) -> str:
    """What differs from the defaults."""
    plain = TaskTerms()
    names = [name for name in terms.__struct_fields__ if name != "verification"]
    changed = [
        f"{name}={getattr(terms, name)}"
        for name in names
        if getattr(terms, name) != getattr(plain, name)
    ]
    return "[" + " ".join(changed) + "]"

"""Tasks as the owner asks for them, made into what a committee orders."""

from collections.abc import Sequence

from node.place import Place
from node.problem import Problem, not_found
from node.service import TaskRequest
from node.task_options import PLAIN, TaskOptions
from protocols.economy.operations import TaskSpec


def make_specs(
    place: Place,
    tasks: Sequence[TaskRequest],
    budget: int,
    duration_ms: int,
    options: TaskOptions = PLAIN,
) -> list[TaskSpec]:
    """The tasks for the committee of `place`. Raises Problem for an unknown capability or input."""
    return [_make_spec(place, task, budget, duration_ms, options) for task in tasks]


def _make_spec(
    place: Place, task: TaskRequest, budget: int, duration_ms: int, options: TaskOptions
) -> TaskSpec:
    digest = bytes.fromhex(task.input)
    offered = [item for _, items in place.chain.state.offers() for item in items]
    wanted = options.verification
    ids = sorted(
        {
            (item.id, item.verification)
            for item in offered
            if item.name == task.capability and wanted in (None, item.verification)
        }
    )
    if not ids:
        names = ", ".join(sorted({item.name for item in offered})) or "nothing"
        raise Problem(
            "unknown-capability",
            f"no agent offers {task.capability!r}" + (f" to be {wanted}" if wanted else ""),
            remedy=f"offered now: {names}",
            status=404,
        )
    if len(ids) > 1:
        raise Problem(
            "ambiguous",
            f"agents offer {len(ids)} different capabilities called {task.capability!r}",
            remedy="choose by --verification, if they differ in that",
            status=409,
        )
    id_, verification = ids[0]
    store = place.node.blobs.store.store
    if not store.has(digest):
        raise not_found("blob", task.input, "put the input first (PUT /v1/blobs)")
    terms = options.make_terms(verification)
    return TaskSpec(id_, digest, store.size(digest), budget, duration_ms, terms)

"""Tasks as the owner asks for them, made into what a committee orders."""

from collections.abc import Sequence

from node.place import Place
from node.problem import Problem, not_found
from node.service import TaskRequest
from protocols.economy.operations import TaskSpec


def make_specs(
    place: Place, tasks: Sequence[TaskRequest], budget: int, duration_ms: int
) -> list[TaskSpec]:
    """The tasks for the committee of `place`. Raises Problem for an unknown capability or input."""
    return [_make_spec(place, task, budget, duration_ms) for task in tasks]


def _make_spec(place: Place, task: TaskRequest, budget: int, duration_ms: int) -> TaskSpec:
    id_ = find_capability(place, task.capability)
    digest = bytes.fromhex(task.input)
    store = place.node.blobs.store.store
    if not store.has(digest):
        raise not_found("blob", task.input, "put the input first (PUT /v1/blobs)")
    return TaskSpec(id_, digest, store.size(digest), budget, duration_ms)


def find_capability(place: Place, name: str) -> bytes:
    """The id of the one capability of that name that agents offer now. Raises Problem."""
    offered = [item for _, items in place.chain.state.offers() for item in items]
    ids = sorted({item.id for item in offered if item.name == name})
    if not ids:
        names = ", ".join(sorted({item.name for item in offered})) or "nothing"
        raise Problem(
            "unknown-capability",
            f"no agent offers {name!r}",
            remedy=f"offered now: {names}",
            status=404,
        )
    if len(ids) > 1:
        raise Problem(
            "ambiguous",
            f"agents offer {len(ids)} different capabilities called {name!r}",
            status=409,
        )
    return ids[0]

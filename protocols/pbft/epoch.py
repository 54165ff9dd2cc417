"""How an epoch ends (see `protocols/economy/membership.py`): with the batch that decides the next
members. Its members go on until a quorum of them has signed the head there; then `node/router.py`
enters the next epoch with a core of its own."""

from typing import TYPE_CHECKING

from protocols.committee import Committee
from protocols.pbft.application import Application

if TYPE_CHECKING:
    from protocols.pbft.core import Core


def find_end(committee: Committee, application: Application) -> int | None:
    """The end of the committee's epoch, if the application has reached it already."""
    is_ended = application.get_committee().epoch > committee.epoch
    return application.get_position() if is_ended else None


def note_end(core: "Core", seq: int, now_ms: int) -> None:
    """See whether the batch at `seq`, just executed, ends the epoch.

    Nothing after it is executed in this epoch, even where it is committed: no honest member signs
    a head beyond, so it has no outcome. Its operations wait again.
    """
    core.end = find_end(core.committee, core.application)
    if core.end is None:
        return
    for later in [s for s in core.slots if s > seq]:
        proposal = core.slots.pop(later).proposal
        for request in () if proposal is None else proposal.requests:
            if core.application.admit(request.signer, request.operation) is None:
                core.pool.add(request, now_ms)
    core.pool.begin_view()


def is_over(core: "Core") -> bool:
    """True once the next epoch may be entered: q of its members have signed the head at the end,
    so that they hold it for good, and so does this node."""
    return core.end is not None and min(core.heads.certified, core.durable) >= core.end

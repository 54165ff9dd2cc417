"""Leaving a view before its timer ends, when a quorum has a reason of its own.

Reasons are that the link to the primary broke and did not come back, as happens when its process
dies, and that the primary is too slow (`pace.py`). A member with a reason says so (`Status`), and
leaves the view only when q members do, itself among them: then the view change is certain to find
its quorum. A member whose own link fails does not lock itself out, and f liars replace nobody.

Whoever can reset connections at will may break a quorum's links to one primary after another. So
at most f views (one where f is 0) are left early in any `EARLY_PAUSE_MS`, and none while the timer
stands above its first value, since then view changes have not helped.
"""

from collections import deque
from typing import TYPE_CHECKING

from protocols.pbft.pace import Pace
from protocols.step import Step

if TYPE_CHECKING:
    from protocols.pbft.core import Core

RELAY_AFTER_MS = 200
"""How long a request may wait before a backup passes it on to the primary."""
LINK_GRACE_MS = 100
"""A link that comes back within this time was never lost."""
EARLY_PAUSE_MS = 4_000


class Suspicion:
    """What one member, and those it hears, hold against the primary."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self.pace = Pace(core.committee.n)
        self._lost_ms: dict[bytes, int] = {}
        """Members whose link broke, and when."""
        self._complaints: dict[bytes, int] = {}
        """Members that complain, and of which view."""
        self._left_ms: deque[int] = deque(maxlen=max(1, core.committee.f))
        """When views were left early, the last of them."""

    def follow(self, former: "Suspicion") -> None:
        """Take over from the epoch before: links break without asking for epochs."""
        is_member = self._core.committee.is_member
        self._lost_ms = {peer: at for peer, at in former._lost_ms.items() if is_member(peer)}
        self._left_ms.extend(former._left_ms)

    def on_link(self, peer: bytes, is_up: bool, now_ms: int, step: Step) -> None:
        """The link to `peer` is there, or broke. One that never was has not broken."""
        if not self._core.committee.is_member(peer):
            return
        if is_up:
            self._lost_ms.pop(peer, None)
            step.wake(now_ms)
        else:
            self._lost_ms.setdefault(peer, now_ms)
            step.wake(now_ms + LINK_GRACE_MS)

    def on_waiting(self, now_ms: int, step: Step) -> None:
        """Requests came: have the timers run in time to pass them on, or to leave the view."""
        core = self._core
        if len(core.pool) and not core.is_primary:
            hurry = self.has_reason(now_ms)
            step.wake(now_ms if hurry else now_ms + RELAY_AFTER_MS)

    def on_batch(self, operations: int, since_ms: int | None, now_ms: int) -> None:
        """The primary had a batch executed; `since_ms`: see `Pace.on_batch`."""
        self.pace.on_batch(operations, since_ms, self._core.pool.get_oldest_ms(), now_ms)

    def on_complaint(self, peer: bytes, view: int | None, now_ms: int, step: Step) -> None:
        """`peer` is for replacing the primary of `view`, or not for replacing any."""
        if not self._core.committee.is_member(peer):
            return
        if view is None:
            self._complaints.pop(peer, None)
        elif self._complaints.get(peer) != view:
            self._complaints[peer] = view
            step.wake(now_ms)

    def has_reason(self, now_ms: int) -> bool:
        """True while this member is for replacing the primary of its view."""
        core = self._core
        primary = core.committee.get_primary(core.view)
        if not core.is_member or primary == core.me:
            return False
        lost_ms = self._lost_ms.get(primary)
        is_lost = lost_ms is not None and now_ms - lost_ms >= LINK_GRACE_MS
        return is_lost or (core.views.is_active and self.pace.is_too_slow())

    def get_due_ms(self, now_ms: int) -> int | None:
        """When the primary's lost link becomes a reason, if that is to come."""
        lost_ms = self._lost_ms.get(self._core.committee.get_primary(self._core.view))
        due_ms = None if lost_ms is None else lost_ms + LINK_GRACE_MS
        return due_ms if due_ms is not None and due_ms > now_ms else None

    def may_leave(self, now_ms: int) -> bool:
        """True when q members have a reason, and views were not left early too often."""
        core = self._core
        if not self.has_reason(now_ms):
            return False
        primary = core.committee.get_primary(core.view)
        others = sum(
            view == core.view and peer != primary for peer, view in self._complaints.items()
        )
        is_rested = (
            len(self._left_ms) < (self._left_ms.maxlen or 0)
            or now_ms - self._left_ms[0] >= EARLY_PAUSE_MS
        )
        return others >= core.committee.q - 1 and is_rested

    def on_left(self, now_ms: int) -> None:
        """A view was left early."""
        self._left_ms.append(now_ms)

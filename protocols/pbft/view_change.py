"""View change (sections 4.4 and 4.5): how a committee replaces a primary that does not lead.

    active ──timer──► VIEW-CHANGE(v+1) sent, inactive ──NEW-VIEW(v+1)──► active in v+1
                        │  f+1 members are above us: join the smallest of their views
                        └─ q have left and no NEW-VIEW in time: VIEW-CHANGE(v+2), ...

A member's choice to leave a view is durable before it is sent, and it takes no further part in
that view: what its VIEW-CHANGE says of prepared certificates stays true. The timer runs while
something waits to be executed, doubles with each view change and is reset by progress. A member
that hears of fewer than q-1 others, or is behind, does not blame the primary: on its own it would
only lock itself out. `suspicion.py` says when a view is left before its timer ends.
"""

import hashlib
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING

import msgspec

from identity import envelope, schema
from identity.envelope import Statement
from identity.errors import InvalidBytes, InvalidSchema
from protocols.messages import (
    NEW_VIEW_KIND,
    VIEW_CHANGE_BYTES_MAX,
    VIEW_CHANGE_KIND,
    CarryNewView,
    CarryViewChange,
    Commit,
    NewView,
    Prepare,
    Submit,
    ViewChange,
)
from protocols.pbft.new_view import check_view_change, compute_proposals
from protocols.pbft.suspicion import RELAY_AFTER_MS
from protocols.step import Equivocation, Persist, Send, Step

if TYPE_CHECKING:
    from protocols.pbft.core import Core

TIMEOUT_MS = 2_000
"""How long something may wait for a primary before the first view change."""
TIMEOUT_MS_MAX = 64_000
VIEWS_KEPT_PER_SIGNER = 4
EARLY_VOTES_MAX = 512
"""Votes of one member for views that have not begun here; more than its open slots need."""
RESEND_MS = 300
RELAYED_MAX = 64
RELAYED_BYTES_MAX = 256 * 1024
"""Requests that a backup passes on at once to a primary that seems not to have them."""
HEARD_MS_MAX = 1_500
"""A member that was silent for longer does not count as connected."""


class ViewRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the vote log keeps of the view: `new_view` is empty until it has begun."""

    view: int
    view_change: bytes
    new_view: bytes
    support: tuple[bytes, ...]


class ViewChanger:
    """The view of one member: which one, and whether it is active in it."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self.is_active = True
        self.expected: dict[int, bytes] = {}
        """Digests that the present view proposes again, by sequence number."""
        self._known: dict[int, dict[bytes, tuple[Statement, ViewChange]]] = {}
        self._wanted: tuple[int, frozenset[bytes]] = (-1, frozenset())
        """The VIEW-CHANGEs that a NEW-VIEW names and that are not here, with its view."""
        self._named: dict[bytes, tuple[Statement, ViewChange]] = {}
        """Those of them that came, by signer: other ones than their signers showed here first."""
        self._own: Statement | None = None
        self._new_view: Statement | None = None
        self._support: tuple[Statement, ...] = ()
        self._early: dict[bytes, deque[tuple[Statement, Prepare | Commit, bool]]] = {}
        self._timeout_ms = TIMEOUT_MS
        self._deadline_ms: int | None = None
        self._entered_ms = 0
        self._progress = -1
        self._resend_after_ms = 0
        self._relay_after_ms = 0
        self._heard_ms: dict[bytes, int] = {}

    # --- time ---------------------------------------------------------------------------------

    def on_timer(self, now_ms: int, step: Step) -> None:
        """Blame the primary when something has waited too long."""
        core = self._core
        if not core.is_member or core.committee.n == 1 or not core.memory.may_sign():
            return
        is_starving = self.is_active and core.is_starving(
            now_ms, self._entered_ms, 2 * self._timeout_ms
        )
        if core.executed > self._progress:
            self._progress = core.executed
            self._deadline_ms = None
            if self.is_active:
                self._timeout_ms = TIMEOUT_MS
        # VIEW-CHANGEs may have come while this member might not sign.
        self._join(now_ms, step)
        self._try_begin(now_ms, step)
        if not self.is_active and now_ms >= self._resend_after_ms:
            self._resend_after_ms = now_ms + RESEND_MS
            self._broadcast_own(step)
        if not self._is_waiting(now_ms):
            self._deadline_ms = None
        elif self._timeout_ms == TIMEOUT_MS and core.suspicion.may_leave(now_ms):
            core.suspicion.on_left(now_ms)
            self._leave(core.view + 1, now_ms, step)
        elif is_starving or (self._deadline_ms is not None and now_ms >= self._deadline_ms):
            self._timeout_ms = min(2 * self._timeout_ms, TIMEOUT_MS_MAX)
            self._leave(core.view + 1, now_ms, step)
        elif self._deadline_ms is None:
            self._deadline_ms = now_ms + self._timeout_ms
        if self.is_active and self._deadline_ms is not None:
            self._relay(now_ms, step)
        step.wake(self._deadline_ms)

    def _is_waiting(self, now_ms: int) -> bool:
        """While leaving, the timer runs once q members have left for this view or a later one: a
        member that went on repeats its newest VIEW-CHANGE only, and those that restarted since
        have forgotten the one before."""
        core = self._core
        if not self.is_active:
            left = {s for view, known in self._known.items() if view >= core.view for s in known}
            return len(left) >= core.committee.q
        return self._is_connected(now_ms) and core.is_waiting(now_ms)

    def note_heard(self, peer: bytes, now_ms: int) -> None:
        """A message of `peer` has come: it is there."""
        if self._core.committee.is_member(peer):
            self._heard_ms[peer] = now_ms

    def _is_connected(self, now_ms: int) -> bool:
        """True while enough other members are heard of to make a quorum with this one."""
        heard = sum(now_ms - at <= HEARD_MS_MAX for at in self._heard_ms.values())
        return heard >= self._core.committee.q - 1

    def _relay(self, now_ms: int, step: Step) -> None:
        """Pass what waits longest on to the primary: its client may have left it out."""
        core = self._core
        since_ms = core.pool.get_oldest_ms()
        if core.is_primary or since_ms is None or now_ms - since_ms < RELAY_AFTER_MS:
            return
        if now_ms < self._relay_after_ms:
            return
        self._relay_after_ms = now_ms + RELAY_AFTER_MS
        oldest = core.pool.list_oldest(RELAYED_MAX, RELAYED_BYTES_MAX)
        if oldest:
            operations = tuple(request.data for request in oldest)
            submit = Submit(committee=core.committee.id, operations=operations)
            step.sends.append(Send(core.committee.get_primary(core.view), submit))

    # --- leaving a view -----------------------------------------------------------------------

    def _leave(self, view: int, now_ms: int, step: Step) -> None:
        """Send a VIEW-CHANGE for `view`; what was voted before is in it."""
        core = self._core
        core.view, self.is_active = view, False
        core.again.clear()
        base, certificate = core.get_base()
        prepared = tuple(
            slot.prepared.proof
            for seq, slot in sorted(core.slots.items())
            if seq > base and slot.prepared is not None
        )
        message = ViewChange(view, base, certificate, prepared)
        self._own = core.sign(VIEW_CHANGE_KIND, message)
        self._new_view, self._support, self.expected = None, (), {}
        self._named = {}
        self._persist(step)
        self._add(self._own, message)
        self._broadcast_own(step)
        self._deadline_ms = None
        self._try_begin(now_ms, step)

    def _broadcast_own(self, step: Step) -> None:
        if self._own is not None:
            step.sends.append(Send(None, self._carry(self._own)))

    def on_view_change(self, statement: Statement, now_ms: int) -> Step:
        """A member's VIEW-CHANGE. Raises InvalidBytes."""
        step, core = Step(), self._core
        if not core.committee.is_member(statement.signer) or statement.signer == core.me:
            return step
        message = schema.decode(statement.payload, ViewChange, size_max=VIEW_CHANGE_BYTES_MAX)
        if message.view < core.view or (message.view == core.view and self.is_active):
            return step
        known = self._known.get(message.view, {}).get(statement.signer)
        if known is not None:
            if known[0].data != statement.data:
                core.check(statement)
                if known[0].payload != statement.payload:
                    step.evidence.append(Equivocation(known[0], statement))
                self._take_named(statement, message)
            return step
        core.check(statement)
        check_view_change(core.committee, message, core.checkpoints.window, core.check)
        self._add(statement, message)
        self._join(now_ms, step)
        self._try_begin(now_ms, step)
        return step

    def _take_named(self, statement: Statement, message: ViewChange) -> None:
        """Keep a signer's second VIEW-CHANGE if the NEW-VIEW builds on it. Who shows different
        ones to different members could keep some of them out of each view otherwise."""
        view, digests = self._wanted
        if message.view == view and hashlib.sha256(statement.data).digest() in digests:
            core = self._core
            check_view_change(core.committee, message, core.checkpoints.window, core.check)
            self._named[statement.signer] = (statement, message)

    def _add(self, statement: Statement, message: ViewChange) -> None:
        self._known.setdefault(message.view, {})[statement.signer] = (statement, message)
        views = sorted(v for v, signers in self._known.items() if statement.signer in signers)
        for view in views[:-VIEWS_KEPT_PER_SIGNER]:
            del self._known[view][statement.signer]
            if not self._known[view]:
                del self._known[view]

    def _join(self, now_ms: int, step: Step) -> None:
        """With f+1 members above our view one of them is honest: join the smallest."""
        core = self._core
        highest: dict[bytes, int] = {}
        for view, signers in self._known.items():
            for signer in signers:
                if view > core.view:
                    highest[signer] = min(view, highest.get(signer, view))
        if len(highest) > core.committee.f and core.is_member and core.memory.may_sign():
            self._leave(min(highest.values()), now_ms, step)

    # --- beginning a view ---------------------------------------------------------------------

    def _try_begin(self, now_ms: int, step: Step) -> None:
        """As the new primary, begin the view at q VIEW-CHANGEs."""
        core = self._core
        if self.is_active or core.committee.get_primary(core.view) != core.me:
            return
        if not core.memory.may_sign():
            return
        known = self._known.get(core.view, {})
        if len(known) < core.committee.q or core.me not in known:
            return
        chosen = sorted(known.items())
        own = next(item for item in chosen if item[0] == core.me)
        others = [item for item in chosen if item[0] != core.me][: core.committee.q - 1]
        support = [own, *others]
        _, proposals = compute_proposals(message for _, (_, message) in support)
        statements = tuple(statement for _, (statement, _) in support)
        digests = tuple(hashlib.sha256(statement.data).digest() for statement in statements)
        self._new_view = core.sign(NEW_VIEW_KIND, NewView(core.view, digests, proposals))
        self._support = statements
        self._enter([message for _, (_, message) in support], now_ms, step)
        step.sends += [Send(None, hop) for hop in self._get_bundle()]
        core.again.go_on(now_ms, step)
        core.propose(now_ms, step)

    def on_new_view(self, statement: Statement, now_ms: int) -> Step:
        """The NEW-VIEW of its view's primary; O is computed again. Raises InvalidBytes."""
        step, core = Step(), self._core
        message = schema.decode(statement.payload, NewView, size_max=VIEW_CHANGE_BYTES_MAX)
        if message.view < core.view or (message.view == core.view and self.is_active):
            self._compare_new_view(statement, message, step)
            return step
        if statement.signer != core.committee.get_primary(message.view):
            raise InvalidSchema("a NEW-VIEW that is not its view's primary's")
        core.check(statement)
        known = {
            hashlib.sha256(change.data).digest(): (change, body)
            for change, body in (
                *self._known.get(message.view, {}).values(),
                *self._named.values(),
            )
        }
        missing = frozenset(message.view_changes) - known.keys()
        if missing:  # they come with the next transmission
            if not core.view <= self._wanted[0] < message.view:
                self._wanted = (message.view, missing)
            return step
        support = [known[digest] for digest in message.view_changes]
        if len({change.signer for change, _ in support}) < core.committee.q:
            raise InvalidSchema("a NEW-VIEW needs VIEW-CHANGEs of q distinct members")
        _, proposals = compute_proposals(body for _, body in support)
        if proposals != message.proposals:
            raise InvalidSchema("a NEW-VIEW whose proposals do not follow from its VIEW-CHANGEs")
        core.view = message.view
        self._new_view = statement
        self._support = tuple(change for change, _ in support)
        self._enter([body for _, body in support], now_ms, step)
        return step

    def _compare_new_view(self, statement: Statement, message: NewView, step: Step) -> None:
        """A second NEW-VIEW for the present view is evidence against its primary."""
        known = self._new_view
        if (
            known is not None
            and message.view == self._core.view
            and statement.signer == known.signer != self._core.me
            and statement.payload != known.payload
        ):
            self._core.check(statement)
            step.evidence.append(Equivocation(known, statement))

    def _enter(self, support: list[ViewChange], now_ms: int, step: Step) -> None:
        """Become active in the view that `support` begins."""
        core = self._core
        base, proposals = compute_proposals(support)
        self.expected = {assigned.seq: assigned.digest for assigned in proposals}
        self.is_active = True
        self._entered_ms = now_ms
        core.suspicion.pace.begin_view(now_ms)
        self._deadline_ms = None
        self._wanted, self._named = (-1, frozenset()), {}
        self._persist(step)
        for view in [v for v in self._known if v < core.view]:
            del self._known[view]
        last = max(self.expected, default=base)
        core.on_view_entered(base, last)
        early, self._early = self._early, {}
        for statement, vote, direct in chain.from_iterable(early.values()):
            try:
                core.on_vote(statement, vote, step, direct=direct, now_ms=now_ms)
            except InvalidBytes:
                continue  # passed on by somebody who cannot be named any more

    # --- what others miss ---------------------------------------------------------------------

    def keep_early(self, statement: Statement, vote: Prepare | Commit, direct: bool) -> None:
        """A vote of a view that this member has not entered yet: of each signer the newest.
        Raises InvalidSignature; with forged ones nobody pushes out another's votes."""
        if not direct:
            self._core.check(statement)
        kept = self._early.setdefault(statement.signer, deque(maxlen=EARLY_VOTES_MAX))
        kept.append((statement, vote, direct))

    def get_newest(self, signer: bytes) -> Statement | None:
        """The VIEW-CHANGE of a member for the highest view, if one is here."""
        for _, signers in sorted(self._known.items(), reverse=True):
            if signer in signers:
                return signers[signer][0]
        return next((change for change in self._support if change.signer == signer), None)

    def resend(self, peer: bytes, view: int, active: bool, step: Step) -> None:
        """Bring a peer that is in `view` to ours."""
        if view > self._core.view or (view == self._core.view and active):
            return
        if self.is_active:
            step.sends += [Send(peer, hop) for hop in self._get_bundle()]
        elif self._own is not None:
            step.sends.append(Send(peer, self._carry(self._own)))

    def restore(self, row: ViewRow) -> None:
        """Continue in the view that the vote log holds."""
        core = self._core
        core.view = row.view
        self._own = self._parse(row.view_change) if row.view_change else None
        self._support = tuple(self._parse(data) for data in row.support)
        self.is_active = bool(row.new_view)
        if row.new_view:
            self._new_view = self._parse(row.new_view)
            message = schema.decode(self._new_view.payload, NewView, size_max=VIEW_CHANGE_BYTES_MAX)
            self.expected = {assigned.seq: assigned.digest for assigned in message.proposals}
            core.next_seq = max(core.next_seq, max(self.expected, default=0) + 1)
        elif self._own is not None:
            self._add(
                self._own,
                schema.decode(self._own.payload, ViewChange, size_max=VIEW_CHANGE_BYTES_MAX),
            )

    def _get_bundle(self) -> list[CarryViewChange | CarryNewView]:
        if self._new_view is None:
            return []
        committee = self._core.committee.id
        new_view = CarryNewView(committee=committee, statement=self._new_view.data)
        return [*(self._carry(statement) for statement in self._support), new_view]

    def _carry(self, statement: Statement) -> CarryViewChange:
        return CarryViewChange(committee=self._core.committee.id, statement=statement.data)

    def _parse(self, data: bytes) -> Statement:
        return envelope.parse(data, size_max=VIEW_CHANGE_BYTES_MAX)

    def _persist(self, step: Step) -> None:
        core = self._core
        row = ViewRow(
            view=core.view,
            view_change=self._own.data if self._own is not None else b"",
            new_view=self._new_view.data if self._new_view is not None else b"",
            support=tuple(statement.data for statement in self._support),
        )
        data = schema.encode(row)
        epoch = core.committee.epoch
        step.persist.append(Persist(core.committee.id, "view", core.view, 0, data, epoch))

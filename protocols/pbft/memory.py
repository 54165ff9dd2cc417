"""Whether this member remembers what it has signed, before it signs anything.

The vote log survives a crash. It does not survive being put back from a backup, or a home that was
copied and started twice: such a member would vote a second time in slots that it has forgotten. So
after every start, and whenever it enters an epoch, it asks the others for its own newest statements
and keeps silent until q-1 of them have answered. If one of these, signed with its own key, is newer
than what it remembers, it only observes until a quorum has signed a head of the log beyond every
slot it may have voted in. A vote log that says that it was put back from a backup has it observe
whatever they answer: by now they may have forgotten, too.
"""

from typing import TYPE_CHECKING

from identity import envelope, schema
from identity.envelope import Statement
from identity.errors import InvalidSchema
from protocols.messages import (
    COMMIT_KIND,
    PRE_PREPARE_KIND,
    PREPARE_KIND,
    VIEW_CHANGE_BYTES_MAX,
    VIEW_CHANGE_KIND,
    AskMemory,
    Commit,
    GiveMemory,
    Prepare,
    PrePrepare,
    ViewChange,
)
from protocols.step import Persist, Send, Step

if TYPE_CHECKING:
    from protocols.pbft.core import Core

ASK_MS = 300
BEYOND_MAX = 128
"""Slots beyond the highest one known to others that a member may have voted in: twice what a
primary may propose beyond the last certified head."""

_KINDS: dict[str, type[PrePrepare | Prepare | Commit | ViewChange]] = {
    PRE_PREPARE_KIND: PrePrepare,
    PREPARE_KIND: Prepare,
    COMMIT_KIND: Commit,
    VIEW_CHANGE_KIND: ViewChange,
}


class Memory:
    """What a member found out about its own past since it started."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self._answers: dict[bytes, GiveMemory] = {}
        self._forgotten: Statement | None = None
        self._forgotten_seq = 0
        self._observe_until = 0
        self._asked_ms: int | None = None
        self._is_restored = False
        self.is_settled = not core.is_member or core.committee.n == 1

    def may_sign(self) -> bool:
        """True once nothing that this member signs can contradict what it has signed before."""
        return not self._is_restored and self._has_passed()

    def _has_passed(self) -> bool:
        return self.is_settled and self._core.base >= self._observe_until

    def is_observing(self) -> bool:
        """True while this member has found that it forgot some of its own statements, or was put
        back from a backup."""
        has_forgotten = self._is_restored or self._forgotten is not None
        return self._core.is_member and has_forgotten and not self.may_sign()

    def mark_restored(self) -> None:
        """The vote log was put back from a backup. A member without others never signs again: it
        has nobody to ask."""
        self._is_restored = True
        self.is_settled = not self._core.is_member

    def follow(self, former: "Memory") -> None:
        """Go on in another epoch: what was forgotten may be of that one."""
        if former._is_restored:
            self.mark_restored()

    def on_timer(self, now_ms: int, step: Step) -> None:
        if self._is_restored and self._core.is_member and self._has_passed():
            self._is_restored = False
            committee = self._core.committee
            step.persist.append(Persist(committee.id, "passed", 0, 0, b"", committee.epoch))
            self._core.speak(now_ms, step)
        if self.is_settled or (self._asked_ms is not None and now_ms < self._asked_ms + ASK_MS):
            return
        self._asked_ms = now_ms
        step.sends.append(Send(None, self._ask()))
        step.wake(now_ms + ASK_MS)

    def on_ask(self, peer: bytes) -> Step:
        """Show a member its own newest statements that are here. One that has entered the epoch
        after this member did not hear its question: ask again."""
        core, step = self._core, Step()
        if not core.committee.is_member(peer):
            return step
        newest: list[bytes] = []
        for _, slot in sorted(core.slots.items(), reverse=True):
            newest += [s.data for s in slot.get_statements() if s.signer == peer]
            if newest:
                break
        change = core.views.get_newest(peer)
        answer = GiveMemory(
            committee=core.committee.id,
            epoch=core.committee.epoch,
            highest=max((core.executed, *core.slots)),
            statements=tuple(newest[:3]),
            view_change=b"" if change is None else change.data,
        )
        step.sends.append(Send(peer, answer))
        if not self.is_settled and peer not in self._answers:
            step.sends.append(Send(peer, self._ask()))
        return step

    def on_answer(self, peer: bytes, answer: GiveMemory, now_ms: int) -> Step:
        """Another member's answer. Raises InvalidBytes for statements that are not ours."""
        core, step = self._core, Step()
        if self.is_settled or not core.committee.is_member(peer):
            return step
        for data in (*answer.statements, *filter(None, (answer.view_change,))):
            self._compare(data)
        self._answers[peer] = answer
        if len(self._answers) >= core.committee.q - 1:
            self.is_settled = True
            if self._is_restored or self._forgotten is not None:
                claims = sorted((a.highest for a in self._answers.values()), reverse=True)
                credible = claims[min(core.committee.f, len(claims) - 1)]
                self._observe_until = max(credible, self._forgotten_seq) + BEYOND_MAX
            core.speak(now_ms, step)
        return step

    def _ask(self) -> AskMemory:
        committee = self._core.committee
        return AskMemory(committee=committee.id, epoch=committee.epoch)

    def _compare(self, data: bytes) -> None:
        core = self._core
        statement = envelope.parse(data, size_max=VIEW_CHANGE_BYTES_MAX)
        kind = _KINDS.get(statement.kind)
        place = (statement.committee, statement.epoch, statement.signer)
        if kind is None or place != (core.committee.id, core.committee.epoch, core.me):
            raise InvalidSchema("not a statement of this member's")
        message = schema.decode(statement.payload, kind, size_max=VIEW_CHANGE_BYTES_MAX)
        if self._remembers(message):
            return
        core.check(statement)
        self._forgotten = statement
        if not isinstance(message, ViewChange):
            self._forgotten_seq = max(self._forgotten_seq, message.seq)

    def _remembers(self, message: PrePrepare | Prepare | Commit | ViewChange) -> bool:
        core = self._core
        if message.view != core.view:
            return message.view < core.view
        if isinstance(message, ViewChange):
            return True
        slot = core.slots.get(message.seq)
        if slot is None:
            return message.seq <= core.checkpoints.low
        if isinstance(message, Commit):
            return slot.own_commit is not None
        return slot.proposal is not None and slot.proposal.message.digest == message.digest

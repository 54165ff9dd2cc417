"""What a new primary proposes again: the batches that its NEW-VIEW announced by digest.

A batch whose prepared certificate came from others may not be here; it is fetched by its digest,
and nothing new is proposed before all of them are out.
"""

from typing import TYPE_CHECKING

from identity.errors import InvalidSchema
from protocols.messages import FetchBody, GiveBody, compute_batch_digest
from protocols.pbft.new_view import NULL_DIGEST
from protocols.pbft.pool import Request
from protocols.step import Send, Step

if TYPE_CHECKING:
    from protocols.pbft.core import Core, Load


class Reproposals:
    """The announced batches that this primary has not proposed yet."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self._wanted: dict[int, bytes] = {}

    def is_done(self) -> bool:
        return not self._wanted

    def begin(self) -> None:
        """Take over what the present view announced and this primary has not proposed."""
        core = self._core
        self._wanted = {}
        if core.is_primary and core.views.is_active:
            low, high = core.checkpoints.low, core.checkpoints.high
            for seq, digest in core.views.expected.items():
                slot = core.slots.get(seq)
                if low < seq <= high and (slot is None or slot.proposal is None):
                    self._wanted[seq] = digest

    def clear(self) -> None:
        """The view is over: nothing of it is proposed any more."""
        self._wanted = {}

    def forget(self, position: int) -> None:
        """What stands up to `position` is certified and executed: nobody needs it again."""
        self._wanted = {seq: digest for seq, digest in self._wanted.items() if seq > position}

    def go_on(self, now_ms: int, step: Step) -> None:
        """Propose what is here, and ask everybody for the rest."""
        core = self._core
        if not self._may_propose():
            return
        for seq, digest in sorted(self._wanted.items()):
            body = self._find(seq, digest)
            if body is None:
                fetch = FetchBody(committee=core.committee.id, seq=seq, digest=digest)
                step.sends.append(Send(None, fetch))
            else:
                self._propose(seq, body[0], body[1], now_ms, step)

    def on_fetch_body(self, peer: bytes, fetch: FetchBody) -> Step:
        step, slot = Step(), self._core.slots.get(fetch.seq)
        if slot is not None and slot.prepared and slot.prepared.proof.digest == fetch.digest:
            hop = slot.prepared.hop
            answer = GiveBody(
                committee=self._core.committee.id,
                seq=fetch.seq,
                time_ms=hop.time_ms,
                operations=hop.operations,
            )
            step.sends.append(Send(peer, answer))
        return step

    def on_give_body(self, answer: GiveBody, load: "Load", now_ms: int) -> Step:
        """A batch that was fetched. Raises InvalidBytes."""
        step = Step()
        digest = self._wanted.get(answer.seq)
        if digest is None or not self._may_propose():
            return step
        requests = load(answer.operations)
        if compute_batch_digest(answer.time_ms, [r.digest for r in requests]) != digest:
            raise InvalidSchema("a batch with another digest than was asked for")
        self._propose(answer.seq, answer.time_ms, requests, now_ms, step)
        self._core.propose(now_ms, step)
        return step

    def _may_propose(self) -> bool:
        core = self._core
        return core.is_primary and core.views.is_active and core.memory.may_sign()

    def _find(self, seq: int, digest: bytes) -> tuple[int, tuple[Request, ...]] | None:
        if digest == NULL_DIGEST:
            return 0, ()
        slot = self._core.slots.get(seq)
        if slot is not None and slot.prepared and slot.prepared.proof.digest == digest:
            return slot.prepared.hop.time_ms, slot.prepared.requests
        return None

    def _propose(
        self, seq: int, time_ms: int, requests: tuple[Request, ...], now_ms: int, step: Step
    ) -> None:
        del self._wanted[seq]
        self._core.pool.note_proposed(requests)
        self._core.propose_at(seq, requests, time_ms, (), now_ms, step)

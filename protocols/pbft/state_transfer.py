"""State transfer: how a member that is far behind gets the state instead of all batches (section
4.6 of Castro and Liskov's paper, with the tree of `protocols/state_tree.py`).

    idle ──behind──► asking ──offers──► fetching ──last chunk──► the state is loaded
                       ▲                    │ no source is left
                       └────────────────────┘

Nothing that a peer claims is believed. An offer carries the certificate of a checkpoint, q members'
signatures over the digest of the state, and size and root that give this digest; each chunk comes
with its path to that root. Chunks are asked of all who offered the same state at once, so many of
each. Who sends a wrong one is asked no more; who sends none is left alone for a while, and what it
was asked for is asked of others. Chunks are kept on disk as they come, and after a restart only the
others are fetched.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from identity import schema
from identity.certificate import Certificate
from identity.errors import InvalidBytes, InvalidCertificate, InvalidSchema
from protocols.messages import (
    CERTIFICATE_BYTES_MAX,
    CHECKPOINT_KIND,
    CHUNKS_PER_FETCH_MAX,
    VOTE_BYTES_MAX,
    AskState,
    Checkpoint,
    FetchState,
    GiveState,
    OfferState,
)
from protocols.pbft.checkpoint import Diverged
from protocols.pbft.epoch import note_end
from protocols.state_tree import (
    StateTree,
    compute_digest,
    count_chunks,
    cut,
    hash_chunks,
    is_chunk,
)
from protocols.step import ChunkFetched, Fault, Send, Step, TransferBegun, Transferred

if TYPE_CHECKING:
    from protocols.pbft.core import Core

OFFER_WAIT_MS = 500
"""How long offers are waited for before one is chosen, unless every member has answered."""
SEEK_PAUSE_MS = 5_000
"""After nobody offered anything useful."""
CHUNK_TIMEOUT_MS = 2_000
"""How long a source may send nothing of what it was asked for; doubles with each time."""
CHUNK_TIMEOUT_MS_MAX = 32_000
SHUN_MS = 10_000
LIAR_SHUN_MS = 600_000


@dataclass(frozen=True, slots=True)
class Target:
    """A state that q members certified."""

    checkpoint: Checkpoint
    certificate: Certificate
    size: int
    root: bytes

    @property
    def place(self) -> tuple[int, bytes]:
        return self.checkpoint.seq, self.checkpoint.state


@dataclass(slots=True)
class _Source:
    """A member that offered a state. `asked` are the chunks it owes until `deadline_ms`."""

    target: Target | None = None
    asked: set[int] = field(default_factory=set)
    deadline_ms: int = 0
    timeout_ms: int = CHUNK_TIMEOUT_MS
    shunned_until_ms: int = 0
    has_answered: bool = False


class StateTransfer:
    """One member's fetching of a state."""

    def __init__(self, core: "Core") -> None:
        self._core = core
        self._sources: dict[bytes, _Source] = {}
        """By member, so there are no more than members."""
        self._target: Target | None = None
        self._chunks: dict[int, bytes] = {}
        self._asking_until_ms: int | None = None
        self._gain_min = 1
        self._idle_until_ms = 0
        self._is_fetching = False

    @property
    def is_active(self) -> bool:
        """True while a state is asked for or fetched: batches are not, then."""
        return self._is_fetching or self._asking_until_ms is not None

    def count_chunks(self) -> tuple[int, int]:
        """How many chunks are here, and of how many; (0, 0) while no state is fetched."""
        if self._target is None or not self._is_fetching:
            return 0, 0
        return len(self._chunks), count_chunks(self._target.size)

    def resume(
        self, certificate: bytes, size: int, root: bytes, chunks: Mapping[int, bytes]
    ) -> None:
        """Take over what an earlier process has fetched. Raises InvalidBytes when the disk holds
        something else than it was given; damaged chunks show when all are there."""
        target = self._parse(certificate, size, root)
        if target is not None:
            self._target, self._chunks = target, dict(chunks)

    def seek(self, gain_min: int, now_ms: int, step: Step) -> None:
        """Look for a certified state at least `gain_min` positions ahead."""
        if not self.is_active and now_ms >= self._idle_until_ms:
            self._gain_min = gain_min
            self._ask(now_ms, step)

    def on_timer(self, now_ms: int, step: Step) -> None:
        if not self.is_active or self._is_reached():
            return
        for source in self._sources.values():
            if source.asked and now_ms >= source.deadline_ms:
                source.asked.clear()
                source.shunned_until_ms = now_ms + SHUN_MS
                source.timeout_ms = min(2 * source.timeout_ms, CHUNK_TIMEOUT_MS_MAX)
        if self._asking_until_ms is not None and now_ms >= self._asking_until_ms:
            self._choose(now_ms, step)
        elif self._is_fetching:
            self._request(now_ms, step)

    def _is_reached(self) -> bool:
        """True when what is fetched has come as batches meanwhile: it is forgotten."""
        if self._target is None or self._target.checkpoint.seq > self._core.executed:
            return False
        self._target, self._chunks = None, {}
        self._rest(0)
        return True

    # --- offers -------------------------------------------------------------------------------

    def _ask(self, now_ms: int, step: Step) -> None:
        self._is_fetching = False
        self._asking_until_ms = now_ms + OFFER_WAIT_MS
        for source in self._sources.values():
            source.target, source.has_answered = None, False
            source.asked.clear()
        ask = AskState(committee=self._core.committee.id, after=self._core.executed)
        step.sends.append(Send(None, ask))
        step.wake(self._asking_until_ms)

    def on_offer(self, peer: bytes, offer: OfferState, now_ms: int) -> Step:
        """Raises InvalidBytes for an offer that is not proven."""
        step, core = Step(), self._core
        if not self.is_active or not core.committee.is_member(peer) or peer == core.me:
            return step
        target = self._parse(offer.certificate, offer.size, offer.root)
        source = self._sources.setdefault(peer, _Source())
        source.target, source.has_answered = target, True
        if self._is_fetching:
            self._request(now_ms, step)
        elif sum(source.has_answered for source in self._sources.values()) >= core.committee.n - 1:
            self._choose(now_ms, step)
        return step

    def _parse(self, data: bytes, size: int, root: bytes) -> Target | None:
        """What is offered; None when it is of another epoch. Raises InvalidBytes."""
        committee = self._core.committee
        certificate = Certificate.decode(data, committee.network, size_max=CERTIFICATE_BYTES_MAX)
        place = certificate.context
        if (place.kind, place.committee) != (CHECKPOINT_KIND, committee.id):
            raise InvalidCertificate("not the certificate of a checkpoint of this committee")
        if place.epoch != committee.epoch:
            return None
        checkpoint = schema.decode(certificate.payload, Checkpoint, size_max=VOTE_BYTES_MAX)
        if checkpoint.state != compute_digest(size, root):
            raise InvalidSchema("size and root do not give the digest of the checkpoint")
        target = Target(checkpoint, certificate, size, root)
        if all(source.target != target for source in self._sources.values()):
            certificate.check(committee.members, committee.q)
        return target

    def _choose(self, now_ms: int, step: Step) -> None:
        """Begin, or go on, with the best state that is offered."""
        self._asking_until_ms = None
        reached = self._core.executed + self._gain_min
        offered = [
            source.target
            for source in self._sources.values()
            if source.target is not None
            and source.target.checkpoint.seq >= reached
            and now_ms >= source.shunned_until_ms
        ]
        if not offered:
            self._rest(now_ms + SEEK_PAUSE_MS)
            return
        known = None if self._target is None else self._target.place
        if not self._chunks or known not in [target.place for target in offered]:
            self._begin(max(offered, key=lambda target: target.checkpoint.seq), step)
        self._is_fetching = True
        self._go_on(now_ms, step)

    def _begin(self, target: Target, step: Step) -> None:
        self._target, self._chunks = target, {}
        step.states.append(
            TransferBegun(
                committee=self._core.committee.id,
                position=target.checkpoint.seq,
                certificate=target.certificate.encode(),
                size=target.size,
                root=target.root,
            )
        )

    def _rest(self, until_ms: int) -> None:
        """Fetch nothing; what is on disk may be of use later."""
        self._is_fetching, self._asking_until_ms = False, None
        self._idle_until_ms = until_ms
        for source in self._sources.values():
            source.target = None
            source.asked.clear()

    # --- chunks -------------------------------------------------------------------------------

    def _request(self, now_ms: int, step: Step) -> None:
        """Ask every source for as many of the missing chunks as it may owe."""
        assert self._target is not None
        position = self._target.checkpoint.seq
        owed = set[int]().union(*(source.asked for source in self._sources.values()))
        missing = iter(
            sorted(set(range(count_chunks(self._target.size))) - owed - self._chunks.keys())
        )
        has_source = False
        for peer, source in sorted(self._sources.items()):
            if source.target is None or source.target.place != self._target.place:
                continue
            if now_ms < source.shunned_until_ms:
                continue
            has_source = True
            room = CHUNKS_PER_FETCH_MAX - len(source.asked)
            wanted = tuple(islice(missing, room))
            if wanted:
                fetch = FetchState(
                    committee=self._core.committee.id, position=position, chunks=wanted
                )
                step.sends.append(Send(peer, fetch))
                if not source.asked:
                    source.deadline_ms = now_ms + source.timeout_ms
                source.asked.update(wanted)
            if source.asked:
                step.wake(source.deadline_ms)
        if not has_source:
            self._ask(now_ms, step)

    def on_chunk(self, peer: bytes, given: GiveState, now_ms: int) -> Step:
        step, source = Step(), self._sources.get(peer)
        if source is None or self._is_reached() or not self._is_fetching:
            return step
        target = self._target
        assert target is not None
        if given.position != target.checkpoint.seq:
            return step
        if not given.data:  # it has made room for a newer one
            source.target = None
            source.asked.clear()
            self._request(now_ms, step)
        elif not is_chunk(given.data, given.chunk, given.path, target.size, target.root):
            step.faults.append(Fault(peer, "a chunk that is not of the state it was asked for"))
            source.target = None
            source.asked.clear()
            source.shunned_until_ms = now_ms + LIAR_SHUN_MS
            self._request(now_ms, step)
        else:
            self._take(source, given, now_ms, step)
        return step

    def _take(self, source: _Source, given: GiveState, now_ms: int, step: Step) -> None:
        """A chunk that is proven. It may be late: it is good all the same, and so is its source."""
        assert self._target is not None
        source.asked.discard(given.chunk)
        source.timeout_ms, source.shunned_until_ms = CHUNK_TIMEOUT_MS, 0
        source.deadline_ms = now_ms + source.timeout_ms
        if given.chunk not in self._chunks:
            self._chunks[given.chunk] = given.data
            for other in self._sources.values():
                other.asked.discard(given.chunk)
            place = (self._core.committee.id, given.position, given.chunk)
            step.states.append(ChunkFetched(*place, given.data))
        self._go_on(now_ms, step)

    def _go_on(self, now_ms: int, step: Step) -> None:
        """Load the state if all of it is here: an earlier process may have fetched the last chunk
        and ended before the load was durable. Ask for the rest otherwise."""
        assert self._target is not None
        if len(self._chunks) == count_chunks(self._target.size):
            self._finish(self._target, now_ms, step)
        else:
            self._request(now_ms, step)

    def _finish(self, target: Target, now_ms: int, step: Step) -> None:
        data = b"".join(chunk for _, chunk in sorted(self._chunks.items()))
        leaves = hash_chunks(cut(data))
        if (len(data), StateTree(leaves).root) != (target.size, target.root):
            self._begin(target, step)  # chunks of before the restart were damaged on disk
            self._request(now_ms, step)
            return
        self._rest(0)
        self._target, self._chunks = None, {}
        self._load(target, data, leaves, now_ms, step)

    def _load(self, target: Target, data: bytes, leaves: bytes, now_ms: int, step: Step) -> None:
        """Go on from a proven state. Raises Diverged when it cannot be loaded."""
        core, checkpoint = self._core, target.checkpoint
        position, application = checkpoint.seq, core.application
        try:
            application.load_state(data, position, checkpoint.head)
        except InvalidBytes as error:
            raise Diverged(
                f"the state that a quorum certified at {position} cannot be loaded: {error}. Is "
                "this program older than the others'?"
            ) from error
        step.states.append(
            Transferred(
                committee=core.committee.id,
                position=position,
                certificate=target.certificate.encode(),
                head=checkpoint.head,
                digest=checkpoint.state,
                size=target.size,
                root=target.root,
                leaves=leaves,
                balances=application.list_balances(),
                tasks=application.list_tasks(),
                auctions=application.list_auctions(),
            )
        )
        core.next_seq = max(core.next_seq, position + 1)
        core.checkpoints.adopt(target.certificate, position)
        core.again.forget(position)
        core.pool.forget_executed(now_ms)
        note_end(core, position, now_ms)
        core.heads.note_executed(step)
        core.execute_ready(now_ms, step)

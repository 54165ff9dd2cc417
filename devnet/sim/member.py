"""One member of a simulated committee: the product's router and cores, driven as
`node/driver.py` drives them, on a simulated clock and disk."""

from collections import deque
from random import Random
from typing import TYPE_CHECKING

from crdt.facts import EpochBegan
from devnet.sim.byzantine import Sender
from devnet.sim.disk import Disk, DiskFull
from devnet.sim.plan import BEFORE_LOAD
from identity import schema
from identity.certificate import Certificate
from identity.errors import EconodeError, InvalidBytes
from identity.keys import PrivateKey
from node import router
from node.router import Router, Seat, pack_votes
from protocols.economy.chain import Chain
from protocols.messages import (
    BATCHES_MAX,
    CERTIFICATE_BYTES_MAX,
    FRAME_BYTES_MAX,
    VOTE_BYTES_MAX,
    Batches,
    Checkpoint,
    CommittedBatch,
    CommitteeMessage,
    Hop,
)
from protocols.pbft.core import Core
from protocols.pbft.trail import Trail
from protocols.requests import parse_request
from protocols.step import (
    Certified,
    Executed,
    History,
    Persist,
    Send,
    ServeBatches,
    Step,
    Transferred,
)

if TYPE_CHECKING:
    from devnet.sim.world import World

INBOX_FRAMES_MAX = 2_000
"""Frames that wait while a member syncs or is paused; more are lost."""
CHUNK_FRAMES_MAX = 256
SERVE_BYTES_MAX = FRAME_BYTES_MAX // 2
LEDGER_SYNC_SHARE = 0.3
"""Batches that are synced at once, with something that waits for the disk."""
LEDGER_SYNC_MS = 20
"""The others share a sync."""


class Member:
    """A member's process and what outlives it. `id` tells twins of one key apart."""

    def __init__(
        self, world: "World", id_: int, index: int, key: PrivateKey, name: str, honest: bool
    ) -> None:
        self.world, self.id, self.index, self.key, self.name = world, id_, index, key, name
        self.public = key.public
        self.is_honest = honest
        self.disk = Disk()
        self.sender = Sender(world, self)
        self.skew_ms = self._timer_skew_ms = 0
        self.is_up = False
        self.is_paused = False
        self.ends_at: str | None = None
        """The kind of power loss that waits for the next synced write, or for a fetched state."""
        self.life = 0
        self._random = Random(world.plan.seed * 1_009 + id_)
        self._inbox: deque[tuple[bytes, bytes]] = deque()
        self._links: list[tuple[bytes, bool]] = []
        """What was told of links while a step was being written."""
        self._writing: Step | None = None
        self._wake_ms: int | None = None
        self._timer_at_ms: int | None = None
        self._confirmed = 0

    @property
    def core(self) -> Core:
        """The core of the present epoch."""
        return self.seat.core

    # --- life ---------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the process from what the disk holds."""
        world = self.world
        self.chain = Chain(world.genesis, world.committee, world.check_receipt)
        rows = [*self.disk.read_rows(), *self._load_state()]
        trail = Trail(world.plan.checkpoint_batches, self.disk.durable)
        for batch in self.disk.find_batches(self.chain.get_position() + 1, len(self.disk.batches)):
            requests = [parse_request(data, world.committee)[0] for data in batch.operations]
            self.chain.execute(batch.seq, batch.time_ms, batch.digest, requests)
            trail.note(self.chain)
        assert self.chain.get_position() == self.disk.durable
        core = Core(
            self.chain.get_committee(),
            self.key,
            self.chain,
            lambda statement: statement.check(world.network),
            checkpoint_batches=world.plan.checkpoint_batches,
            **({"snapshot_checkpoints": 1} if world.plan.transfer_batches_min else {}),
        )
        core.checkpoints.recall(trail.passed)
        self.seat = Seat(core)
        if world.plan.transfer_batches_min:
            self.seat.catch_up.transfer_batches_min = world.plan.transfer_batches_min
        self.router = Router([self.seat])
        self.is_up = True
        self._timer_skew_ms = self.skew_ms
        self._confirmed = self.disk.durable
        self._wake_ms = 0
        world.on_started(self)
        coming = self.disk.coming
        if coming is not None:
            place = (coming.certificate, coming.size, coming.root)
            self.seat.catch_up.transfer.resume(*place, self.disk.chunks)
        self.drive(self.seat.restore(rows, self.read_timer_ms()))

    def _load_state(self) -> list[Persist]:
        """Begin from the newest snapshot, if there is one; the row of its checkpoint."""
        if not self.disk.snapshots:
            return []
        held = self.disk.snapshots[max(self.disk.snapshots)]
        certificate = Certificate.decode(
            held.certificate, self.world.network, size_max=CERTIFICATE_BYTES_MAX
        )
        checkpoint = schema.decode(certificate.payload, Checkpoint, size_max=VOTE_BYTES_MAX)
        self.chain.load_state(held.state, held.position, checkpoint.head)
        place = (held.committee, "stable", 0, held.position)
        return [Persist(*place, held.certificate, certificate.context.epoch)]

    def lose_power(self, *, torn: bool = False) -> None:
        """End at once; what was being written is gone, or torn."""
        rows = self._writing.persist if self._writing is not None and torn else []
        self.disk.lose_power(rows[: self._random.randrange(len(rows) + 1)])
        self._end()

    def _end(self) -> None:
        self.is_up = False
        self._links.clear()
        self.world.connections.on_process(self, False)
        self.life += 1
        self.ends_at = None
        self._inbox.clear()
        self._writing = None
        self._timer_at_ms = None

    def set_paused(self, is_paused: bool) -> None:
        """A stopped process: frames wait, nothing happens."""
        self.is_paused = is_paused
        if not is_paused:
            self._go_on()

    def set_skew_ms(self, skew_ms: int) -> None:
        """Set the clock: it reads `skew_ms` more than the world's from now on. Timers go on."""
        self.skew_ms = skew_ms
        if self.is_up:
            self.seat.set_clock_offset(skew_ms - self._timer_skew_ms)

    def read_timer_ms(self) -> int:
        """What `node/driver.py` reads for timers: the clock as it was at the start, and since."""
        return self.world.start_ms + self.world.now_ms + self._timer_skew_ms

    # --- inputs -------------------------------------------------------------------------------

    def on_frame(self, peer: bytes, frame: bytes) -> None:
        if not self.is_up:
            return
        if self._writing is not None or self.is_paused:
            if len(self._inbox) < INBOX_FRAMES_MAX:
                self._inbox.append((peer, frame))
            return
        self._run(((peer, frame),))

    def on_timer(self, life: int, at_ms: int) -> None:
        if life != self.life or at_ms != self._timer_at_ms:
            return
        self._timer_at_ms = None
        if self.is_up and self._writing is None and not self.is_paused:
            self._run(())

    def on_link(self, peer: bytes, is_up: bool) -> None:
        """The link to `peer` is there, or broke."""
        if self.is_up:
            self._links.append((peer, is_up))
            if self._writing is None and not self.is_paused:
                self._take_links()

    def _take_links(self) -> None:
        told, self._links = self._links, []
        for peer, is_up in told:
            self.drive(self.router.on_link(peer, is_up, self.read_timer_ms()))

    def post(self, step: Step) -> None:
        """Drive something that this node itself asked its core for."""
        self.drive(step)

    def _run(self, frames: "tuple[tuple[bytes, bytes], ...]") -> None:
        """Handle frames as one chunk, and the timer if it is due."""
        now_ms = self.read_timer_ms()
        step: Step | None = None
        try:
            for peer, frame in frames:
                done = self._handle(peer, frame, now_ms)
                if step is None:
                    step = done
                else:
                    step.extend(done)
            if self._wake_ms is not None and now_ms >= self._wake_ms:
                self._wake_ms = None
                done = self.router.on_timer(now_ms)
                if step is None:
                    step = done
                else:
                    step.extend(done)
        except Exception as error:  # a core must never raise: the judge says whose fault it is
            self.world.judge.on_failure(self, error)
            self.lose_power()
            return
        if step is not None:
            self.drive(step)

    def _handle(self, peer: bytes, frame: bytes, now_ms: int) -> Step:
        try:
            message = router.decode_frame(frame)
        except InvalidBytes as error:
            self.world.judge.on_undecodable(self, peer, frame, str(error))
            return Step()
        if not isinstance(message, CommitteeMessage):
            return Step()
        heard = message if self.is_honest else self.sender.listen(message)
        assert isinstance(heard, CommitteeMessage)
        return self.router.handle(peer, heard, now_ms)

    # --- effects ------------------------------------------------------------------------------

    def drive(self, step: Step) -> None:
        """Sync, then let go, as the contract of `Step` says; power may be lost in between."""
        if step.wake_ms is not None and (self._wake_ms is None or step.wake_ms < self._wake_ms):
            self._wake_ms = step.wake_ms
        if self._writing is not None:
            self._writing.extend(step)
            return
        if not step.persist:
            self._release(step)
            self._schedule()
            return
        self._writing = step
        delay_ms = self.world.plan.sync_ms
        if delay_ms:
            delay_ms = self._random.randint(1, delay_ms)
            self.world.at(self.world.now_ms + delay_ms, self._on_synced, self.life)
        else:
            self._on_synced(self.life)

    def _on_synced(self, life: int) -> None:
        if life != self.life or self._writing is None:
            return
        step, ends_at = self._writing, self.ends_at
        if ends_at in ("before_sync", "torn"):
            self.world.note_fault(self, f"power_loss_{ends_at}")
            self.lose_power(torn=ends_at == "torn")
            return
        try:
            self.disk.write_rows(step.persist)
        except DiskFull:
            self._stop_cleanly()
            return
        self.world.judge.on_persisted(self, step.persist)
        self._writing = None
        if ends_at in ("after_sync", "half_sent"):
            self.world.note_fault(self, f"power_loss_{ends_at}")
            if ends_at == "half_sent":
                sends = [*step.sends, *pack_votes(step)]
                self._send_all(sends[: (len(sends) + 1) // 2])
            self.lose_power()
            return
        self._release(step)
        self._go_on()

    def _release(self, step: Step) -> None:
        if step.sends:
            self._send_all(step.sends)
        if step.votes:
            self._send_all(pack_votes(step))
        try:
            for event in step.get_history() if step.states else step.executed:
                if isinstance(event, Transferred) and self.ends_at == BEFORE_LOAD:
                    self._lose_before_load()
                    return
                is_synced = self._random.random() < LEDGER_SYNC_SHARE
                self._report(event)
                self.disk.append(event, sync=is_synced)
            for certified in step.certified:
                self._keep_certificate(certified)
                self.world.judge.on_certified(self, certified)
            for serve in step.serve:
                self.disk.sync_ledger()
                if isinstance(serve, ServeBatches):
                    self._serve(serve)
                else:
                    for answer in self.disk.answer(serve):
                        self.world.transmit(self, serve.to, answer)
        except DiskFull:
            self._stop_cleanly()
            return
        for fault in step.faults:
            self.world.judge.on_blamed(self, fault)
        for evidence in step.evidence:
            self.world.judge.on_evidence(self, evidence)
        if step.executed or step.states:
            self.world.on_executed(self)
            self.world.at(self.world.now_ms + LEDGER_SYNC_MS, self._on_ledger, self.life)
        self._confirm()

    def _lose_before_load(self) -> None:
        """Lose power when all chunks of a state are synced, but not that it was loaded."""
        self.disk.sync_ledger()
        self.world.note_fault(self, f"power_loss_{BEFORE_LOAD}")
        self.lose_power()

    def _report(self, event: History) -> None:
        if isinstance(event, Executed):
            self.world.judge.on_executed(self, event)
        elif isinstance(event, Transferred):
            self.world.note_fault(None, "state_transferred")
            self.world.judge.on_transferred(self, event)

    def _on_ledger(self, life: int) -> None:
        """The ledger's own sync, some time after what was appended."""
        if life != self.life:
            return
        try:
            self.disk.sync_ledger()
        except DiskFull:
            self._stop_cleanly()
            return
        if self._writing is None and not self.is_paused:
            self._confirm()

    def _confirm(self) -> None:
        """Tell the core what the ledger holds for good."""
        if self.is_up and self.disk.durable > self._confirmed:
            self._confirmed = self.disk.durable
            self.drive(self.seat.on_durable(self._confirmed, self.read_timer_ms()))

    def _stop_cleanly(self) -> None:
        """Nothing could be written, so nothing was sent: the process ends by itself."""
        self.world.note_fault(self, "disk_full_stop")
        self.disk.lose_power()
        self._end()

    def _go_on(self) -> None:
        """After a sync or a pause: what waited is handled in chunks."""
        if self._writing is None and not self.is_paused:
            self._take_links()
        while self._inbox and self.is_up and self._writing is None and not self.is_paused:
            count = min(len(self._inbox), CHUNK_FRAMES_MAX)
            self._run(tuple(self._inbox.popleft() for _ in range(count)))
        if self._writing is None and not self.is_paused:
            self._confirm()
        self._schedule()

    def _send_all(self, sends: list[Send]) -> None:
        for send in sends:
            self.world.transmit(self, send.to, send.message)

    def _keep_certificate(self, certified: Certified) -> None:
        """What peers need that come out of the epoch which ended here."""
        position = certified.position
        found = self.disk.find_batches(position, 1)
        last = found[0].facts[-1:] if found else ()
        if last and isinstance(last[0], EpochBegan):
            self.disk.certificates[position] = certified.certificate.encode()

    def _serve(self, serve: ServeBatches) -> None:
        found: list[CommittedBatch] = []
        size = 0
        for batch in self.disk.find_batches(serve.start, BATCHES_MAX):
            size += sum(map(len, (*batch.operations, *batch.proof)))
            if found and size > SERVE_BYTES_MAX:
                break
            certificate = self.disk.certificates.get(batch.seq, b"")
            parts = (batch.seq, batch.time_ms, batch.operations, batch.proof, certificate)
            found.append(CommittedBatch(*parts))
        answer: Hop = Batches(committee=serve.committee, batches=tuple(found))
        self.world.transmit(self, serve.to, answer)

    def _schedule(self) -> None:
        """Have `on_timer` called when the wake-up is due on this member's clock."""
        if self._wake_ms is None or not self.is_up:
            return
        world = self.world
        at_ms = max(world.now_ms, self._wake_ms - world.start_ms - self._timer_skew_ms)
        if self._timer_at_ms is None or at_ms < self._timer_at_ms:
            self._timer_at_ms = at_ms
            world.at(at_ms, self.on_timer, self.life, at_ms)


def describe_error(error: Exception) -> str:
    """An error of a core in one line, with the place it comes from."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = ""
    if place is not None:
        code = place.tb_frame.f_code
        where = f" at {code.co_filename.rsplit('/', 1)[-1]}:{place.tb_lineno} in {code.co_name}"
    kind = "" if isinstance(error, EconodeError) else f"{type(error).__name__}: "
    return f"{kind}{error}{where}"

"""The one task that owns the consensus cores: inputs in, `Step`s driven.

Frames, own operations and timers are inputs. Whatever has arrived is handled as one chunk, so
that under load many votes share one sync and one frame. The order of effects is `Step`'s: sync
first, then send, then the ledger.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Protocol

import trio

from identity.errors import InvalidBytes
from node.ledger import ExecutedBatch, Ledger
from node.ledger_states import StoredState
from node.links import Inbound, Transport
from node.log_lines import about
from node.router import AnyHop, Router, Seat, decode_frame, encode_frame, pack_votes
from node.serving import Serving
from node.vote_log import VoteLog
from protocols.messages import CommitteeMessage
from protocols.step import (
    Certified,
    Equivocation,
    Executed,
    History,
    Persist,
    Send,
    Serve,
    Step,
    Transferred,
)

logger = logging.getLogger("econode.driver")

CHUNK_INPUTS_MAX = 256
SERVE_WAITING_MAX = 64
LOCAL_INPUTS_MAX = 10_000

Input = Callable[[int], Step]
"""Something to do with the cores now: gets the local time in milliseconds, returns a step."""

ViewWatcher = Callable[[int, bool], None]
"""Gets the view, and whether it has begun."""


class Listener(Protocol):
    """Who wants to know what happened, from the driver's task: must not block."""

    def on_executed(self, executed: Executed) -> None: ...

    def on_certified(self, certified: Certified) -> None: ...

    def on_transferred(self, transferred: Transferred) -> None:
        """The state is another: the batches up to it were not seen."""


class OtherMessages(Protocol):
    """Who handles the hop messages that are about no committee's consensus."""

    def handle(self, peer: bytes, message: AnyHop) -> None:
        """Must not block. Raises InvalidBytes for what no honest peer sends."""


def read_clock_ms() -> int:
    """This node's reading of the time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


_STARTED_NS = time.time_ns() - time.monotonic_ns()


def read_timer_ms() -> int:
    """The time that timers count: starts with the wall clock and goes on when that is set. A
    clock that was an hour ahead and is put right would otherwise stop every timer for an hour."""
    return (_STARTED_NS + time.monotonic_ns()) // 1_000_000


class Driver:
    """Drives the seats of a node. Only its own task touches them."""

    def __init__(
        self, router: Router, vote_log: VoteLog, ledger: Ledger, transport: Transport
    ) -> None:
        self.router = router
        self._vote_log = vote_log
        self._ledger = ledger
        self._transport = transport
        self._listeners: dict[bytes, list[Listener]] = {}
        self._accusers: dict[bytes, list[Callable[[Equivocation], None]]] = {}
        self._view_watchers: dict[bytes, list[ViewWatcher]] = {}
        self._other: OtherMessages | None = None
        transport.on_link = self._on_link
        self._local: deque[Input] = deque()
        self._waiting: trio.CancelScope | None = None
        self._wake_ms: int | None = 0
        self._executed: dict[bytes, int] = {}
        self._news = trio.Event()
        self._serving = Serving(ledger)
        self._serve_in, self._serve_out = trio.open_memory_channel[Serve](SERVE_WAITING_MAX)

    def add_listener(self, committee: bytes, listener: Listener) -> None:
        """Tell `listener` of one committee's batches and certificates."""
        self._listeners.setdefault(committee, []).append(listener)

    def add_accuser(self, committee: bytes, accuser: Callable[[Equivocation], None]) -> None:
        """Call `accuser` with each pair of contradicting votes of a committee; it must not
        block."""
        self._accusers.setdefault(committee, []).append(accuser)

    async def join(self, seat: Seat, start: StoredState | None) -> None:
        """Drive `seat`, too, from its rows of the vote log on, and from the checkpoint of the
        state that it started from."""
        committee = seat.core.committee.id
        rows = await self._vote_log.read_rows(committee)
        if start is not None:
            place = (committee, "stable", 0, start.position)
            rows.append(Persist(*place, start.certificate, start.read_epoch()))

        def restore(now_ms: int) -> Step:
            self.router.add(seat)
            seat.set_clock_offset(read_clock_ms() - now_ms)
            return seat.restore(rows, now_ms)

        self._insist(restore)

    def add_view_watcher(self, committee: bytes, watcher: ViewWatcher) -> None:
        """Call `watcher` when this member leaves a view of a committee, and when one has begun,
        once that is durable; it must not block."""
        self._view_watchers.setdefault(committee, []).append(watcher)

    def set_other(self, other: OtherMessages) -> None:
        self._other = other

    def post(self, item: Input) -> bool:
        """Have `item` called in the driver's task. False when too much is waiting."""
        if len(self._local) >= LOCAL_INPUTS_MAX:
            return False
        self._local.append(item)
        if self._waiting is not None:
            self._waiting.cancel()
        return True

    async def run(self) -> None:
        """Drive until cancelled. Raises VoteLogError, LedgerError or Diverged when this member
        must stop; nothing unsynced has been sent then."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._serve)
            nursery.start_soon(self._confirm)
            while True:
                inbound = await self._receive()
                await self._drive(self._handle_chunk(inbound))

    # --- inputs -------------------------------------------------------------------------------

    async def _receive(self) -> Inbound | None:
        """The next frame, or None when something else is due."""
        if self._local:
            await trio.lowlevel.checkpoint()
            return None
        delay = float("inf")
        if self._wake_ms is not None:
            delay = max(0, self._wake_ms - read_timer_ms()) / 1000
        with trio.move_on_after(delay) as self._waiting:
            try:
                return await self._transport.inbound.receive()
            finally:
                self._waiting = None
        return None

    def _handle_chunk(self, inbound: Inbound | None) -> Step:
        now_ms = read_timer_ms()
        for seat in self.router.seats.values():
            seat.set_clock_offset(read_clock_ms() - now_ms)
        step = Step()
        if inbound is not None:
            self._handle_frame(inbound, now_ms, step)
        for _ in range(CHUNK_INPUTS_MAX):
            try:
                self._handle_frame(self._transport.inbound.receive_nowait(), now_ms, step)
            except trio.WouldBlock:
                break
        for _ in range(min(len(self._local), CHUNK_INPUTS_MAX)):
            step.extend(self._local.popleft()(now_ms))
        if self._wake_ms is not None and now_ms >= self._wake_ms:
            self._wake_ms = None
            step.extend(self.router.on_timer(now_ms))
        return step

    def _handle_frame(self, inbound: Inbound, now_ms: int, step: Step) -> None:
        try:
            message = decode_frame(inbound.frame)
            if isinstance(message, CommitteeMessage):
                step.extend(self.router.handle(inbound.peer, message, now_ms))
            elif self._other is not None:
                self._other.handle(inbound.peer, message)
        except InvalidBytes as error:
            self._transport.faults.note(inbound.peer, str(error))

    # --- effects ------------------------------------------------------------------------------

    async def _drive(self, step: Step) -> None:
        if step.persist:
            await self._persist(step.persist)
        for send in step.sends:
            self.send(send)
        for send in pack_votes(step):
            self.send(send)
        for event in step.get_history():
            await self._keep(event)
        for certified in step.certified:
            data = certified.certificate.encode()
            self._ledger.put_certificate(certified.committee, certified.position, data)
            for listener in self._listeners.get(certified.committee, ()):
                listener.on_certified(certified)
        for serve in step.serve:
            try:
                self._serve_in.send_nowait(serve)
            except trio.WouldBlock:
                logger.warning(
                    "too many peers are catching up from this node at once",
                    extra=about("serving_busy"),
                )
        for fault in step.faults:
            self._transport.faults.note(fault.peer, fault.reason)
        for evidence in step.evidence:
            for accuser in self._accusers.get(evidence.first.committee, ()):
                accuser(evidence)
        if step.wake_ms is not None and (self._wake_ms is None or step.wake_ms < self._wake_ms):
            self._wake_ms = step.wake_ms

    async def _keep(self, event: History) -> None:
        """Hand what happened to the ledger, and tell the listeners."""
        match event:
            case Executed():
                await self._ledger.append_wait(to_batch(event))
                self._executed[event.committee] = event.seq
                self._news.set()
                for listener in self._listeners.get(event.committee, ()):
                    listener.on_executed(event)
            case Transferred():
                logger.warning(
                    "goes on from the certified state at position %d",
                    event.position,
                    extra=about("state_transferred", position=event.position),
                )
                await self._ledger.begin(event)
                self._executed[event.committee] = event.position
                self._news.set()
                for listener in self._listeners.get(event.committee, ()):
                    listener.on_transferred(event)
            case _:
                await self._ledger.keep_state(event)

    async def _persist(self, rows: list[Persist]) -> None:
        """A stable checkpoint and a new epoch let history be deleted, so the ledger must hold it
        first."""
        if any(row.kind in ("stable", "epoch") for row in rows):
            await self._ledger.flush()
        await self._vote_log.append(rows)
        for committee in {row.committee for row in rows if row.kind == "view"}:
            core = self.router.seats[committee].core
            what = "begins" if core.views.is_active else "was asked for"
            logger.info(
                "committee %s: view %d %s",
                committee.hex()[:8],
                core.view,
                what,
                extra=about("view_changed", view=core.view, began=core.views.is_active),
            )
            for watcher in self._view_watchers.get(committee, ()):
                watcher(core.view, core.views.is_active)

    def send(self, send: Send) -> None:
        """Hand a hop message to the links; a full queue drops it, and the cores repeat."""
        frame = encode_frame(send.message)
        committee = getattr(send.message, "committee", None)
        if send.to is not None:
            self._transport.send(send.to, frame)
        elif committee in self.router.seats:
            core = self.router.seats[committee].core
            for member in core.committee.members:
                if member != core.me:
                    self._transport.send(member, frame)

    async def _confirm(self) -> None:
        """Tell the cores what the ledger has synced, so that they sign it. Whatever is executed
        meanwhile shares the next sync."""
        while True:
            await self._news.wait()
            self._news = trio.Event()
            reached = dict(self._executed)
            await self._ledger.flush()
            for committee, position in reached.items():
                on_durable = self.router.seats[committee].on_durable
                self._insist(partial(on_durable, position))

    def _on_link(self, peer: bytes, is_up: bool) -> None:
        """A link is there, or broke. `compute_retry` bounds how often one can."""
        self._insist(lambda now_ms: self.router.on_link(peer, is_up, now_ms))

    def _insist(self, item: Input) -> None:
        """Post what must not be dropped and is bounded by itself: one input for each sync and
        seat, and one for each change of a link."""
        self._local.append(item)
        if self._waiting is not None:
            self._waiting.cancel()

    async def _serve(self) -> None:
        """Answer peers that catch up, from the ledger."""
        async for serve in self._serve_out:
            await self._ledger.flush()
            for answer in await self._serving.answer(serve):
                self.send(Send(serve.to, answer))


def to_batch(executed: Executed) -> ExecutedBatch:
    """What the ledger keeps of an executed batch."""
    return ExecutedBatch(
        committee=executed.committee,
        position=executed.seq,
        digest=executed.digest,
        time_ms=executed.time_ms,
        operations=executed.operations,
        proof=executed.proof,
        entry=executed.entry,
        facts=executed.facts,
    )

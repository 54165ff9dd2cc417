"""Blobs between peers: drives `protocols/blobs.py` with the store and the links.

What a peer sends is put into a bounded queue and done by one task, so a slow disk holds up blobs
and never consensus.
"""

import logging
from collections.abc import Callable, Iterable, Sequence

import trio

from identity.errors import EconodeError
from identity.keys import compute_peer_id
from node.blob_store import AsyncBlobStore, BlobAbsent, BlobCorrupt, BlobError, StoreFull, Writer
from node.log_lines import about
from protocols.blob_messages import (
    Action,
    Answer,
    Begin,
    Complete,
    Failed,
    Lookup,
    Message,
    Misbehaved,
    OfferEnded,
    Read,
    Send,
    Write,
)
from protocols.blobs import BlobTransfers

logger = logging.getLogger("econode.blobs")

WORK_WAITING_MAX = 4_096
OFFERS_AT_ONCE = 16
"""Offers under way to one peer; it takes at most twice as many."""
TIMER_SECONDS = 1.0

Work = Callable[[], list[Action]]


class BlobUnavailable(EconodeError):
    """No holder delivered the blob."""


class Blobs:
    """All blob transfers of a node. `send` hands a message to the links."""

    def __init__(
        self,
        store: AsyncBlobStore,
        send: Callable[[bytes, Message], None],
        clock_ms: Callable[[], int],
    ) -> None:
        self.store = store
        self._send = send
        self._clock_ms = clock_ms
        self._transfers = BlobTransfers()
        self._writers: dict[bytes, Writer] = {}
        self._fetched: dict[bytes, trio.Event] = {}
        self._failed: dict[bytes, str] = {}
        self._offered: dict[tuple[bytes, bytes], tuple[trio.Event, list[bool]]] = {}
        self._limiters: dict[bytes, trio.CapacityLimiter] = {}
        self._work_in, self._work_out = trio.open_memory_channel[Work](WORK_WAITING_MAX)

    async def run(self) -> None:
        """Serve peers until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._tick)
            try:
                async for work in self._work_out:
                    await self._do_all(work())
            finally:
                for writer in self._writers.values():
                    writer.abort()

    def handle(self, peer: bytes, message: Message) -> None:
        """A message of a peer; dropped, to be asked for again, when too much is waiting."""
        self._post(lambda: self._transfers.handle(peer, message, self._clock_ms()))

    async def push(
        self, digest: bytes, size: int, peers: Iterable[bytes], enough: int
    ) -> set[bytes]:
        """Offer a stored blob to `peers`; return those that hold it, as soon as `enough` do or
        all have answered. The other offers go on."""
        holders: set[bytes] = set()
        done = trio.Event()
        waiting = set(peers)

        async def offer(peer: bytes) -> None:
            if await self._offer(peer, digest, size):
                holders.add(peer)
            waiting.discard(peer)
            if len(holders) >= enough or not waiting:
                done.set()

        async with trio.open_nursery() as nursery:
            for peer in list(waiting):
                nursery.start_soon(offer, peer)
            if waiting:
                await done.wait()
            nursery.cancel_scope.cancel()
        return holders

    async def fetch(self, digest: bytes, size: int, holders: Sequence[bytes]) -> bytes:
        """The blob's bytes, from the store or from `holders`. Raises BlobUnavailable, StoreFull.
        Cancelling leaves the transfer to end by itself."""
        if not self.store.store.has(digest):
            event = self._fetched.setdefault(digest, trio.Event())
            now = self._clock_ms
            self._post(lambda: self._transfers.fetch(digest, size, holders, now()))
            await event.wait()
        try:
            return await self.store.get(digest)
        except BlobAbsent:
            reason = self._failed.get(digest, "it left the store again")
            raise BlobUnavailable(f"blob {digest.hex()[:16]}: {reason}") from None

    async def _offer(self, peer: bytes, digest: bytes, size: int) -> bool:
        limiter = self._limiters.setdefault(peer, trio.CapacityLimiter(OFFERS_AT_ONCE))
        async with limiter:
            known = self._offered.get((peer, digest))
            if known is None:
                known = self._offered[peer, digest] = (trio.Event(), [False])
                now = self._clock_ms
                self._post(lambda: self._transfers.offer(peer, digest, size, now()))
            event, held = known
            await event.wait()
            return held[0]

    def _post(self, work: Work) -> None:
        try:
            self._work_in.send_nowait(work)
        except trio.WouldBlock:
            logger.warning(
                "too much blob work is waiting; peers will ask again", extra=about("blobs_busy")
            )

    async def _tick(self) -> None:
        while True:
            await trio.sleep(TIMER_SECONDS)
            self._post(lambda: self._transfers.on_timer(self._clock_ms()))

    async def _do_all(self, actions: list[Action]) -> None:
        todo = list(reversed(actions))
        while todo:
            todo.extend(reversed(await self._do(todo.pop())))

    async def _do(self, action: Action) -> list[Action]:
        match action:
            case Send():
                self._send(action.peer, action.message)
            case Lookup():
                held = self.store.store.has(action.digest)
                answer = Answer.HELD if held else Answer.WANTED
                return self._transfers.looked_up(
                    action.peer, action.digest, answer, self._clock_ms()
                )
            case Read():
                return await self._read(action)
            case Begin():
                return await self._begin(action)
            case Write():
                return await self._write(action)
            case Complete():
                return await self._complete(action.digest)
            case Failed():
                self._drop(action.digest, action.reason)
            case OfferEnded():
                self._end_offer(action)
            case Misbehaved():
                logger.warning(
                    "blob fault of %s: %s",
                    compute_peer_id(action.peer)[-8:],
                    action.reason,
                    extra=about("blob_fault", peer=compute_peer_id(action.peer)),
                )
        return []

    async def _read(self, action: Read) -> list[Action]:
        try:
            data = await self.store.read(action.digest, action.offset, action.size)
        except (BlobAbsent, BlobError):
            data = b""
        return self._transfers.read_done(
            action.peer, action.digest, action.offset, action.size, data or None
        )

    async def _begin(self, action: Begin) -> list[Action]:
        writer = self._writers.pop(action.digest, None)
        if writer is not None:
            writer.abort()
        try:
            self._writers[action.digest] = await self.store.begin(action.digest, action.size)
        except (BlobError, StoreFull) as error:
            return self._give_up(action.digest, str(error))
        return []

    async def _write(self, action: Write) -> list[Action]:
        writer = self._writers.get(action.digest)
        if writer is None:
            return []
        try:
            await self.store.write(writer, action.offset, action.data)
        except (BlobError, StoreFull) as error:
            return self._give_up(action.digest, str(error))
        return []

    async def _complete(self, digest: bytes) -> list[Action]:
        writer = self._writers.pop(digest, None)
        if writer is None:
            return []
        try:
            await self.store.finish(writer)
        except BlobCorrupt:
            return self._transfers.corrupt(digest, self._clock_ms())
        except (BlobError, StoreFull) as error:
            return self._give_up(digest, str(error))
        self._finish(digest)
        return self._transfers.stored(digest)

    def _give_up(self, digest: bytes, reason: str) -> list[Action]:
        self._drop(digest, reason)
        return self._transfers.cancel(digest)

    def _drop(self, digest: bytes, reason: str) -> None:
        writer = self._writers.pop(digest, None)
        if writer is not None:
            writer.abort()
        if digest in self._fetched:
            self._failed[digest] = reason
        self._finish(digest)

    def _finish(self, digest: bytes) -> None:
        event = self._fetched.pop(digest, None)
        if event is not None:
            event.set()

    def _end_offer(self, ended: OfferEnded) -> None:
        known = self._offered.pop((ended.peer, ended.digest), None)
        if known is not None:
            known[1][0] = ended.held
            known[0].set()

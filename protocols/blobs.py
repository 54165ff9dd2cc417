"""Moving blobs between peers in chunks: a state machine without I/O, both directions.

The receiver drives. A pusher offers; the receiver asks for chunks, a window at a time, from one
holder after another, and says BlobHave once the blob is stored. Whoever needs a blob and knows
holders starts with `fetch`. Lost or late messages cost a timeout; a fetch resumes with the next
holder and keeps what it has. If the whole is not the digest, a single source is to blame; after
several, the fetch begins again with one source at a time, so that the liar is found.

Inputs are messages (`handle`), the host's answers (`looked_up`, `read_done`, `stored`, `corrupt`)
and time (`on_timer`, at `next_ms`). Each returns the actions to do, in order. The messages are hop
messages: unknown fields are tolerated, and the channel says who `peer` (any hashable bytes) is.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from protocols.blob_messages import (
    CHUNK_BYTES,
    Action,
    Answer,
    Begin,
    BlobChunk,
    BlobHave,
    BlobMissing,
    BlobOffer,
    BlobWant,
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
from protocols.economy.operations import BLOB_BYTES_MAX

WINDOW_CHUNKS = 8
CHUNK_TIMEOUT_MS = 10_000  # without a single chunk of those asked of a holder
STRIKES_MAX = 3  # timeouts in a row before a holder is given up
TIMEOUTS_MAX = 64  # timeouts before a fetch is given up, whoever answers in between
FETCHES_MAX = 64
HOLDERS_MAX = 16
OFFERS_MAX = 256  # own offers under way
OFFERS_PEER_MAX = 32  # a peer's offers that wait for the host or are being fetched
OFFER_TIMEOUT_MS = 5_000
OFFER_ATTEMPTS_MAX = 5
READS_PEER_MAX = 2 * WINDOW_CHUNKS


@dataclass(slots=True)
class _Fetch:
    digest: bytes
    size: int
    holders: list[bytes]  # the first one is asked
    missing: list[int] = field(default_factory=list)  # offsets, the next one last
    waiting: dict[int, tuple[bytes, int]] = field(default_factory=dict)  # offset -> peer, deadline
    strikes: dict[bytes, int] = field(default_factory=dict)
    offered_by: set[bytes] = field(default_factory=set)
    sources: set[bytes] = field(default_factory=set)
    alone: bool = False  # all bytes from one source, to find a liar
    complete: bool = False
    timeouts: int = 0

    def chunk_size(self, offset: int) -> int:
        return min(CHUNK_BYTES, self.size - offset)


@dataclass(slots=True)
class _Offer:
    size: int
    deadline_ms: int
    attempts: int = 1
    furthest: int = -1  # highest offset that was asked for


class BlobTransfers:
    """All transfers of one node. See the module's docstring for the rules."""

    def __init__(self) -> None:
        self._fetches: dict[bytes, _Fetch] = {}
        self._offers: dict[tuple[bytes, bytes], _Offer] = {}
        self._lookups: dict[tuple[bytes, bytes], int] = {}
        self._reads: dict[bytes, set[tuple[bytes, int, int]]] = {}

    @property
    def next_ms(self) -> int | None:
        """When `on_timer` has something to do."""
        deadlines = [offer.deadline_ms for offer in self._offers.values()]
        for fetch in self._fetches.values():
            deadlines.extend(deadline for _, deadline in fetch.waiting.values())
        return min(deadlines, default=None)

    # --- what the host wants ------------------------------------------------------------------

    def fetch(
        self, digest: bytes, size: int, holders: Iterable[bytes], now_ms: int
    ) -> list[Action]:
        """Pull a blob, or add holders to its fetch. Ends with Complete or Failed."""
        if not 0 <= size <= BLOB_BYTES_MAX:
            return [Failed(digest, f"a blob of {size} bytes, at most {BLOB_BYTES_MAX}")]
        fetch = self._fetches.get(digest)
        if fetch is not None:
            self._add_holders(fetch, holders)
            return []
        if len(self._fetches) >= FETCHES_MAX:
            return [Failed(digest, f"{FETCHES_MAX} blobs are being fetched already")]
        fetch = self._fetches[digest] = _Fetch(digest, size, [])
        self._add_holders(fetch, holders)
        return [*self._restart(fetch), *self._ask(fetch, now_ms)]

    def cancel(self, digest: bytes) -> list[Action]:
        """Give up a fetch: no longer needed, or the store is full. Its offerers hear it."""
        fetch = self._fetches.pop(digest, None)
        peers = sorted(fetch.offered_by) if fetch else []
        return [Send(peer, BlobMissing(digest=digest)) for peer in peers]

    def offer(self, peer: bytes, digest: bytes, size: int, now_ms: int) -> list[Action]:
        """Push a blob that the host holds. Ends with OfferEnded."""
        if (peer, digest) in self._offers:
            return []
        if len(self._offers) >= OFFERS_MAX:
            return [OfferEnded(peer, digest, held=False)]
        self._offers[peer, digest] = _Offer(size, now_ms + OFFER_TIMEOUT_MS)
        return [Send(peer, BlobOffer(digest=digest, size=size))]

    # --- what the host answers ----------------------------------------------------------------

    def looked_up(self, peer: bytes, digest: bytes, answer: Answer, now_ms: int) -> list[Action]:
        """The answer to Lookup."""
        size = self._lookups.pop((peer, digest), None)
        if size is None:
            return []  # the peer has left meanwhile
        if answer is Answer.HELD:
            return [Send(peer, BlobHave(digest=digest))]
        if answer is Answer.REFUSED:
            return [Send(peer, BlobMissing(digest=digest))]
        known = self._fetches.get(digest)
        if known is None and len(self._fetches) >= FETCHES_MAX:
            return []  # the peer offers again
        if known is not None and known.size != size:
            return []  # one of the two sizes is a lie; the honest peer offers again
        actions = self.fetch(digest, size, [peer], now_ms)
        self._fetches[digest].offered_by.add(peer)
        return actions

    def read_done(
        self, peer: bytes, digest: bytes, offset: int, size: int, data: bytes | None
    ) -> list[Action]:
        """The answer to Read."""
        reads = self._reads.get(peer, set())
        if (digest, offset, size) not in reads:
            return []  # the peer has left meanwhile
        reads.remove((digest, offset, size))
        if not reads:
            del self._reads[peer]
        if data is None:
            return [Send(peer, BlobMissing(digest=digest))]
        return [Send(peer, BlobChunk(digest=digest, offset=offset, data=data))]

    def stored(self, digest: bytes) -> list[Action]:
        """The answer to Complete: the blob is checked and durable."""
        fetch = self._fetches.pop(digest, None)
        peers = sorted(fetch.offered_by) if fetch else []
        return [Send(peer, BlobHave(digest=digest)) for peer in peers]

    def corrupt(self, digest: bytes, now_ms: int) -> list[Action]:
        """The answer to Complete: the bytes are not the digest."""
        fetch = self._fetches.get(digest)
        if fetch is None:
            return []
        actions: list[Action] = []
        if len(fetch.sources) == 1:
            (liar,) = fetch.sources
            actions.append(Misbehaved(liar, "its bytes are not the blob it named"))
            self._drop_holder(fetch, liar)
        fetch.alone = True
        return [*actions, *self._restart(fetch), *self._ask(fetch, now_ms)]

    # --- what peers and time bring ------------------------------------------------------------

    def handle(self, peer: bytes, message: Message, now_ms: int) -> list[Action]:
        """One message from `peer`, within the bounds of its type."""
        match message:
            case BlobOffer():
                return self._on_offer(peer, message)
            case BlobWant():
                return self._on_want(peer, message, now_ms)
            case BlobChunk():
                return self._on_chunk(peer, message, now_ms)
            case BlobHave():
                known = self._offers.pop((peer, message.digest), None)
                return [OfferEnded(peer, message.digest, held=True)] if known else []
            case BlobMissing():
                if self._offers.pop((peer, message.digest), None):
                    return [OfferEnded(peer, message.digest, held=False)]
                return self._without(peer, self._fetches.get(message.digest), now_ms)

    def peer_gone(self, peer: bytes, now_ms: int) -> list[Action]:
        """The connection to `peer` ended."""
        self._reads.pop(peer, None)
        self._lookups = {key: size for key, size in self._lookups.items() if key[0] != peer}
        actions: list[Action] = []
        for key in [key for key in self._offers if key[0] == peer]:
            del self._offers[key]
            actions.append(OfferEnded(peer, key[1], held=False))
        for fetch in list(self._fetches.values()):
            fetch.offered_by.discard(peer)
            actions += self._without(peer, fetch, now_ms)
        return actions

    def on_timer(self, now_ms: int) -> list[Action]:
        """Ask again for what is overdue."""
        actions: list[Action] = []
        for (peer, digest), offer in list(self._offers.items()):
            if offer.deadline_ms > now_ms:
                continue
            if offer.attempts >= OFFER_ATTEMPTS_MAX:
                del self._offers[peer, digest]
                actions.append(OfferEnded(peer, digest, held=False))
                continue
            offer.attempts += 1
            offer.deadline_ms = now_ms + OFFER_TIMEOUT_MS
            actions.append(Send(peer, BlobOffer(digest=digest, size=offer.size)))
        for fetch in list(self._fetches.values()):
            late = {peer for peer, deadline in fetch.waiting.values() if deadline <= now_ms}
            for peer in sorted(late):
                self._strike(fetch, peer)
            if late:
                actions += self._ask(fetch, now_ms)
        return actions

    def _on_offer(self, peer: bytes, offer: BlobOffer) -> list[Action]:
        fetch = self._fetches.get(offer.digest)
        if fetch is not None and fetch.size == offer.size and peer in fetch.offered_by:
            return []  # said twice: it is being fetched
        fetched = sum(peer in fetch.offered_by for fetch in self._fetches.values())
        asked = sum(who == peer for who, _ in self._lookups)
        if (peer, offer.digest) in self._lookups or fetched + asked >= OFFERS_PEER_MAX:
            return []
        self._lookups[peer, offer.digest] = offer.size
        return [Lookup(peer, offer.digest, offer.size)]

    def _on_want(self, peer: bytes, want: BlobWant, now_ms: int) -> list[Action]:
        offer = self._offers.get((peer, want.digest))
        if offer is not None and want.offset > offer.furthest:  # it makes progress
            offer.furthest, offer.attempts = want.offset, 1
            offer.deadline_ms = now_ms + OFFER_TIMEOUT_MS
        read = (want.digest, want.offset, want.size)
        reads = self._reads.setdefault(peer, set())
        if read in reads or len(reads) >= READS_PEER_MAX:
            return []
        reads.add(read)
        return [Read(peer, *read)]

    def _on_chunk(self, peer: bytes, chunk: BlobChunk, now_ms: int) -> list[Action]:
        fetch = self._fetches.get(chunk.digest)
        if fetch is None or fetch.waiting.get(chunk.offset, (None, 0))[0] != peer:
            return []  # late: it was asked of somebody else, or nobody needs it any more
        if len(chunk.data) != fetch.chunk_size(chunk.offset):
            bad = Misbehaved(peer, "a chunk of another size than asked for")
            return [bad, *self._without(peer, fetch, now_ms)]
        del fetch.waiting[chunk.offset]
        fetch.sources.add(peer)
        fetch.strikes.pop(peer, None)
        for offset, (who, _) in fetch.waiting.items():
            if who == peer:  # it delivers, if slowly
                fetch.waiting[offset] = (peer, now_ms + CHUNK_TIMEOUT_MS)
        write = Write(chunk.digest, chunk.offset, chunk.data)
        return [write, *self._ask(fetch, now_ms)]

    # --- one fetch ----------------------------------------------------------------------------

    def _add_holders(self, fetch: _Fetch, holders: Iterable[bytes]) -> None:
        for peer in holders:
            if peer not in fetch.holders and len(fetch.holders) < HOLDERS_MAX:
                fetch.holders.append(peer)

    def _restart(self, fetch: _Fetch) -> list[Action]:
        fetch.missing = list(range(0, fetch.size, CHUNK_BYTES))[::-1]
        fetch.waiting.clear()
        fetch.sources.clear()
        fetch.complete = False
        return [Begin(fetch.digest, fetch.size)]

    def _ask(self, fetch: _Fetch, now_ms: int) -> list[Action]:
        """Fill the window, or end the fetch."""
        if fetch.complete:
            return []
        if not fetch.missing and not fetch.waiting:
            fetch.complete = True
            return [Complete(fetch.digest)]
        if not fetch.holders or fetch.timeouts >= TIMEOUTS_MAX:
            failed = Failed(fetch.digest, "no holder delivers it")
            return [failed, *self.cancel(fetch.digest)]
        peer = fetch.holders[0]
        actions: list[Action] = []
        if fetch.alone and fetch.sources - {peer}:
            actions += self._restart(fetch)
        while fetch.missing and len(fetch.waiting) < WINDOW_CHUNKS:
            offset = fetch.missing.pop()
            fetch.waiting[offset] = (peer, now_ms + CHUNK_TIMEOUT_MS)
            size = fetch.chunk_size(offset)
            actions.append(Send(peer, BlobWant(digest=fetch.digest, offset=offset, size=size)))
        return actions

    def _strike(self, fetch: _Fetch, peer: bytes) -> None:
        """`peer` is late: the next holder is asked for all that it owes."""
        fetch.timeouts += 1
        fetch.strikes[peer] = fetch.strikes.get(peer, 0) + 1
        self._take_back(fetch, peer)
        if fetch.strikes[peer] >= STRIKES_MAX:
            self._drop_holder(fetch, peer)
        elif peer in fetch.holders:
            fetch.holders.remove(peer)
            fetch.holders.append(peer)

    def _without(self, peer: bytes, fetch: _Fetch | None, now_ms: int) -> list[Action]:
        if fetch is None or peer not in fetch.holders:
            return []
        self._drop_holder(fetch, peer)
        return self._ask(fetch, now_ms)

    def _drop_holder(self, fetch: _Fetch, peer: bytes) -> None:
        if peer in fetch.holders:
            fetch.holders.remove(peer)
        fetch.strikes.pop(peer, None)
        self._take_back(fetch, peer)

    def _take_back(self, fetch: _Fetch, peer: bytes) -> None:
        owed = [offset for offset, (who, _) in fetch.waiting.items() if who == peer]
        for offset in sorted(owed, reverse=True):
            del fetch.waiting[offset]
            fetch.missing.append(offset)

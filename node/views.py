"""The views of a committee's log and of peers' logs as a pycrdt document, made when asked for.

Most nodes are never asked, so nothing is folded in advance: a request brings the document up to
the ledger's newest entry and the directory's present state, and gives a snapshot that Yjs clients
apply. Whoever watches gets the snapshot first, then what changes. Nodes with equal logs show equal
content; two documents that are made anew from the same logs are equal to the byte.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import trio
from pycrdt import Subscription

from crdt.directory import Directory, Place, Touched
from crdt.document import Document
from crdt.facts import decode_fact
from identity.errors import InvalidBytes, InvalidSchema
from node.ledger import Ledger, LedgerError
from node.ledger_states import read_checkpoint
from protocols.economy.chain import Chain

CLIENT_ID = 1
"""Every node's document has the same one: equal logs give equal bytes."""
READ_BATCHES = 64
READ_BYTES = 8 * 1024 * 1024
TOUCHED_MAX = 10_000
"""Changes of peers' logs that are remembered one by one; beyond, all are looked at again."""
WATCH_BYTES_MAX = 4 * 1024 * 1024
"""Updates that wait for one watcher; one that lags further gets a snapshot instead."""


class PeerLogs(Protocol):
    """What is needed of `node.logs.Logs`."""

    @property
    def directory(self) -> Directory: ...

    def add_listener(self, callback: Callable[[Touched], None]) -> None: ...

    def remove_listener(self, callback: Callable[[Touched], None]) -> None: ...


class Views:
    """The document of one committee."""

    def __init__(self, make_chain: Callable[[], Chain], ledger: Ledger, logs: PeerLogs) -> None:
        """`make_chain` gives the committee's chain at its genesis."""
        self._make_chain = make_chain
        self._committee = make_chain().get_committee().id
        self._ledger = ledger
        self._peers = _PeerPart(logs, self.announce)
        self._document = Document(CLIENT_ID)
        self._next = 0
        self._lock = trio.Lock()
        self._news = trio.Event()
        self._watches: list[ViewWatch] = []
        self._subscription: Subscription | None = None

    async def read(self) -> tuple[int, bytes]:
        """(position, snapshot): the views after the entry at `position` as a Yjs v1 update.

        Cancelling keeps what has been folded.
        """
        async with self._lock:
            await self._fold()
            return self._next - 1, self._document.snapshot()

    @contextmanager
    def watch(self) -> "Iterator[ViewWatch]":
        """What becomes of the document, for the length of the block."""
        watch = ViewWatch(self)
        if not self._watches:
            self._subscription = self._document.observe(self._hear)
        self._watches.append(watch)
        try:
            yield watch
        finally:
            self._watches.remove(watch)
            if not self._watches and self._subscription is not None:
                self._document.unobserve(self._subscription)
                self._subscription = None

    def announce(self) -> None:
        """There may be something new to fold."""
        self._news.set()

    async def wait_updates(self, watch: "ViewWatch") -> int:
        """Fold until updates wait for `watch`; the position they lead to."""
        while True:
            self._news = self._news if not self._news.is_set() else trio.Event()
            news = self._news
            await self._ledger.flush()
            async with self._lock:
                await self._fold()
                if watch.has_updates():
                    return self._next - 1
            await news.wait()

    def _hear(self, update: bytes) -> None:
        for watch in self._watches:
            watch.put(update)

    async def _fold(self) -> None:
        await self._fold_entries()
        self._peers.fold_into(self._document)

    async def _fold_entries(self) -> None:
        while True:
            batches = await self._ledger.read_batches(
                self._committee, self._next, count_max=READ_BATCHES, bytes_max=READ_BYTES
            )
            if not batches:
                begin = await self._ledger.get_begin(self._committee)
                if begin is None or begin.position < self._next:
                    return
                await self._skip_to(begin.position)
            for batch in batches:
                if batch.position != self._next:
                    await self._skip_to(batch.position - 1)
                facts = [decode_fact(item) for item in batch.entry.items]
                self._document.apply_facts(facts, batch.entry.header.time_ms)
                self._next = batch.position + 1

    async def _skip_to(self, position: int) -> None:
        """Show the state that was fetched at `position` instead of the facts up to it."""
        state = await self._ledger.get_snapshot(self._committee, position)
        chunks = await self._ledger.read_chunks(self._committee, position)
        chain = self._make_chain()
        try:
            if state is None:
                raise InvalidSchema("it is not there")
            chain.load_state(state.join(chunks), position, read_checkpoint(state.certificate).head)
        except InvalidBytes as error:
            raise LedgerError(f"the state at {position} is damaged: {error}") from None
        self._document.restore(
            chain.list_balances(), chain.state.reputation.scores(), chain.list_tasks()
        )
        self._next = position + 1


class ViewWatch:
    """Updates for one watcher. The first one is a whole snapshot, and so is the one after it
    lagged too far; applying an update twice changes nothing."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._updates: deque[bytes] = deque()
        self._size = 0
        self._is_whole = False

    async def next(self) -> tuple[int, tuple[bytes, ...]]:
        """(position, Yjs v1 updates) that lead to the views after that entry; waits for one. A
        cancelled call loses none."""
        if not self._is_whole:
            position, snapshot = await self._views.read()
            self._clear()
            self._is_whole = True
            return position, (snapshot,)
        position = await self._views.wait_updates(self)
        if not self._is_whole:
            return await self.next()
        updates = tuple(self._updates)
        self._clear()
        return position, updates

    def put(self, update: bytes) -> None:
        self._updates.append(update)
        self._size += len(update)
        if self._size > WATCH_BYTES_MAX:
            self._clear()
            self._is_whole = False

    def has_updates(self) -> bool:
        return bool(self._updates) or not self._is_whole

    def _clear(self) -> None:
        self._updates.clear()
        self._size = 0


class _PeerPart:
    """Cards and data of peers' logs, brought into a document. It listens from the first time on;
    that time it goes through all authors in ascending order."""

    def __init__(self, logs: PeerLogs, announce: Callable[[], None]) -> None:
        self._logs, self._announce = logs, announce
        self._cards: dict[bytes, None] = {}
        self._data: dict[tuple[bytes, Place], None] = {}
        self._is_listening = False
        self._is_lost = True

    def fold_into(self, document: Document) -> None:
        if not self._is_listening:
            self._logs.add_listener(self._hear)
            self._is_listening = True
        directory = self._logs.directory
        if self._is_lost:
            self._is_lost = False
            authors = directory.get_authors()
            self._cards = dict.fromkeys(authors)
            shown = [(author, Place(*place)) for author, *place in document.list_data()]
            held = [(author, place) for author in authors for place in directory.list_data(author)]
            self._data = dict.fromkeys([*held, *shown])
        for author in self._cards:
            offer = directory.get_offer(author)
            is_shown = offer is not None and not directory.is_frozen(author)
            document.apply_card(author, offer.card if offer and is_shown else None)
        for author, place in self._data:
            register = directory.get_data(author, *place)
            document.apply_data(author, *place, None if register is None else register.value)
        self._cards, self._data = {}, {}

    def _hear(self, touched: Touched) -> None:
        if touched.card:
            self._cards[touched.author] = None
        for place in sorted(touched.data):
            self._data[(touched.author, place)] = None
        if len(self._cards) + len(self._data) > TOUCHED_MAX:
            self._cards, self._data = {}, {}
            self._is_lost = True
        if touched.card or touched.data:
            self._announce()

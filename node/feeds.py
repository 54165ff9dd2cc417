"""What event streams read: topics of a committee's log, links to peers, changes of application
data, updates of views.

Ledger topics have ids, and a stream goes on behind any of them. What is only live has none: a new
stream begins with the present state of it.
"""

import base64
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec
import trio

from node.event_stream import ReadEvents, parse_position
from node.service import CommitteeService, FactEvent, LogEntry, NodeService, Peer
from node.service_data import DataService
from node.service_views import ViewsUpdate

ENTRIES_PER_READ = 16


Topic = Literal["entries", "tasks", "auctions", "peers", "views"]
TOPICS: tuple[Topic, ...] = get_args(Topic)
LEDGER_TOPICS: frozenset[Topic] = frozenset({"entries", "tasks", "auctions"})
PEERS_EVERY_S = 1.0
"""How often the state of the links is compared with what was told of it."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where the ledger topics of a stream begin: at `item` of the entry at `position`."""

    position: int
    item: int = 0


def parse_event_id(text: str) -> Start | None:
    """Behind the event of that id, None when it is none. `position` is an entry's, and
    `position.item` a fact's."""
    head, dot, tail = text.partition(".")
    position, item = parse_position(head), parse_position(tail or "0")
    if position is None or item is None or bool(dot) != bool(tail):
        return None
    return Start(position, item + 1) if dot else Start(position + 1)


@contextmanager
def feed_topics(
    service: NodeService, node: CommitteeService, topics: frozenset[Topic], start: Start
) -> Iterator[ReadEvents]:
    """Events of all `topics`, those of the ledger in its order."""
    with ExitStack() as stack:
        sources: list[ReadEvents] = []
        if topics & LEDGER_TOPICS:
            sources.append(LedgerSource(node, topics, start).read)
        if "peers" in topics:
            sources.append(PeersSource(service).read)
        if "views" in topics:
            sources.append(stack.enter_context(feed_views(node)))

        async def read() -> bytes:
            return await _read_first(sources)

        yield read


async def _read_first(sources: Sequence[ReadEvents]) -> bytes:
    """What the first of them gives; no source loses what it had when its call is cancelled."""
    if len(sources) == 1:
        return await sources[0]()
    found: list[bytes] = []
    async with trio.open_nursery() as nursery:

        async def run(source: ReadEvents) -> None:
            found.append(await source())
            nursery.cancel_scope.cancel()

        for source in sources:
            nursery.start_soon(run, source)
    return b"".join(found)


class LedgerSource:
    """Entries, and facts about tasks and auctions, from `start` on."""

    def __init__(self, node: CommitteeService, topics: frozenset[Topic], start: Start) -> None:
        self._node, self._topics, self._start = node, topics, start

    async def read(self) -> bytes:
        """The next events; waits for one."""
        events: list[bytes] = []
        while not events:
            page = await self._node.wait_facts(self._start.position, ENTRIES_PER_READ)
            for entry in page.entries:
                events += self._render(entry)
            self._start = Start(page.next)
        return b"".join(events)

    def _render(self, entry: LogEntry) -> Iterator[bytes]:
        first = self._start.item if entry.position == self._start.position else 0
        for item, fact in enumerate(entry.facts):
            topic, name, subject = _classify(fact)
            if item >= first and topic in self._topics:
                event = FactEvent(
                    id=subject,
                    position=entry.position,
                    item=item,
                    time_ms=entry.time_ms,
                    fact=fact,
                )
                yield _make_event(name, event, f"{entry.position}.{item}")
        if "entries" in self._topics:
            yield _make_event("entry", entry, str(entry.position))


def _classify(fact: dict[str, Any]) -> tuple[Topic | None, str, str]:
    """Topic, name of the event and id of what a fact is about."""
    if fact.get("task") is not None:
        return "tasks", "task", fact["task"]
    if fact.get("auction") is not None:
        return "auctions", "auction", fact["auction"]
    return None, "", ""


class PeersSource:
    """All links first, then each one whose state has changed; counters and times are not told."""

    def __init__(self, service: NodeService) -> None:
        self._service = service
        self._told: dict[str, tuple[object, ...]] | None = None

    async def read(self) -> bytes:
        """The next events; waits for one."""
        while self._told is not None:
            await trio.sleep(PEERS_EVERY_S)
            peers = (await self._service.peers()).peers
            news = [peer for peer in peers if self._told.get(peer.peer_id) != _get_state(peer)]
            if news:
                self._told.update({peer.peer_id: _get_state(peer) for peer in news})
                return b"".join(_make_event("peer", peer) for peer in news)
        found = await self._service.peers()
        self._told = {peer.peer_id: _get_state(peer) for peer in found.peers}
        return _make_event("peers", found)


def _get_state(peer: Peer) -> tuple[object, ...]:
    return (peer.address, peer.connected, peer.last_error)


def _make_event(name: str, value: msgspec.Struct, id_: str = "") -> bytes:
    head = f"id: {id_}\n" if id_ else ""
    return f"{head}event: {name}\n".encode() + b"data: %b\n\n" % msgspec.json.encode(value)


@contextmanager
def feed_data(
    data: DataService, namespace: str, key: str, peer: str | None
) -> Iterator[ReadEvents]:
    """What becomes of a key. Without ids: a new stream begins with what is there."""
    with data.watch(namespace, key, peer) as watch:

        async def read() -> bytes:
            changes = await watch.next()
            return b"".join(
                b"event: data\ndata: %b\n\n" % msgspec.json.encode(change) for change in changes
            )

        yield read


@contextmanager
def feed_views(node: CommitteeService) -> Iterator[ReadEvents]:
    """Updates of the document of the views. Without ids: a new stream begins with all of it."""
    with node.watch_views() as watch:

        async def read() -> bytes:
            position, updates = await watch.next()
            return b"".join(
                b"event: views\ndata: %b\n\n"
                % msgspec.json.encode(
                    ViewsUpdate(position=position, update=base64.b64encode(update).decode())
                )
                for update in updates
            )

        yield read

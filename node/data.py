"""Application data behind the local API: `DataService` over peers' logs."""

import base64
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

import trio

from crdt.directory import Place, Register, Touched
from crdt.items import Data, Item
from crdt.replica import ReplicaFull
from identity.errors import InvalidKey
from identity.keys import compute_peer_id, parse_peer_id
from node import service_data as service
from node.logs import LogClosed
from node.outbox import OutboxFull
from node.problem import Problem
from node.service_data import VALUES_PAGE_BYTES_MAX, VALUES_PER_PAGE_MAX
from node.views import PeerLogs

SET_SECONDS_MAX = 30.0
"""A node that lost its log waits until members have shown that it lacks nothing of it."""
CHANGES_PER_READ = 16


class DataLogs(PeerLogs, Protocol):
    """What is needed of `node.logs.Logs`."""

    async def write(self, item: Item) -> int: ...


class LogData:
    """See `DataService` for the contract. `me` is the key of this node's own log."""

    def __init__(self, logs: DataLogs, me: bytes) -> None:
        self._logs, self._me = logs, me

    async def set(self, namespace: str, key: str, value: bytes | None) -> service.DataWritten:
        place = Place(namespace, key)
        if value is not None:
            self._check_room(place, len(value))
        position = await self._write(Data(namespace, key, value))
        found = self._logs.directory.get_data(self._me, namespace, key)
        if value is not None and (found is None or found.position < position):
            self._check_room(place, len(value))  # another call took the room meanwhile
        return service.DataWritten(
            peer_id=compute_peer_id(self._me), namespace=namespace, key=key, position=position
        )

    async def _write(self, item: Item) -> int:
        try:
            with trio.move_on_after(SET_SECONDS_MAX):
                return await self._logs.write(item)
        except LogClosed as error:
            raise Problem("log-closed", str(error), status=409) from None
        except ReplicaFull as error:
            raise Problem("data-full", str(error), status=507) from None
        except OutboxFull as error:
            raise Problem(
                "log-not-ready", str(error), remedy="try again in a moment", status=503
            ) from None
        raise Problem(
            "log-not-ready",
            "too few members have shown yet how much of this node's log they hold",
            remedy="see `econode peers`: are enough members connected?",
            status=503,
        )

    def _check_room(self, place: Place, size: int) -> None:
        if not self._logs.directory.has_room(self._me, place, size):
            raise Problem(
                "data-full",
                "this node's data has as many keys or bytes as are counted of one peer",
                remedy="remove values: econode data remove NAMESPACE KEY",
                status=409,
            )

    async def get(
        self, namespace: str, key: str, peer: str | None, cursor: str | None
    ) -> service.DataPage:
        await trio.lowlevel.checkpoint()
        values: list[service.DataValue] = []
        size = 0
        for author in self._choose(peer):
            register = self._logs.directory.get_data(author, namespace, key)
            if register is None or (cursor is not None and author.hex() <= cursor):
                continue
            size += len(register.value)
            if values and (size > VALUES_PAGE_BYTES_MAX or len(values) >= VALUES_PER_PAGE_MAX):
                last = parse_peer_id(values[-1].peer_id).hex()
                return service.DataPage(values=tuple(values), next=last)
            values.append(self._describe(author, Place(namespace, key), register))
        return service.DataPage(values=tuple(values), next=None)

    async def list(
        self, namespace: str, peer: str | None, cursor: str | None, limit: int
    ) -> service.DataKeys:
        await trio.lowlevel.checkpoint()
        found: list[service.DataKey] = []
        after = None if cursor is None else _parse_cursor(cursor)
        for author in self._choose(peer):
            for key, register in self._logs.directory.list_namespace(author, namespace).items():
                if after is not None and (author, key) <= after:
                    continue
                if len(found) == limit:
                    last = _make_cursor(found[-1])
                    return service.DataKeys(namespace=namespace, keys=tuple(found), next=last)
                found.append(
                    service.DataKey(
                        peer_id=compute_peer_id(author),
                        key=key,
                        size_bytes=len(register.value),
                        position=register.position,
                        time_ms=register.time_ms,
                    )
                )
        return service.DataKeys(namespace=namespace, keys=tuple(found), next=None)

    @contextmanager
    def watch(self, namespace: str, key: str, peer: str | None) -> Iterator[service.DataWatch]:
        watched = None if peer is None else _parse_peer(peer)
        watch = _Watch(self, Place(namespace, key), watched, self._choose(peer))
        self._logs.add_listener(watch.hear)
        try:
            yield watch
        finally:
            self._logs.remove_listener(watch.hear)

    def look(self, author: bytes, place: Place) -> service.DataValue | None:
        register = self._logs.directory.get_data(author, *place)
        return None if register is None else self._describe(author, place, register)

    def _choose(self, peer: str | None) -> Iterable[bytes]:
        return self._logs.directory.get_authors() if peer is None else [_parse_peer(peer)]

    def _describe(self, author: bytes, place: Place, register: Register) -> service.DataValue:
        try:
            text = register.value.decode()
        except UnicodeDecodeError:
            text = None
        return service.DataValue(
            peer_id=compute_peer_id(author),
            namespace=place.namespace,
            key=place.key,
            base64=base64.b64encode(register.value).decode(),
            text=text,
            size_bytes=len(register.value),
            position=register.position,
            time_ms=register.time_ms,
            frozen=self._logs.directory.is_frozen(author),
        )


class _Watch:
    """Remembers which authors changed, not what they wrote: at most one of each waits, however
    slowly it is read."""

    def __init__(
        self, data: LogData, place: Place, watched: bytes | None, authors: Iterable[bytes]
    ) -> None:
        self._data, self._place, self._watched = data, place, watched
        self._pending = dict.fromkeys(authors)
        self._shown: set[bytes] = set()
        self._is_ready = False
        self._news = trio.Event()

    def hear(self, touched: Touched) -> None:
        if self._place in touched.data and self._watched in (None, touched.author):
            self._pending[touched.author] = None
            self._news.set()

    async def next(self) -> tuple[service.DataChange, ...]:
        await trio.lowlevel.checkpoint()
        while True:
            changes = self._take()
            if changes:
                return tuple(changes)
            if not self._is_ready:
                self._is_ready = True
                return (service.DataChange(ready=True),)
            self._news = trio.Event()
            await self._news.wait()

    def _take(self) -> list[service.DataChange]:
        changes: list[service.DataChange] = []
        while self._pending and len(changes) < CHANGES_PER_READ:
            author = next(iter(self._pending))
            del self._pending[author]
            value = self._data.look(author, self._place)
            if value is not None:
                self._shown.add(author)
            elif author not in self._shown:
                continue
            else:
                self._shown.discard(author)
            changes.append(service.DataChange(peer_id=compute_peer_id(author), value=value))
        return changes


def _parse_peer(text: str) -> bytes:
    try:
        return parse_peer_id(text)
    except InvalidKey as error:
        raise Problem("invalid-request", str(error), where="peer") from None


def _make_cursor(last: service.DataKey) -> str:
    return f"{parse_peer_id(last.peer_id).hex()}.{last.key.encode().hex()}"


def _parse_cursor(cursor: str) -> tuple[bytes, str]:
    author, _, key = cursor.partition(".")
    try:
        return bytes.fromhex(author), bytes.fromhex(key).decode()
    except ValueError:
        raise Problem("invalid-request", "cursor must be the `next` of the page before") from None

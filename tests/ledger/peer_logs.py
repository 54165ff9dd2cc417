"""Peers' logs without peers: entries of any author are folded as they come."""

from collections.abc import Callable

import trio

from crdt import log
from crdt.directory import Directory, Touched
from crdt.items import Item, encode_item


class PeerLogs:
    """What application data and views need of `node.logs.Logs`."""

    def __init__(self, me: bytes = bytes(32)) -> None:
        self.directory = Directory()
        self._me = me
        self._entries: dict[bytes, list[log.Entry]] = {}
        self._listeners: list[Callable[[Touched], None]] = []

    async def write(self, item: Item) -> int:
        await trio.lowlevel.checkpoint()
        return self.append(self._me, item)

    def append(self, author: bytes, *items: Item) -> int:
        entries = self._entries.setdefault(author, [])
        previous = entries[-1].header.hash() if entries else log.GENESIS_PREVIOUS
        data = [encode_item(item) for item in items]
        entries.append(log.append(author, len(entries), previous, 7, data))
        self._tell(self.directory.apply(entries[-1]))
        return len(entries) - 1

    def freeze(self, author: bytes, count: int) -> None:
        """The author's log forked behind its first `count` entries."""
        self._tell(self.directory.freeze(author, self._entries[author][:count]))

    def add_listener(self, callback: Callable[[Touched], None]) -> None:
        self._listeners.append(callback)

    def remove_listener(self, callback: Callable[[Touched], None]) -> None:
        self._listeners.remove(callback)

    def _tell(self, touched: Touched) -> None:
        for callback in tuple(self._listeners):
            callback(touched)

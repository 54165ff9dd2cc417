"""What a node tells its owner of application data: values in peers' logs (see
docs/application-data.md). The contract is `NodeService`'s."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from node.answer import Answer

VALUES_PER_PAGE_MAX = 256
VALUES_PAGE_BYTES_MAX = 1 << 20
"""Values of one page; the first one is given whatever its size."""
KEYS_PER_PAGE_MAX = 500


class DataWritten(Answer, frozen=True):
    """A change stands in this node's own log, in the entry at `position`."""

    peer_id: str
    namespace: str
    key: str
    position: int


class DataValue(Answer, frozen=True):
    """What `peer_id` says under a key, by the entry at `position` of its log; `time_ms` is that
    entry's time, which its author claims. `text` is the value where it is UTF-8, else None.
    Frozen: the author forked its log later, and nothing that it says from there on counts."""

    peer_id: str
    namespace: str
    key: str
    base64: str
    text: str | None
    size_bytes: int
    position: int
    time_ms: int
    frozen: bool


class DataPage(Answer, frozen=True):
    """Values of one key, by peer; `next` is the cursor of the next page, None at the end."""

    values: tuple[DataValue, ...]
    next: str | None


class DataKey(Answer, frozen=True):
    """A key that a peer has set, without its value."""

    peer_id: str
    key: str
    size_bytes: int
    position: int
    time_ms: int


class DataKeys(Answer, frozen=True):
    """Keys of one namespace, by peer and key."""

    namespace: str
    keys: tuple[DataKey, ...]
    next: str | None


class DataChange(Answer, frozen=True):
    """One event of a watch. First comes a change for each value that is there, then one with
    `ready` and nothing else; from then on a change for whatever becomes of the key, with `value`
    None where it was removed. Of changes that come faster than they are read the last is shown."""

    peer_id: str | None = None
    value: DataValue | None = None
    ready: bool = False


class DataWatch(Protocol):
    """A watch of one key."""

    async def next(self) -> tuple[DataChange, ...]:
        """The next changes; waits for one. A cancelled call loses none."""
        ...


class DataService(Protocol):
    """Application data. See NodeService for what holds for all methods."""

    async def set(self, namespace: str, key: str, value: bytes | None) -> DataWritten:
        """Set or (None) remove a value of this node's own. Returns once it is in the own log on
        disk; others learn of it later. Problems: data-full, log-closed, log-not-ready."""
        ...

    async def get(
        self, namespace: str, key: str, peer: str | None, cursor: str | None
    ) -> DataPage: ...

    async def list(
        self, namespace: str, peer: str | None, cursor: str | None, limit: int
    ) -> DataKeys: ...

    def watch(
        self, namespace: str, key: str, peer: str | None
    ) -> AbstractContextManager[DataWatch]:
        """What becomes of a key, at all peers or at one."""
        ...


def sift_changes(
    changes: Iterable[DataChange], shown: dict[str, DataValue]
) -> Iterator[DataChange]:
    """What is new in the changes of one stream to whoever was `shown` those values by the one
    before it. A stream begins with all that is there: what it has not named until it is ready is
    gone."""
    missing = set(shown)
    for change in changes:
        if change.ready:
            for peer in sorted(missing):
                del shown[peer]
                yield DataChange(peer_id=peer)
            missing.clear()
            yield change
            continue
        peer = change.peer_id or ""
        missing.discard(peer)
        if change.value is None:
            if shown.pop(peer, None) is not None:
                yield change
        elif shown.get(peer) != change.value:
            shown[peer] = change.value
            yield change

"""One member's files on a simulated disk: the vote log and the ledger.

What is synced survives a power loss; of the rest nothing does, or a prefix of one write (a torn
tail). The vote log keeps rows as `node/vote_log.py` does, the ledger group-commits and may lag. It
holds what it was given in order: batches, snapshots, and the chunks of fetched states.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from protocols.messages import GiveState, OfferState
from protocols.pbft.state_server import give_chunks
from protocols.state_tree import StateTree, cut, hash_chunks
from protocols.step import (
    ChunkFetched,
    Executed,
    History,
    Persist,
    ServeChunks,
    ServeOffer,
    Snapshot,
    TransferBegun,
    Transferred,
)

SNAPSHOTS_MAX = 2
VIEW_KIND = "view"
"""The row that holds the view; it is not history and no checkpoint deletes it."""


class DiskFull(Exception):
    """Nothing can be written; what is there stays."""


class Disk:
    """Survives the member's process."""

    def __init__(self) -> None:
        self.is_full = False
        self.batches: list[Executed] = []
        self.snapshots: dict[int, Snapshot] = {}
        self.coming: TransferBegun | None = None
        self.chunks: dict[int, bytes] = {}
        self.begins: dict[int, Transferred] = {}
        """Fetched states, by the position at which they begin a stretch of batches."""
        self._history: list[History] = []
        self._synced = 0
        self._rows: dict[tuple[bytes, int, str, int], Persist] = {}
        self.certificates: dict[int, bytes] = {}
        """Of the positions that ended an epoch."""
        self.durable = 0
        """The position up to which everything is synced."""

    # --- the vote log -------------------------------------------------------------------------

    def write_rows(self, rows: Sequence[Persist]) -> None:
        """Write and sync. Raises DiskFull and writes nothing."""
        if self.is_full:
            raise DiskFull
        if any(row.kind in ("stable", "epoch") for row in rows):
            self.sync_ledger()  # a stable checkpoint and a new epoch let history be deleted
        for row in rows:
            self._rows[row.committee, row.epoch, row.kind, row.seq] = row
            if row.kind == "stable":
                self._forget(row)
            elif row.kind == "epoch":
                for key in [key for key in self._rows if key[1] < row.epoch]:
                    del self._rows[key]

    def read_rows(self) -> list[Persist]:
        """In the order that the vote log gives them."""
        return sorted(self._rows.values(), key=lambda row: (row.epoch, row.seq, row.kind))

    def count_rows(self) -> int:
        return len(self._rows)

    def _forget(self, stable: Persist) -> None:
        old = [
            key
            for key in self._rows
            if key[:2] == (stable.committee, stable.epoch)
            and key[3] <= stable.seq
            and key[2] not in (VIEW_KIND, "epoch")
            and key[2:] != ("stable", stable.seq)
        ]
        for key in old:
            del self._rows[key]

    # --- the ledger ---------------------------------------------------------------------------

    def append(self, event: History, *, sync: bool) -> None:
        """Queue something; with `sync` everything queued becomes durable."""
        self._history.append(event)
        self._apply(event)
        if sync:
            self.sync_ledger()

    def sync_ledger(self) -> None:
        if self.is_full:
            raise DiskFull
        self._synced = len(self._history)
        self.durable = self._get_position()

    def find_batches(self, start: int, count_max: int) -> list[Executed]:
        """Consecutive batches from `start` on; none if that one is not held."""
        at = bisect_left(self.batches, start, key=lambda batch: batch.seq)
        found = self.batches[at : at + count_max]
        return [b for i, b in enumerate(found) if b.seq == start + i]

    def answer(self, serve: ServeOffer | ServeChunks) -> list[OfferState | GiveState]:
        """What a node tells a peer that asks for a state."""
        return answer_from(self.snapshots, serve)

    def _apply(self, event: History) -> None:
        match event:
            case Executed():
                self.batches.append(event)
            case Snapshot():
                self.snapshots[event.position] = event
            case TransferBegun():
                self.coming, self.chunks = event, {}
            case ChunkFetched():
                self.chunks[event.chunk] = event.data
            case Transferred():
                state = b"".join(data for _, data in sorted(self.chunks.items()))
                place = (event.committee, event.position, event.certificate)
                self.snapshots[event.position] = Snapshot(*place, state)
                self.begins[event.position] = event
                self.coming, self.chunks = None, {}
        for old in sorted(self.snapshots)[:-SNAPSHOTS_MAX]:
            del self.snapshots[old]

    def _get_position(self) -> int:
        executed = self.batches[-1].seq if self.batches else 0
        return max(executed, *self.begins, 0)

    # --- faults -------------------------------------------------------------------------------

    def lose_power(self, torn: Sequence[Persist] = ()) -> None:
        """Forget what is not synced; of a write under way only `torn`, its beginning, is left."""
        if len(self._history) > self._synced:
            del self._history[self._synced :]
            self.batches, self.snapshots, self.begins = [], {}, {}
            self.coming, self.chunks = None, {}
            for event in self._history:
                self._apply(event)
        if torn and not self.is_full:
            self.write_rows(torn)


def answer_from(
    snapshots: Mapping[int, Snapshot], serve: ServeOffer | ServeChunks
) -> list[OfferState | GiveState]:
    """What whoever holds `snapshots`, by position, tells a peer that asks for a state."""
    position = max(snapshots, default=0) if isinstance(serve, ServeOffer) else serve.position
    held = snapshots.get(position)
    chunks = {} if held is None else dict(enumerate(cut(held.state)))
    tree = StateTree(hash_chunks(list(chunks.values()))) if chunks else None
    if isinstance(serve, ServeChunks):
        return [*give_chunks(serve, tree, chunks)]
    if held is None or tree is None or position <= serve.after:
        return []
    return [
        OfferState(
            committee=serve.committee,
            certificate=held.certificate,
            size=len(held.state),
            root=tree.root,
        )
    ]

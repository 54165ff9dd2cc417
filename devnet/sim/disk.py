"""One member's files on a simulated disk: the vote log and the ledger.

What is synced survives a power loss; of the rest nothing does, or a prefix of one write (a torn
tail). The vote log keeps rows as `node/vote_log.py` does, the ledger group-commits and may lag.
"""

from collections.abc import Sequence

from protocols.step import Executed, Persist

VIEW_KIND = "view"
"""The row that holds the view; it is not history and no checkpoint deletes it."""


class DiskFull(Exception):
    """Nothing can be written; what is there stays."""


class Disk:
    """Survives the member's process."""

    def __init__(self) -> None:
        self.is_full = False
        self.batches: list[Executed] = []
        self._rows: dict[tuple[bytes, int, str, int], Persist] = {}
        self.certificates: dict[int, bytes] = {}
        """Of the positions that ended an epoch."""
        self.durable = 0
        """Batches that are synced."""

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

    def append(self, executed: Executed, *, sync: bool) -> None:
        """Queue a batch; with `sync` everything queued becomes durable."""
        self.batches.append(executed)
        if sync:
            self.sync_ledger()

    def sync_ledger(self) -> None:
        if self.is_full:
            raise DiskFull
        self.durable = len(self.batches)

    # --- faults -------------------------------------------------------------------------------

    def lose_power(self, torn: Sequence[Persist] = ()) -> None:
        """Forget what is not synced; of a write under way only `torn`, its beginning, is left."""
        del self.batches[self.durable :]
        if torn and not self.is_full:
            self.write_rows(torn)

"""What consensus must not forget: votes.sqlite3.

Every row is synced before the statement it stands for is sent (`protocols/step.py`), so this is
the short road: one thread of its own, one connection, synchronous=FULL, many rows a transaction.
"""

import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from identity.errors import EconodeError
from node import migrations
from node.log_lines import about
from protocols.step import Persist

logger = logging.getLogger("econode.votes")

SCHEMA_VERSION = migrations.VOTES.version
_IDENTITY_TABLE = "CREATE TABLE identity (network BLOB NOT NULL, account BLOB NOT NULL) STRICT"
_ROWS_TABLE = """CREATE TABLE rows (
    committee BLOB NOT NULL,
    epoch INTEGER NOT NULL,
    kind TEXT NOT NULL,
    seq INTEGER NOT NULL,
    view INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (committee, epoch, kind, seq)
) STRICT, WITHOUT ROWID"""


class VoteLogError(EconodeError):
    """The vote log cannot be used; the message says why and what to do."""


class VoteLog:
    """An open vote log: its thread does one thing after another."""

    def __init__(self, path: Path, network: bytes, account: bytes) -> None:
        """Open or create it. Raises VoteLogError for another network's, another key's or a
        damaged file: a vote log that is not this member's would let it vote twice."""
        self._path = path
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        try:
            copy = migrations.migrate(path, migrations.VOTES)
            if copy is not None:
                logger.warning(
                    "the vote log has schema %d now, was copied to %s; never put the "
                    "copy back once this node has voted again",
                    SCHEMA_VERSION,
                    copy,
                    extra=about("votes_migrated", schema=SCHEMA_VERSION),
                )
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._prepare(network, account)
        except (sqlite3.Error, OSError) as error:
            raise VoteLogError(
                f"{path}: {error}. The vote log is damaged or the disk is full; without it this "
                "member could vote twice, so it does not start."
            ) from error
        self._thread = threading.Thread(target=self._work, name="vote-log", daemon=True)
        self._thread.start()

    async def read_rows(self, committee: bytes) -> list[Persist]:
        """All rows of a committee. Raises VoteLogError. Cancelled like `append`."""
        found: list[Persist] = []
        await self._do(lambda: found.extend(self._read(committee)))
        return found

    async def append(self, rows: Sequence[Persist]) -> None:
        """Return when all rows are synced. A cancellation waits for the sync: whether a vote is
        durable is never left open. Raises VoteLogError when they could not be written."""
        await self._do(lambda: self._write(rows))

    async def _do(self, work: Callable[[], None]) -> None:
        """Have the thread do `work`, after what it was given before."""
        token = trio.lowlevel.current_trio_token()
        task = trio.lowlevel.current_task()
        failure: list[sqlite3.Error] = []

        def job() -> None:
            try:
                work()
            except sqlite3.Error as error:
                failure.append(error)
            token.run_sync_soon(trio.lowlevel.reschedule, task)

        self._jobs.put(job)
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        if failure:
            raise VoteLogError(f"{self._path}: {failure[0]}; nothing was sent") from failure[0]

    def close(self) -> None:
        """End the thread and close the file; waits for the write under way."""
        self._jobs.put(None)
        self._thread.join()
        self._db.close()

    def _prepare(self, network: bytes, account: bytes) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version == 0:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(_IDENTITY_TABLE)
            self._db.execute(_ROWS_TABLE)
            for table in migrations.VOTES_RESTORED:
                self._db.execute(table)
            self._db.execute("INSERT INTO identity VALUES (?, ?)", (network, account))
            self._db.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            self._db.execute("COMMIT")
        elif version != SCHEMA_VERSION:
            raise VoteLogError(
                f"{self._path} was written by a newer version (schema {version}, this one knows "
                f"{SCHEMA_VERSION}): upgrade Econode"
            )
        known = self._db.execute("SELECT network, account FROM identity").fetchone()
        if known != (network, account):
            raise VoteLogError(
                f"{self._path} belongs to another network or key: use the home it came from"
            )

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _read(self, committee: bytes) -> list[Persist]:
        found = self._db.execute(
            "SELECT kind, view, seq, data, epoch FROM rows WHERE committee = ? ORDER BY epoch, seq",
            (committee,),
        )
        rows = [Persist(committee, *row) for row in found]
        marked = (
            "SELECT 1 FROM restored WHERE NOT EXISTS (SELECT 1 FROM passed WHERE committee = ?)"
        )
        if self._db.execute(marked, (committee,)).fetchone() is not None:
            rows.append(Persist(committee, "restored", 0, 0, b"", 0))
        return rows

    def _write(self, rows: Sequence[Persist]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for row in rows:
                self._write_row(row)
        except sqlite3.Error:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _write_row(self, row: Persist) -> None:
        if row.kind == "passed":
            self._db.execute("INSERT OR IGNORE INTO passed VALUES (?)", (row.committee,))
            return
        self._db.execute(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?, ?, ?)",
            (row.committee, row.epoch, row.kind, row.seq, row.view, row.data),
        )
        if row.kind == "stable":
            self._db.execute(
                "DELETE FROM rows WHERE committee = ? AND epoch = ? AND seq <= ? "
                "AND kind NOT IN ('view', 'epoch') AND NOT (kind = 'stable' AND seq = ?)",
                (row.committee, row.epoch, row.seq, row.seq),
            )
        elif row.kind == "epoch":
            self._db.execute(
                "DELETE FROM rows WHERE committee = ? AND epoch < ?", (row.committee, row.epoch)
            )

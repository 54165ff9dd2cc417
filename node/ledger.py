"""The event-sourced ledger: ledger.sqlite3, written by one task with group commit.

What a committee ordered is appended: batches, entries and records with a hash chain per
committee; projections change in the same transaction. The ledger may lag behind consensus: after
a crash the node appends again what `get_last` says is missing.

aiosqlite runs through trio-asyncio: whoever opens a ledger does so inside
`trio_asyncio.open_loop()`. A whole transaction is one asyncio function under a shield, since a
cancellation between BEGIN and COMMIT would leave the write lock held, and closing is shielded,
since an open connection keeps its thread, and with it the process, alive.
"""

import logging
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
import trio
import trio_asyncio

from crdt import log
from node import migrations
from node.bid_notes import BidNote
from node.bid_notes import encode as encode_bid
from node.ledger_read import LedgerReader, RunAsyncio
from node.ledger_rows import (
    CHAIN_START,
    CommitteeTip,
    ExecutedBatch,
    FactProof,
    FactRow,
    LedgerError,
    Rows,
    build_log_entry_row,
)
from node.ledger_states import Statements, build_begin, build_coming, build_snapshot
from node.log_lines import about
from node.projections import project_auctions, project_tasks
from node.report_notes import REPORT, ReportNote
from node.report_notes import encode as encode_report
from protocols.step import ChunkFetched, Snapshot, TransferBegun, Transferred

__all__ = ["ExecutedBatch", "FactProof", "FactRow", "Ledger", "LedgerError", "LedgerFull"]

logger = logging.getLogger("econode.ledger")

SCHEMA_VERSION = migrations.LEDGER.version
APPLICATION_ID = migrations.LEDGER.application_id
SCHEMA = Path(__file__).with_name("schema.sql")
QUEUE_COUNT_MAX = 20_000
QUEUE_BYTES_MAX = 128 * 1024 * 1024
GROUP_COUNT_MAX = 2_000
GROUP_BYTES_MAX = 16 * 1024 * 1024
GROUP_WAIT_SECONDS = 0.02
"""How long a write waits for others to share its sync, unless somebody waits for it."""
BUSY_TIMEOUT_MS = 5_000

FUNDINGS_KEPT_MAX = 1_000
"""Fundings that have ended and are still told of."""
_FORGET_FUNDINGS = (
    "DELETE FROM fundings WHERE NOT is_open AND rowid NOT IN "
    "(SELECT rowid FROM fundings WHERE NOT is_open ORDER BY rowid DESC LIMIT ?)"
)
BIDS_KEPT_MAX = 1_000
"""Bids that won nothing and are still told of."""
_FORGET_BIDS = (
    "DELETE FROM bids WHERE NOT is_open AND won = 0 AND rowid NOT IN "
    "(SELECT rowid FROM bids WHERE NOT is_open AND won = 0 ORDER BY rowid DESC LIMIT ?)"
)


class LedgerFull(LedgerError):
    """The queue to the disk is full: await `append_wait`, or slow down."""


@dataclass(frozen=True, slots=True)
class _Job:
    """`is_alone`: its statements depend on those of the jobs before it being executed."""

    size: int
    build: Callable[[Rows], None]
    is_alone: bool = False


@dataclass(slots=True)
class _Queue:
    """Jobs in order. `accepted` and `durable` count jobs since the ledger was opened."""

    jobs: deque[_Job] = field(default_factory=deque)
    size: int = 0
    accepted: int = 0
    durable: int = 0

    def has_room(self, size: int) -> bool:
        if not self.jobs:
            return True
        return len(self.jobs) < QUEUE_COUNT_MAX and self.size + size <= QUEUE_BYTES_MAX

    def put(self, job: _Job) -> None:
        self.jobs.append(job)
        self.size += job.size
        self.accepted += 1

    def take_group(self) -> list[_Job]:
        group: list[_Job] = []
        size = 0
        while self.jobs and len(group) < GROUP_COUNT_MAX and size < GROUP_BYTES_MAX:
            if group and (group[-1].is_alone or self.jobs[0].is_alone):
                break
            group.append(self.jobs.popleft())
            size += group[-1].size
        self.size -= size
        return group


class Ledger(LedgerReader):
    """One node's ledger; see `open`. Reads see what is durable.

    Once a write failed (disk full, damaged file) the ledger takes nothing more: every waiting
    and later call raises LedgerError, and so does the block of `open`.
    """

    def __init__(
        self,
        writer: aiosqlite.Connection,
        reader: aiosqlite.Connection,
        network: bytes,
        run_asyncio: RunAsyncio,
        retention_ms: int,
    ) -> None:
        super().__init__(reader, run_asyncio)
        self.network = network
        self._retention_ms = retention_ms
        self._writer = writer
        self._queue = _Queue()
        self._tips: dict[bytes, CommitteeTip] = {}
        self._queued_tips: dict[bytes, tuple[int, bytes]] = {}
        self._wake = trio.Event()
        self._hurry = trio.Event()
        self._progress = trio.Event()
        self._closing = False
        self._failure: LedgerError | None = None

    @staticmethod
    @asynccontextmanager
    async def open(
        path: Path | str, network: bytes, *, retention_ms: int = 0
    ) -> "AsyncIterator[Ledger]":
        """Open or create the ledger of `network` at `path`, in trio under an open asyncio loop.
        With `retention_ms` it keeps states to prune by, which is for others to do.

        Leaving the block writes what is queued and closes, also when cancelled. Raises
        LedgerError for a file that is no ledger, is of another network or a newer version.
        """
        loop = trio_asyncio.current_loop.get()
        if loop is None:
            raise LedgerError("open the ledger inside trio_asyncio.open_loop()")
        run_asyncio = partial(_run_asyncio, loop)
        await trio.to_thread.run_sync(_migrate, Path(path))
        writer = await _connect(path, run_asyncio)
        reader = None
        try:
            await run_asyncio(_prepare, writer, str(path), network)
            reader = await _connect(path, run_asyncio)
            await run_asyncio(_prepare_reader, reader)
            ledger = Ledger(writer, reader, network, run_asyncio, retention_ms)
            await ledger._load_tips()
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ledger._run)
                    try:
                        yield ledger
                    finally:
                        ledger._closing = True
                        ledger._wake.set()
                        ledger._hurry.set()
            except BaseExceptionGroup as group:  # the nursery's wrapping; one cause stays itself
                if len(set(map(id, group.exceptions))) == 1:
                    raise group.exceptions[0]  # noqa: B904
                raise
        finally:
            with trio.CancelScope(shield=True):
                for connection in filter(None, (reader, writer)):
                    await run_asyncio(connection.close)

    def append(self, batch: ExecutedBatch) -> None:
        """Queue the batch that follows the committee's last one.

        Raises LedgerFull, or LedgerError when it does not follow or the ledger has failed.
        Durable once `flush` returns.
        """
        batch.check()
        header = batch.entry.header
        position, head = self._queued_tips.get(batch.committee, (-1, log.GENESIS_PREVIOUS))
        if header.position != position + 1 or header.previous != head:
            raise LedgerError(f"batch {header.position} does not follow the last one, {position}")
        self._put(batch.count_bytes(), lambda rows: self._build_batch(rows, batch))
        self._queued_tips[batch.committee] = (header.position, header.hash())

    async def append_wait(self, batch: ExecutedBatch) -> None:
        """`append`, after waiting for room in the queue."""
        await self.wait_room(batch.count_bytes())
        self.append(batch)

    async def wait_room(self, size: int) -> None:
        """Until the queue takes a write of about `size` bytes. Raises LedgerError."""
        await self._wait_until(lambda: self._queue.has_room(size))

    def put_certificate(self, committee: bytes, position: int, certificate: bytes) -> None:
        """Queue the certificate of an entry; the first one of a position stays."""
        row = (committee, position, certificate)
        self._put(len(certificate), lambda rows: rows.add("certificates", row))

    async def keep_state(self, event: Snapshot | TransferBegun | ChunkFetched) -> None:
        """Queue what is to be kept of states, after waiting for room in the queue."""
        match event:
            case Snapshot():
                await self._put_alone(
                    len(event.state), partial(build_snapshot, event, self._retention_ms)
                )
            case TransferBegun():
                await self._put_alone(len(event.certificate), partial(build_coming, event))
            case ChunkFetched():
                row = (event.committee, event.position, event.chunk, event.data)
                await self._wait_until(lambda: self._queue.has_room(len(event.data)))
                self._put(len(event.data), lambda rows: rows.add("chunks", row))

    async def begin(self, state: Transferred) -> None:
        """Queue the beginning of a new stretch of a committee's log behind a state whose chunks
        were all kept. What lies between its last batch and that state is not held."""
        position, _ = self._queued_tips.get(state.committee, (-1, b""))
        if state.position <= position:
            raise LedgerError(f"a state at {state.position} does not follow {position}")

        def build() -> Statements:
            tip = CommitteeTip(
                *(state.position, state.head, state.digest),
                *(project_tasks(state.tasks), project_auctions(state.auctions)),
            )
            self._tips[state.committee] = tip
            return build_begin(state)

        await self._put_alone(len(state.leaves), build)
        self._queued_tips[state.committee] = (state.position, state.head)

    def append_log_entry(self, entry: log.Entry, proof: bytes) -> None:
        """Queue an entry of a peer's log that `crdt.replica` accepted, with its proof."""
        row = build_log_entry_row(entry, proof)
        self._put(len(row[2]) + len(proof), lambda rows: rows.add("log_entries", row))

    def put_fork(self, author: bytes, position: int, proof: bytes) -> None:
        """Queue the proof that `author` forked its log at `position`."""
        self._put(len(proof), lambda rows: rows.add("forks", (author, position, proof)))

    def put_evidence(self, offence: bytes, data: bytes, seen_ms: int) -> None:
        """Queue checked evidence of an offence; the first one stays."""
        self._put(len(data), lambda rows: rows.add("evidence", (offence, data, seen_ms)))

    def put_funding(self, id_: bytes, is_open: bool, data: bytes) -> None:
        """Queue what is known now of a funding, instead of what was known before."""
        row = (id_, int(is_open), data)

        def build(rows: Rows) -> None:
            rows.add("fundings", row)
            rows.statements.append((_FORGET_FUNDINGS, [(FUNDINGS_KEPT_MAX,)]))

        self._put(len(data), build)

    def put_bid(self, id_: bytes, note: BidNote) -> None:
        """Queue what is known now of a bid, instead of what was known before."""
        data = encode_bid(note)
        row = (id_, int(note.is_open), note.want, note.won, data)

        def build(rows: Rows) -> None:
            rows.add("bids", row)
            if not note.is_open:
                rows.statements.append((_FORGET_BIDS, [(BIDS_KEPT_MAX,)]))

        self._put(len(data), build)

    def put_report(self, id_: bytes, note: ReportNote) -> None:
        """Queue what is known now of a report, instead of what was known before."""
        data = encode_report(note)
        row = (id_, int(note.is_open), REPORT, 0, data)

        def build(rows: Rows) -> None:
            rows.add("bids", row)
            if not note.is_open:
                rows.statements.append((_FORGET_BIDS, [(BIDS_KEPT_MAX,)]))

        self._put(len(data), build)

    async def change(self, statements: Statements) -> None:
        """Queue a transaction of its own that touches no row of what is appended."""
        await self._put_alone(0, lambda: statements)

    async def flush(self) -> None:
        """Return once all that was queued before the call is durable. Raises LedgerError."""
        target = self._queue.accepted
        await self._wait_until(lambda: self._queue.durable >= target)

    async def _put_alone(self, size: int, build: Callable[[], Statements]) -> None:
        await self._wait_until(lambda: self._queue.has_room(size))
        self._put(size, lambda rows: rows.statements.extend(build()), is_alone=True)

    def _put(self, size: int, build: Callable[[Rows], None], *, is_alone: bool = False) -> None:
        if self._failure is not None:
            raise self._failure
        if self._closing:
            raise LedgerError("the ledger is closed")
        if not self._queue.has_room(size):
            raise LedgerFull(f"{len(self._queue.jobs)} writes wait for the disk")
        self._queue.put(_Job(size, build, is_alone))
        self._wake.set()

    async def _wait_until(self, is_done: Callable[[], bool]) -> None:
        await trio.lowlevel.checkpoint()
        while not is_done():
            if self._failure is not None:
                raise self._failure
            self._hurry.set()
            await self._progress.wait()

    def _build_batch(self, rows: Rows, batch: ExecutedBatch) -> None:
        tip = self._tips.get(batch.committee)
        if tip is None:
            tip = CommitteeTip(-1, log.GENESIS_PREVIOUS, CHAIN_START)
            self._tips[batch.committee] = tip
        rows.add_batch(batch, tip)

    async def _run(self) -> None:
        """The one writer. Shielded: it ends when the ledger closes, with nothing left queued."""
        with trio.CancelScope(shield=True):
            while self._queue.jobs or not self._closing:
                if not self._queue.jobs:
                    await self._wake.wait()
                    self._wake = trio.Event()
                    continue
                with trio.move_on_after(GROUP_WAIT_SECONDS):
                    await self._hurry.wait()
                self._hurry = trio.Event()
                await self._write_group()

    async def _write_group(self) -> None:
        group = self._queue.take_group()
        rows = Rows()
        try:
            for job in group:
                job.build(rows)
            await self._run_asyncio(_commit, self._writer, rows)
        except sqlite3.Error as error:
            raise self._fail(f"the ledger cannot be written: {error}") from None
        except BaseException as error:  # whoever waits must learn of it, whatever it was
            raise self._fail(f"the ledger's writer failed: {error!r}") from error
        self._queue.durable += len(group)
        self._announce()

    def _fail(self, reason: str) -> LedgerError:
        self._failure = LedgerError(reason)
        self._queue.jobs.clear()
        self._announce()
        return self._failure

    def _announce(self) -> None:
        self._progress.set()
        self._progress = trio.Event()

    async def _load_tips(self) -> None:
        for committee in await self.read_committees():
            last = await self.get_last(committee)
            if last is None:
                continue
            position, head = last
            tasks = project_tasks(await self.read_tasks_open(committee))
            auctions = project_auctions(await self.read_auctions_open(committee))
            record_hash = await self.read_record_hash(committee)
            self._tips[committee] = CommitteeTip(position, head, record_hash, tasks, auctions)
            self._queued_tips[committee] = (position, head)


async def _run_asyncio(loop: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call an asyncio function from trio. The loop is the one of `open`: a task that was started
    outside of `open_loop` may use the ledger as well."""
    return await trio_asyncio.aio_as_trio(function, loop=loop)(*arguments)


def _migrate(path: Path) -> None:
    try:
        copy = migrations.migrate(path, migrations.LEDGER)
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(f"{path} cannot be brought to schema {SCHEMA_VERSION}: {error}") from None
    if copy is not None:
        logger.warning(
            "the ledger has schema %d now; a copy is at %s",
            SCHEMA_VERSION,
            copy,
            extra=about("ledger_migrated", schema=SCHEMA_VERSION),
        )


async def _connect(path: Path | str, run_asyncio: RunAsyncio) -> aiosqlite.Connection:
    """A connection in autocommit mode: transactions are ours to begin and end."""

    async def connect() -> aiosqlite.Connection:
        return await aiosqlite.connect(path, isolation_level=None)

    try:
        # aiosqlite leaves a thread behind when it cannot connect: find that out without it.
        sqlite3.connect(path).close()
        with trio.CancelScope(shield=True):  # an abandoned connection would keep its thread
            connection: aiosqlite.Connection = await run_asyncio(connect)
    except sqlite3.Error as error:
        raise LedgerError(f"{path}: {error}") from None
    return connection


async def _prepare(connection: aiosqlite.Connection, path: str, network: bytes) -> None:
    """asyncio: settings, then the schema where the file is new, then whose file it is."""
    try:
        await connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        found = [
            next(iter(await connection.execute_fetchall(f"PRAGMA {name}")))[0]
            for name in ("application_id", "user_version")
        ]
        tables = list(await connection.execute_fetchall("SELECT name FROM sqlite_schema LIMIT 1"))
        if found != [0, 0] or tables:
            check_version(path, *found)
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = FULL")
        if not tables:
            await _create(connection, network)
        owner = list(await connection.execute_fetchall("SELECT id FROM network"))
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be opened: {error}") from None
    check_network(path, [row[0] for row in owner], network)


async def _create(connection: aiosqlite.Connection, network: bytes) -> None:
    head = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
    owner = f"INSERT INTO network VALUES (x'{network.hex()}');"
    script = f"BEGIN EXCLUSIVE; {head} {SCHEMA.read_text()} {owner} COMMIT;"
    try:
        await connection.executescript(script)
    except sqlite3.Error:
        await connection.rollback()
        raise


def check_version(path: str, application: int, version: int) -> None:
    """Raise LedgerError unless the file is a ledger that this version reads."""
    if application != APPLICATION_ID or version < 1:
        raise LedgerError(f"{path} is not a ledger of Econode")
    if version > SCHEMA_VERSION:
        raise LedgerError(
            f"{path} was written by a newer version (schema {version}, this one reads up to "
            f"{SCHEMA_VERSION}): upgrade Econode"
        )


def check_network(path: str, owners: list[bytes], network: bytes) -> None:
    """Raise LedgerError unless the file is `network`'s."""
    if owners != [network]:
        name = owners[0].hex()[:16] if owners else "no network"
        raise LedgerError(
            f"{path} belongs to {name}, not to {network.hex()[:16]}: use the genesis it was made "
            "with, or another home directory"
        )


async def _prepare_reader(connection: aiosqlite.Connection) -> None:
    await connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    await connection.execute("PRAGMA wal_autocheckpoint = 0")
    await connection.execute("PRAGMA query_only = ON")


async def _commit(connection: aiosqlite.Connection, rows: Rows) -> None:
    """asyncio: one transaction, whole or not at all.

    aiosqlite's thread is asked once, not once for each statement: the crossings cost more than
    the statements. Its own `executemany` is this same call.
    """
    await connection._execute(_write, connection._conn, rows)


def _write(connection: sqlite3.Connection, rows: Rows) -> None:
    """In aiosqlite's thread."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql, parameters in rows.list_statements():
            connection.executemany(sql, parameters)
        connection.execute("COMMIT")
    except BaseException:  # whatever it was, the write lock must be let go
        connection.rollback()
        raise

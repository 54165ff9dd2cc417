"""Reading the ledger: every answer is bounded, and pages follow on `after` or `start`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiosqlite

from crdt import auctions, log
from crdt.auctions import AuctionRow
from crdt.tasks import ENDED_STATES, TaskRow
from identity import schema
from identity.errors import EconodeError
from identity.schema import U63_MAX
from node.ledger_rows import (
    CHAIN_START,
    ExecutedBatch,
    FactProof,
    FactRow,
    LedgerError,
    compute_id_range,
    decode_list,
)
from node.ledger_states import SELECT_GAPS, StoredState, read_checkpoint
from node.report_notes import REPORT

READ_COUNT_MAX = 1_000
READ_BYTES_MAX = 64 * 1024 * 1024
LOG_ENTRY_BYTES_MAX = 16 * 1024 * 1024

RunAsyncio = Callable[..., Awaitable[Any]]
"""Calls an asyncio function with its arguments, from trio."""


class LedgerReader:
    """The reading half of `node.ledger.Ledger`, on its own connection."""

    def __init__(self, reader: aiosqlite.Connection, run_asyncio: RunAsyncio) -> None:
        self._reader = reader
        self._run_asyncio = run_asyncio

    async def read_committees(self) -> list[bytes]:
        rows = await self._fetch("SELECT DISTINCT committee FROM entries ORDER BY committee")
        return [row[0] for row in rows]

    async def get_last(self, committee: bytes) -> tuple[int, bytes] | None:
        """Position and hash of the committee's last durable entry, or of the head of the fetched
        state that stands behind it."""
        sql = (
            "SELECT position, hash FROM entries WHERE committee = ? ORDER BY position DESC LIMIT 1"
        )
        rows = await self._fetch(sql, committee)
        begin = await self.get_begin(committee)
        if begin is not None and (not rows or begin.position > rows[0][0]):
            return begin.position, read_checkpoint(begin.certificate).head
        return (rows[0][0], rows[0][1]) if rows else None

    async def read_record_hash(self, committee: bytes, last: int | None = None) -> bytes:
        """The head of the committee's chain of records, or where it was after position `last`."""
        last = U63_MAX if last is None else last
        begins = [state for state in await self.read_begins(committee) if state.position < last]
        rows = await self._fetch(
            "SELECT hash FROM records WHERE committee = ? AND position > ? AND position <= ? "
            "ORDER BY position DESC, item DESC LIMIT 1",
            *(committee, begins[-1].position if begins else -1, last),
        )
        if rows:
            return bytes(rows[0][0])
        if not begins:
            return CHAIN_START
        rows = await self._fetch(
            "SELECT hash FROM chain_starts WHERE committee = ? AND position = ?",
            *(committee, begins[-1].position),
        )
        return bytes(rows[0][0]) if rows else read_checkpoint(begins[-1].certificate).state

    async def find_position(self, committee: bytes, until_ms: int) -> int | None:
        """The last entry held that is not younger than the agreed time `until_ms`."""
        rows = await self._fetch(
            "SELECT position FROM entries WHERE committee = ? AND time_ms <= ? "
            "ORDER BY position DESC LIMIT 1",
            *(committee, until_ms),
        )
        return rows[0][0] if rows else None

    async def count_batches(self, committee: bytes, first: int, last: int) -> int:
        """How many batches are held from position `first` to `last`."""
        rows = await self._fetch(
            "SELECT count(*) FROM batches WHERE committee = ? AND position BETWEEN ? AND ?",
            *(committee, first, last),
        )
        return int(rows[0][0])

    async def get_begin(self, committee: bytes) -> StoredState | None:
        """The fetched state behind which the newest stretch of batches begins; None when they
        begin with the genesis."""
        found = await self._read_states(committee, "kind = 'begin'", 1)
        return found[0] if found else None

    async def get_coming(self, committee: bytes) -> StoredState | None:
        """The state that was being fetched."""
        found = await self._read_states(committee, "kind = 'coming'", 1)
        return found[0] if found else None

    async def read_snapshots(self, committee: bytes) -> list[StoredState]:
        """The whole states that are held of the newest stretch, the newest first."""
        found = await self._read_states(committee, "kind <> 'coming'", READ_COUNT_MAX)
        begins = [i for i, state in enumerate(found) if state.kind == "begin"]
        return found[: begins[0] + 1] if begins else found

    async def read_begins(self, committee: bytes) -> list[StoredState]:
        """The fetched states behind which stretches begin, ascending."""
        found = await self._read_states(committee, "kind = 'begin'", READ_COUNT_MAX)
        return found[::-1]

    async def read_gaps(self, committee: bytes) -> list[tuple[int, int]]:
        """First and last position of each stretch of the log that is not held, ascending."""
        return [(row[0], row[1]) for row in await self._fetch(SELECT_GAPS, committee)]

    async def get_snapshot(self, committee: bytes, position: int) -> StoredState | None:
        """The whole state at `position`."""
        where = f"kind <> 'coming' AND position = {position:d}"
        found = await self._read_states(committee, where, 1)
        return found[0] if found else None

    async def _read_states(self, committee: bytes, where: str, count: int) -> list[StoredState]:
        rows = await self._fetch(
            f"SELECT * FROM snapshots WHERE committee = ? AND {where} "
            "ORDER BY position DESC LIMIT ?",
            *(committee, count),
        )
        return [StoredState(*row) for row in rows]

    async def read_chunks(
        self, committee: bytes, position: int, chunks: Sequence[int] | None = None
    ) -> dict[int, bytes]:
        """Chunks of the state at `position` by index: all, or those of `chunks` that are held."""
        sql = "SELECT item, data FROM chunks WHERE committee = ? AND position = ?"
        if chunks is not None:
            sql += f" AND item IN ({', '.join('?' * len(chunks))})"
        rows = await self._fetch(sql, committee, position, *(chunks or ()))
        return dict(rows)

    async def read_batches(
        self, committee: bytes, start: int, *, count_max: int, bytes_max: int
    ) -> list[ExecutedBatch]:
        """Batches from position `start` on: the first one whatever its size, then as many as
        stay within both bounds."""
        sql = (
            "SELECT b.position, b.digest, b.time_ms, b.operations, b.proof, "
            "e.previous, e.time_ms, e.root "
            "FROM batches b JOIN entries e USING (committee, position) "
            "WHERE b.committee = ? AND b.position >= ? ORDER BY b.position LIMIT ?"
        )
        batches: list[ExecutedBatch] = []
        size = 0
        # A batch may be large: rows are fetched in small groups, so that memory stays bounded.
        while len(batches) < min(count_max, READ_COUNT_MAX):
            rows = await self._fetch(sql, committee, start + len(batches), 16)
            for row in rows:
                batch = await self._load_batch(committee, row)
                size += batch.count_bytes()
                if batches and size > min(bytes_max, READ_BYTES_MAX):
                    return batches
                batches.append(batch)
                if len(batches) >= min(count_max, READ_COUNT_MAX):
                    return batches
            if len(rows) < 16:
                break
        return batches

    async def read_facts(
        self,
        committee: bytes,
        *,
        count_max: int,
        after: tuple[int, int] | None = None,
        kind: str | None = None,
        task: bytes | None = None,
        account: bytes | None = None,
        newest_first: bool = False,
    ) -> list[FactRow]:
        """Facts in order, or newest first, that pass every filter given.

        `after` is (position, item) of the last fact of the page before.
        """
        tables, where, values = "records r", ["r.committee = ?"], [committee]
        # Left alone SQLite reads all records, since their own order saves it a sort.
        if task is not None:
            tables += " INDEXED BY records_by_task"
        elif kind is not None:
            tables += " INDEXED BY records_by_kind"
        if account is not None:
            tables = (
                "record_accounts a CROSS JOIN records r ON r.committee = a.committee "
                "AND r.position = a.position AND r.item = a.item"
            )
            where = ["a.committee = ?", "a.account = ?"]
            values.append(account)
        prefix = "r" if account is None else "a"
        filters: list[tuple[str, Any]] = [("r.kind = ?", kind), ("r.task = ?", task)]
        for condition, value in filters:
            if value is not None:
                where.append(condition)
                values.append(value)
        parameters: list[Any] = [*values]
        if after is not None:
            sign = "<" if newest_first else ">"
            where.append(f"({prefix}.position, {prefix}.item) {sign} (?, ?)")
            parameters.extend(after)
        order = "DESC" if newest_first else "ASC"
        rows = await self._fetch(
            "SELECT r.position, r.item, e.time_ms, r.kind, r.data "
            f"FROM {tables} JOIN entries e ON e.committee = r.committee "
            f"AND e.position = r.position WHERE {' AND '.join(where)} "
            f"ORDER BY {prefix}.position {order}, {prefix}.item {order} LIMIT ?",
            *parameters,
            min(count_max, READ_COUNT_MAX),
        )
        return [FactRow(committee, *row) for row in rows]

    async def prove_facts(
        self, committee: bytes, position: int, places: Sequence[int]
    ) -> list[FactProof] | None:
        """The facts at `places` of one entry, each with its Merkle path; None when one of them is
        not there."""
        items = await self._read_items(committee, position)
        header = await self._read_header(committee, position)
        if header is None or not all(0 <= place < len(items) for place in places):
            return None
        paths = log.compute_paths(items, places)
        certificate = await self.get_certificate(committee, position)
        return [
            FactProof(items[place], place, len(items), path, header, certificate)
            for place, path in zip(places, paths, strict=True)
        ]

    async def get_certificate(self, committee: bytes, position: int) -> bytes | None:
        rows = await self._fetch(
            "SELECT data FROM certificates WHERE committee = ? AND position = ?",
            *(committee, position),
        )
        return rows[0][0] if rows else None

    async def find_certificate(self, committee: bytes, position: int) -> tuple[int, bytes] | None:
        """The first certificate of an entry from `position` on, with that entry's position."""
        rows = await self._fetch(
            "SELECT position, data FROM certificates WHERE committee = ? AND position >= ? "
            "ORDER BY position LIMIT 1",
            *(committee, position),
        )
        return (rows[0][0], rows[0][1]) if rows else None

    async def read_headers(self, committee: bytes, first: int, last: int) -> list[log.Header]:
        """The headers held from position `first` to `last`, at most READ_COUNT_MAX."""
        rows = await self._fetch(
            "SELECT position, previous, time_ms, root FROM entries WHERE committee = ? "
            "AND position BETWEEN ? AND ? ORDER BY position LIMIT ?",
            *(committee, first, last, READ_COUNT_MAX),
        )
        return [log.Header(committee, *row) for row in rows]

    async def get_task(self, committee: bytes, task: bytes) -> TaskRow | None:
        sql = "SELECT * FROM tasks WHERE committee = ? AND task = ?"
        rows = await self._fetch(sql, committee, task)
        return TaskRow(*rows[0][1:]) if rows else None

    async def read_certificates(
        self, committee: bytes, start: int, *, count_max: int
    ) -> list[tuple[int, bytes]]:
        """Certificates from position `start` on, each with its position."""
        rows = await self._fetch(
            "SELECT position, data FROM certificates WHERE committee = ? AND position >= ? "
            "ORDER BY position LIMIT ?",
            *(committee, start, min(count_max, READ_COUNT_MAX)),
        )
        return [(row[0], row[1]) for row in rows]

    async def get_entry_hash(self, committee: bytes, position: int) -> bytes | None:
        """The hash of the committee's entry at `position`, if that is held."""
        header = await self._read_header(committee, position)
        return None if header is None else header.hash()

    async def has_account(self, account: bytes) -> bool:
        """Whether it ever held credits in a committee of this ledger."""
        rows = await self._fetch("SELECT 1 FROM balances WHERE account = ? LIMIT 1", account)
        return bool(rows)

    async def read_tasks(
        self,
        committee: bytes,
        *,
        count_max: int,
        after: bytes | None = None,
        state: str | None = None,
        requester: bytes | None = None,
    ) -> list[TaskRow]:
        """Tasks in order of their id; `after` is the last id of the page before."""
        rows = await self._fetch(
            "SELECT * FROM tasks WHERE committee = ? AND task > ? AND (?3 IS NULL OR state = ?3) "
            "AND (?4 IS NULL OR requester = ?4) ORDER BY task LIMIT ?5",
            *(committee, after or b"", state, requester, min(count_max, READ_COUNT_MAX)),
        )
        return [TaskRow(*row[1:]) for row in rows]

    async def read_prices(self, committee: bytes, capability: bytes, count_max: int) -> list[int]:
        """What the winners of the newest awarded tasks of a capability are paid."""
        rows = await self._fetch(
            "SELECT price FROM tasks WHERE committee = ? AND capability = ? AND price IS NOT NULL "
            "ORDER BY opened_ms DESC LIMIT ?",
            *(committee, capability, min(count_max, READ_COUNT_MAX)),
        )
        return [row[0] for row in rows]

    async def find_tasks(self, committee: bytes, prefix: str) -> list[TaskRow]:
        """At most two tasks whose id in hex begins with `prefix`."""
        rows = await self._fetch(
            "SELECT * FROM tasks WHERE committee = ? AND task BETWEEN ? AND ? LIMIT 2",
            *(committee, *compute_id_range(prefix)),
        )
        return [TaskRow(*row[1:]) for row in rows]

    async def read_tasks_open(self, committee: bytes) -> list[TaskRow]:
        """All tasks that have not ended; bounded by `Parameters.tasks_open_max`."""
        rows = await self._fetch(
            "SELECT * FROM tasks WHERE committee = ? AND state NOT IN "
            f"({_make_marks(ENDED_STATES)})",
            *(committee, *ENDED_STATES),
        )
        return [TaskRow(*row[1:]) for row in rows]

    async def get_auction(self, committee: bytes, auction: bytes) -> AuctionRow | None:
        sql = "SELECT * FROM auctions WHERE committee = ? AND auction = ?"
        rows = await self._fetch(sql, committee, auction)
        return AuctionRow(*rows[0][1:]) if rows else None

    async def read_auctions(
        self,
        committee: bytes,
        *,
        count_max: int,
        after: bytes | None = None,
        state: str | None = None,
        opener: bytes | None = None,
    ) -> list[AuctionRow]:
        """General auctions in order of their id; `after` is the last id of the page before."""
        rows = await self._fetch(
            "SELECT * FROM auctions WHERE committee = ? AND auction > ? "
            "AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR opener = ?4) "
            "ORDER BY auction LIMIT ?5",
            *(committee, after or b"", state, opener, min(count_max, READ_COUNT_MAX)),
        )
        return [AuctionRow(*row[1:]) for row in rows]

    async def find_auctions(self, committee: bytes, prefix: str) -> list[AuctionRow]:
        """At most two general auctions whose id in hex begins with `prefix`."""
        rows = await self._fetch(
            "SELECT * FROM auctions WHERE committee = ? AND auction BETWEEN ? AND ? LIMIT 2",
            *(committee, *compute_id_range(prefix)),
        )
        return [AuctionRow(*row[1:]) for row in rows]

    async def read_auctions_open(self, committee: bytes) -> list[AuctionRow]:
        """All that have not ended; bounded by `Parameters.auctions_open_max`."""
        rows = await self._fetch(
            "SELECT * FROM auctions WHERE committee = ? AND state NOT IN "
            f"({_make_marks(auctions.ENDED_STATES)})",
            *(committee, *auctions.ENDED_STATES),
        )
        return [AuctionRow(*row[1:]) for row in rows]

    async def read_balances(
        self, committee: bytes, *, account: bytes | None = None
    ) -> dict[tuple[bytes, str], int]:
        """Balances that are not zero, by (account, bucket), of one account or of all."""
        rows = await self._fetch(
            "SELECT account, bucket, amount FROM balances WHERE committee = ?1 "
            "AND (?2 IS NULL OR account = ?2) AND amount != 0 ORDER BY account, bucket",
            *(committee, account),
        )
        return {(row[0], row[1]): row[2] for row in rows}

    async def read_log_authors(self) -> list[tuple[bytes, int]]:
        """Authors of peers' logs, each with its last position."""
        rows = await self._fetch(
            "SELECT author, max(position) FROM log_entries GROUP BY author ORDER BY author"
        )
        return [(row[0], row[1]) for row in rows]

    async def read_log(
        self, author: bytes, start: int, *, count_max: int
    ) -> list[tuple[log.Entry, bytes]]:
        """Entries of a peer's log from `start` on, each with the proof of its head."""
        rows = await self._fetch(
            "SELECT data, proof FROM log_entries WHERE author = ? AND position >= ? "
            "ORDER BY position LIMIT ?",
            *(author, start, min(count_max, READ_COUNT_MAX)),
        )
        try:
            return [
                (schema.decode(row[0], log.Entry, size_max=LOG_ENTRY_BYTES_MAX), row[1])
                for row in rows
            ]
        except EconodeError as error:
            raise LedgerError(f"log_entries of {author.hex()[:16]} are damaged: {error}") from None

    async def read_forks(self) -> list[tuple[bytes, int, bytes]]:
        """All fork proofs: author, position, proof."""
        rows = await self._fetch("SELECT author, position, data FROM forks ORDER BY 1, 2")
        return [(row[0], row[1], row[2]) for row in rows]

    async def read_evidence(self, *, count_max: int) -> list[tuple[bytes, bytes, int]]:
        """Evidence in the order in which it came: offence, bytes, when it was seen."""
        rows = await self._fetch(
            "SELECT id, data, seen_ms FROM evidence ORDER BY rowid LIMIT ?", count_max
        )
        return [(row[0], row[1], row[2]) for row in rows]

    async def read_entry_time(self, committee: bytes, position: int) -> int | None:
        """The agreed time of the committee's entry at `position`, if that is held."""
        header = await self._read_header(committee, position)
        return None if header is None else header.time_ms

    async def read_fundings(self, *, only_open: bool, count_max: int) -> list[bytes]:
        """The last fundings, the oldest of them first."""
        rows = await self._fetch(
            "SELECT data FROM fundings WHERE is_open OR NOT ?1 ORDER BY rowid DESC LIMIT ?2",
            *(int(only_open), min(count_max, READ_COUNT_MAX)),
        )
        return [row[0] for row in reversed(rows)]

    async def read_answer(self, key: str) -> tuple[bytes, int, str, bytes] | None:
        """Of an idempotency key: its request's digest; status, media type, body of its answer."""
        rows = await self._fetch(
            "SELECT request, status, media, body FROM answers WHERE key = ?", key
        )
        return tuple(rows[0]) if rows else None

    async def read_bids_open(self, *, count_max: int) -> list[bytes]:
        """Notes of bids in auctions that have not ended, the oldest first."""
        rows = await self._fetch(
            "SELECT data FROM bids WHERE is_open AND want != ? ORDER BY rowid LIMIT ?",
            *(REPORT, min(count_max, READ_COUNT_MAX)),
        )
        return [row[0] for row in rows]

    async def read_reports_open(self, *, count_max: int) -> list[bytes]:
        """Notes of reports on terms that have not ended, the oldest first."""
        rows = await self._fetch(
            "SELECT data FROM bids WHERE is_open AND want = ? ORDER BY rowid LIMIT ?",
            *(REPORT, min(count_max, READ_COUNT_MAX)),
        )
        return [row[0] for row in rows]

    async def read_bids_won(self) -> dict[str, int]:
        """Lots won in auctions that have ended, by what they were wanted for."""
        return dict(await self._fetch("SELECT want, sum(won) FROM bids GROUP BY want"))

    async def _load_batch(self, committee: bytes, row: Any) -> ExecutedBatch:
        position, digest, time_ms, operations, proof, *entry = row
        header = log.Header(committee, position, *entry)
        items = tuple(await self._read_items(committee, position))
        return ExecutedBatch(
            *(committee, position, digest, time_ms, decode_list(operations), decode_list(proof)),
            log.Entry(header, items),
        )

    async def _read_items(self, committee: bytes, position: int) -> list[bytes]:
        rows = await self._fetch(
            "SELECT data FROM records WHERE committee = ? AND position = ? ORDER BY item",
            *(committee, position),
        )
        return [row[0] for row in rows]

    async def _read_header(self, committee: bytes, position: int) -> log.Header | None:
        rows = await self._fetch(
            "SELECT previous, time_ms, root FROM entries WHERE committee = ? AND position = ?",
            *(committee, position),
        )
        return log.Header(committee, position, *rows[0]) if rows else None

    async def _fetch(self, sql: str, *parameters: Any) -> list[Any]:
        return list(await self._run_asyncio(self._reader.execute_fetchall, sql, parameters))


def _make_marks(values: Sequence[object]) -> str:
    """A question mark for each value of an SQL list."""
    return ", ".join("?" * len(values))

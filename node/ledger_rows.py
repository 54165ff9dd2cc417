"""What the ledger stores, and the rows it becomes. Pure: no database here."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import cbor2
import msgspec

from crdt import log
from crdt.auctions import AuctionRow, get_subject
from crdt.facts import Fact, decode_fact
from crdt.tasks import TaskRow
from identity import cbor, schema
from identity.errors import EconodeError
from node.projections import (
    Projection,
    compute_deltas,
    list_accounts,
    project_auctions,
    project_tasks,
)

CHAIN_START = bytes(32)
"""The record hash before a committee's first record."""


class LedgerError(EconodeError):
    """The ledger cannot be opened, read or written; the message says what to do."""


def compute_id_range(prefix: str) -> tuple[bytes, bytes]:
    """The least and the greatest id of 32 bytes whose hex begins with `prefix`, which an index
    finds; for what is no hex a range without ids."""
    if len(prefix) > 64 or set(prefix.lower()) - set("0123456789abcdef"):
        return b"\x01", b"\x00"
    return bytes.fromhex(prefix.ljust(64, "0")), bytes.fromhex(prefix.ljust(64, "f"))


@dataclass(frozen=True, slots=True)
class ExecutedBatch:
    """A batch that its committee ordered and this node executed.

    `operations` are whole signed statements in order of execution, `proof` the q COMMIT
    statements over `digest`, `entry` the facts with their header in the committee's log.
    `time_ms` is the proposed time, which `digest` covers; the agreed time stands in the header
    and is later where the proposal would have gone back.
    Position 0 is genesis: it has no operations and no proof.
    """

    committee: bytes
    position: int
    digest: bytes
    time_ms: int
    operations: tuple[bytes, ...]
    proof: tuple[bytes, ...]
    entry: log.Entry
    facts: tuple[Fact, ...] | None = field(default=None, compare=False, repr=False)
    """What the entry's items hold, when whoever made the batch has them decoded."""

    def count_bytes(self) -> int:
        return sum(map(len, (*self.operations, *self.proof, *self.entry.items)))

    def check(self) -> None:
        """Raise LedgerError unless the entry belongs to the batch."""
        header = self.entry.header
        place = (header.author, header.position)
        if place != (self.committee, self.position) or header.time_ms < self.time_ms:
            raise LedgerError(f"the entry of batch {self.position} is of another place or time")


def make_genesis_batch(network: bytes, entry: log.Entry) -> ExecutedBatch:
    """Position 0 of a committee's log: what the genesis minted. The network id proves it."""
    header = entry.header
    return ExecutedBatch(header.author, 0, network, header.time_ms, (), (), entry)


@dataclass(frozen=True, slots=True)
class FactRow:
    """A fact where it stands: `item` is its index in the entry at `position`."""

    committee: bytes
    position: int
    item: int
    time_ms: int
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class FactProof:
    """Shows a fact to anyone: `path` leads from `data` to `header.root`; the certificate, where
    one is there yet, proves the header's hash."""

    data: bytes
    item: int
    count: int
    path: tuple[bytes, ...]
    header: log.Header
    certificate: bytes | None


@dataclass(slots=True)
class CommitteeTip:
    """Where a committee's log ends, and what its next rows depend on."""

    position: int
    head: bytes
    record_hash: bytes
    tasks: Projection[TaskRow] = field(default_factory=project_tasks)
    auctions: Projection[AuctionRow] = field(default_factory=project_auctions)


def get_kind(fact: Fact) -> str:
    return str(type(fact).__struct_config__.tag)


def chain_record(previous: bytes, committee: bytes, position: int, item: int, data: bytes) -> bytes:
    """The hash of a record's row. Kind and task stand in `data`."""
    fields = cbor2.dumps([committee, position, item, data], canonical=True)
    return hashlib.sha256(previous + fields).digest()


def encode_list(items: Sequence[bytes]) -> bytes:
    return cbor.encode(list(items))


def decode_list(data: bytes) -> tuple[bytes, ...]:
    """The byte strings of our own array. Raises LedgerError."""
    try:
        return msgspec.convert(cbor2.loads(data), tuple[bytes, ...], builtin_types=(bytes,))
    except (cbor2.CBORError, msgspec.ValidationError, ValueError) as error:
        raise LedgerError(f"a damaged list of statements: {error}") from None


def build_row(committee: bytes, row: TaskRow | AuctionRow) -> tuple[Any, ...]:
    return (committee, *msgspec.structs.astuple(row))


INSERTS = {
    "batches": "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?)",
    "entries": "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)",
    "records": "INSERT INTO records VALUES (?, ?, ?, ?, ?, ?, ?)",
    "record_accounts": "INSERT INTO record_accounts VALUES (?, ?, ?, ?)",
    "tasks": f"INSERT OR REPLACE INTO tasks VALUES ({', '.join('?' * 24)})",
    "auctions": f"INSERT OR REPLACE INTO auctions VALUES ({', '.join('?' * 15)})",
    "chunks": "INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?)",
    "certificates": "INSERT OR IGNORE INTO certificates VALUES (?, ?, ?)",
    "log_entries": "INSERT OR IGNORE INTO log_entries VALUES (?, ?, ?, ?)",
    "forks": "INSERT OR IGNORE INTO forks VALUES (?, ?, ?)",
    "evidence": "INSERT OR IGNORE INTO evidence VALUES (?, ?, ?)",
    "fundings": "INSERT INTO fundings VALUES (?, ?, ?) "
    "ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, data = excluded.data",
    "bids": "INSERT INTO bids VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
    "is_open = excluded.is_open, won = excluded.won, data = excluded.data",
    "balances": "INSERT OR IGNORE INTO balances VALUES (?, ?, ?, 0)",
}
_ADD_TO_BALANCE = (
    "UPDATE balances SET amount = amount + ? WHERE committee = ? AND account = ? AND bucket = ?"
)


@dataclass(slots=True)
class Rows:
    """The rows of one transaction, by table."""

    tables: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    deltas: dict[tuple[bytes, bytes, str], int] = field(default_factory=dict)
    statements: list[tuple[str, list[tuple[Any, ...]]]] = field(default_factory=list)
    """Those of a job that stands alone, or that may stand before all rows."""

    def add(self, table: str, *rows: tuple[Any, ...]) -> None:
        self.tables.setdefault(table, []).extend(rows)

    def add_batch(self, batch: ExecutedBatch, tip: CommitteeTip) -> None:
        """The rows of `batch`, which follows `tip`; moves `tip`."""
        committee, position, header = batch.committee, batch.position, batch.entry.header
        tip.position, tip.head = position, header.hash()
        operations, proof = encode_list(batch.operations), encode_list(batch.proof)
        self.add("batches", (committee, position, batch.digest, batch.time_ms, operations, proof))
        self.add(
            "entries",
            (committee, position, header.previous, header.time_ms, header.root, tip.head),
        )
        facts = batch.facts or tuple(map(decode_fact, batch.entry.items))
        for item, (fact, data) in enumerate(zip(facts, batch.entry.items, strict=True)):
            tip.record_hash = chain_record(tip.record_hash, committee, position, item, data)
            row = (committee, position, item, get_kind(fact), get_subject(fact), data)
            self.add("records", (*row, tip.record_hash))
            accounts = list_accounts(fact)
            self.add("record_accounts", *((committee, key, position, item) for key in accounts))
            tip.tasks.apply(fact, header.time_ms)
            tip.auctions.apply(fact, header.time_ms)
        self._add_projections(committee, facts, tip)

    def _add_projections(self, committee: bytes, facts: Sequence[Fact], tip: CommitteeTip) -> None:
        self.add("tasks", *(build_row(committee, row) for row in tip.tasks.take_changed()))
        self.add("auctions", *(build_row(committee, row) for row in tip.auctions.take_changed()))
        for (account, bucket), delta in compute_deltas(facts).items():
            key = (committee, account, bucket)
            self.deltas[key] = self.deltas.get(key, 0) + delta

    def list_statements(self) -> Iterable[tuple[str, list[tuple[Any, ...]]]]:
        """The SQL statements of the transaction with their parameters, in order."""
        yield from self.statements
        if self.deltas:
            self.add("balances", *self.deltas)
        for table, rows in self.tables.items():
            if rows:
                yield INSERTS[table], rows
        if self.deltas:
            yield _ADD_TO_BALANCE, [(delta, *key) for key, delta in self.deltas.items()]


def build_log_entry_row(entry: log.Entry, proof: bytes) -> tuple[Any, ...]:
    return (entry.header.author, entry.header.position, schema.encode(entry), proof)

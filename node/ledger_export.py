"""Logs out of this node's ledger file into one that others can check: see `protocols/archive.py`.

Reads one snapshot of the ledger, running node or not, and writes a file that is whole or not there.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from crdt import log
from identity import schema
from identity.errors import EconodeError
from node.files import open_atomic
from node.ledger_file import damaged, open_readonly, walk_formed
from node.ledger_read import LOG_ENTRY_BYTES_MAX
from node.ledger_rows import decode_list
from node.problem import Problem, not_found
from protocols.archive import (
    COMMITTEES_MAX,
    VERSION,
    AnyRecord,
    BatchRecord,
    CertificateRecord,
    ChunkRecord,
    EntryRecord,
    ForkRecord,
    LogsHeader,
    RecordWriter,
    StateRecord,
)
from protocols.genesis import MAIN_COMMITTEE, compute_committee_id


@dataclass(slots=True)
class Exported:
    """What a file was given."""

    bytes: int = 0
    committees: int = 0
    batches: int = 0
    certificates: int = 0
    states: int = 0
    entries: int = 0
    forks: int = 0

    def count(self, record: AnyRecord) -> None:
        match record:
            case BatchRecord():
                self.batches += 1
            case CertificateRecord():
                self.certificates += 1
            case StateRecord():
                self.states += 1
            case EntryRecord():
                self.entries += 1
            case ForkRecord():
                self.forks += 1


def export_logs(
    ledger: Path,
    network: bytes,
    target: Path,
    *,
    committee: bytes | None = None,
    author: bytes | None = None,
) -> Exported:
    """Write the logs of the ledger to `target`: all, those that prove one `committee`, which are
    its own and those of the committees that it was formed below, or one peer's. Raises Problem."""
    done = Exported()
    with open_readonly(ledger) as connection:
        connection.execute("BEGIN")  # one state of the file for all the questions
        try:
            source = _Source(connection, ledger, network)
            header = source.make_header(committee, author)
            done.committees = len(header.committees)
            with open_atomic(target) as file:
                writer = RecordWriter()
                done.bytes += file.write(writer.encode(header))
                for record in source.list_records(header):
                    done.bytes += file.write(writer.encode(record))
                    done.count(record)
                done.bytes += file.write(writer.encode_end())
        except (EconodeError, TypeError) as error:
            if isinstance(error, Problem):
                raise
            raise damaged(ledger, str(error)) from None
    return done


class _Source:
    def __init__(self, connection: sqlite3.Connection, path: Path, network: bytes) -> None:
        self._connection, self._path, self._network = connection, path, network

    def make_header(self, committee: bytes | None, author: bytes | None) -> LogsHeader:
        peers: Literal["all", "one", "none"] = "all"
        if author is not None:
            peers, committees = "one", tuple[bytes, ...]()
            if not self._read("SELECT 1 FROM log_entries WHERE author = ? LIMIT 1", author):
                raise not_found("log", author.hex(), "nothing of that peer's is held here")
        else:
            committees = self._list_committees(committee)
            peers = "all" if committee is None else "none"
        if len(committees) > COMMITTEES_MAX:
            raise Problem(
                "too-many-committees",
                f"more than {COMMITTEES_MAX} committees",
                remedy="export them one by one: --committee NAME",
            )
        return LogsHeader("econode/logs", VERSION, self._network, committees, peers, author)

    def list_records(self, header: LogsHeader) -> Iterator[AnyRecord]:
        for committee in header.committees:
            yield from self._list_committee(committee)
        if header.peers == "none":
            return
        where = "" if header.author is None else "WHERE author = ?"
        values = () if header.author is None else (header.author,)
        for data, proof in self._connection.execute(
            f"SELECT data, proof FROM log_entries {where} ORDER BY author, position", values
        ):
            entry = schema.decode(data, log.Entry, size_max=LOG_ENTRY_BYTES_MAX)
            yield EntryRecord(entry, proof)
        for (data,) in self._connection.execute(
            f"SELECT data FROM forks {where} ORDER BY author, position", values
        ):
            yield ForkRecord(data)

    def _list_committees(self, wanted: bytes | None) -> tuple[bytes, ...]:
        """Those that the ledger holds, each after the one that formed it; or `wanted` and those
        above it."""
        main = compute_committee_id(self._network, MAIN_COMMITTEE)
        held = {row[0] for row in self._read("SELECT DISTINCT committee FROM batches")}
        parents: dict[bytes, bytes | None] = {main: None}
        for formed in walk_formed(self._connection, self._path, main):
            if formed.committee in held and formed.parent in parents:
                parents[formed.committee] = formed.parent
        if wanted is None:
            return (*parents, *sorted(held - parents.keys()))
        if wanted not in parents:
            raise Problem(
                "formation-not-held",
                "this ledger does not hold how that committee was formed, so nobody could check it",
                remedy="export everything, or from a node that holds the whole log",
            )
        line = [wanted]
        while (above := parents[line[0]]) is not None:
            line.insert(0, above)
        return tuple(line)

    def _list_committee(self, committee: bytes) -> Iterator[AnyRecord]:
        begins = self._read(
            "SELECT position, certificate, size, root, leaves FROM snapshots "
            "WHERE committee = ? AND kind = 'begin' ORDER BY position",
            committee,
        )
        rows = self._connection.execute(
            "SELECT b.position, b.digest, b.time_ms, b.operations, b.proof, e.previous, e.time_ms, "
            "e.root FROM batches b JOIN entries e USING (committee, position) "
            "WHERE b.committee = ? ORDER BY b.position",
            (committee,),
        )
        for position, digest, time_ms, operations, proof, *rest in rows:
            while begins and begins[0][0] < position:
                yield from self._list_state(committee, begins.pop(0))
            header = log.Header(committee, position, *rest)
            items = tuple(
                row[0]
                for row in self._read(
                    "SELECT data FROM records WHERE committee = ? AND position = ? ORDER BY item",
                    *(committee, position),
                )
            )
            lists = (decode_list(operations), decode_list(proof))
            yield BatchRecord(digest, time_ms, *lists, log.Entry(header, items))
            yield from self._list_certificates(committee, position)
        for begin in begins:
            yield from self._list_state(committee, begin)

    def _list_state(self, committee: bytes, row: Any) -> Iterator[AnyRecord]:
        yield StateRecord(committee, *row)
        for (data,) in self._connection.execute(
            "SELECT data FROM chunks WHERE committee = ? AND position = ? ORDER BY item",
            (committee, row[0]),
        ):
            yield ChunkRecord(data)
        yield from self._list_certificates(committee, row[0])

    def _list_certificates(self, committee: bytes, position: int) -> Iterator[AnyRecord]:
        for (data,) in self._read(
            "SELECT data FROM certificates WHERE committee = ? AND position = ?",
            *(committee, position),
        ):
            yield CertificateRecord(committee, position, data)

    def _read(self, sql: str, *values: object) -> list[Any]:
        return self._connection.execute(sql, values).fetchall()

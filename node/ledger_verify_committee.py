"""The part of the ledger's check that is about one committee: see `node.ledger_verify`."""

import sqlite3
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, Protocol

from crdt import auctions, log, tasks
from crdt.auctions import AuctionRow, get_auction, get_subject
from crdt.facts import CommitteeFormed, Fact, decode_fact
from crdt.heads import PROOF_BYTES_MAX, Prover
from crdt.stake import StakeView, Unbalanced
from crdt.tasks import TaskRow, get_task
from identity import cbor
from identity.envelope import Statement
from identity.errors import EconodeError, InvalidBytes, InvalidSchema
from node.ledger_rows import CHAIN_START, build_row, chain_record, get_kind
from node.ledger_verify_states import StateCheck
from node.projections import list_accounts
from protocols.committee import Committee, make_epochs
from protocols.messages import compute_batch_digest
from protocols.pbft.application import Application
from protocols.pbft.pool import Request
from protocols.pbft.proof import check_commit_proof
from protocols.requests import parse_request

LIST_BYTES_MAX = 64 * 1024 * 1024

Row = tuple[Any, ...]
Found = tuple[Row | None, Row | None, list[Row] | None]
"""A batch, an entry and the records of one position."""


class Reporter(Protocol):
    """The report as this part sees it."""

    batches: int
    operations: int
    records: int
    certificates: int
    position: int
    head: bytes

    def note_held(self, position: int) -> None: ...

    def add(self, table: str, row: str, problem: str) -> None: ...


class Replay(Application, Protocol):
    genesis_entry: log.Entry

    def list_formed(self) -> list[tuple[int, CommitteeFormed]]: ...


class CommitteeCheck:
    """Checks one committee's rows; `stake` and `formed` are folds over its stored facts."""

    def __init__(
        self, connection: sqlite3.Connection, committee: Committee, report: Reporter
    ) -> None:
        self.stake = StakeView()
        self.formed: list[tuple[int, CommitteeFormed]] = []
        """Committees that this one formed, each with the position of its fact."""
        self._connection = connection
        self._committee = committee
        self.committees = [committee]
        """Of every epoch that the replay has reached, the last one at work."""
        self._report = report
        self._hash = CHAIN_START
        self._tasks: dict[bytes, TaskRow] = {}
        self._auctions: dict[bytes, AuctionRow] = {}
        self._accounts = 0
        self._states = StateCheck(connection, self.committees, self._add)

    def run(self, application: Replay) -> None:
        """Check everything of the committee; findings go to the report. Raises
        UnsupportedSemantics where this program cannot judge what follows."""
        with (
            closing(self._read("batches", "position, digest, time_ms, operations, proof")) as b,
            closing(self._read("entries", "position, previous, time_ms, root, hash")) as e,
            closing(
                self._read("records", "position, item, kind, task, data, hash", "item")
            ) as records,
        ):
            expected, previous = self._check_positions(application, _join(b, e, _group(records)))
        last = self._states.find_begin(expected)
        begun = None if last is None else self._begin(last, application)
        if last is not None and begun is not None:
            expected, previous = last + 1, begun
        self._states.finish()
        self._report.position, self._report.head = expected - 1, previous
        self._check_certificates()
        self._check_projections()

    def _check_positions(
        self, application: Replay, positions: Iterator[tuple[int, Found]]
    ) -> tuple[int, bytes]:
        """The position after the last one, and the head there."""
        replay: Replay | None = application
        expected, previous = 0, log.GENESIS_PREVIOUS
        for position, found in positions:
            if position != expected:
                begun = self._begin(position - 1, application)
                if begun is None:
                    self._add("entries", f"{expected}", f"missing; the next position is {position}")
                replay, previous = (None, previous) if begun is None else (application, begun)
            expected = position + 1
            batch, entry, rows = found
            items = self._check_records(position, rows or [])
            previous = self._check_entry(position, entry, previous, items)
            outcome = self._replay(replay, position, self._check_batch(position, batch), batch)
            if outcome is None:
                replay = None
            else:
                self._compare(position, outcome, entry, items)
            time_ms = entry[2] if entry else 0
            for item, data in enumerate(items):
                self._fold(position, item, data, time_ms)
            self._states.compare(position, replay)
            self._report.note_held(position)
        return expected, previous

    def _begin(self, position: int, application: Replay) -> bytes | None:
        """Go on behind a fetched state: the head there, or None where none is proven."""
        checkpoint = self._states.begin(position, application)
        if checkpoint is None:
            return None
        self._note_epoch(application)
        self.formed = application.list_formed()
        self._hash = self._states.get_chain_start(position, checkpoint)
        self.stake = StakeView()
        self.stake.restore(application.list_balances(), ())
        done = {id_: row for id_, row in self._tasks.items() if row.state in tasks.ENDED_STATES}
        self._tasks = done | {row.task: row for row in application.list_tasks()}
        states = auctions.ENDED_STATES
        over = {id_: row for id_, row in self._auctions.items() if row.state in states}
        self._auctions = over | {row.auction: row for row in application.list_auctions()}
        return checkpoint.head

    def _read(
        self, table: str, columns: str, order: str = "position"
    ) -> Generator[Row, None, None]:
        yield from self._connection.execute(
            f"SELECT {columns} FROM {table} WHERE committee = ? ORDER BY position, {order}",
            (self._committee.id,),
        )

    def _add(self, table: str, row: str, problem: str) -> None:
        self._report.add(table, f"{self._committee.id.hex()[:16]}/{row}", problem)

    def _check_records(self, position: int, rows: list[Row]) -> list[bytes]:
        """The items of the entry at `position`."""
        items: list[bytes] = []
        for _, item, kind, task, data, digest in rows:
            self._report.records += 1
            row = f"{position}/{item}"
            if item != len(items):
                self._add("records", row, f"item {len(items)} is missing before it")
            chained = chain_record(self._hash, self._committee.id, position, item, data)
            if chained != digest:
                self._add("records", row, "its hash does not chain it to the row before")
            self._hash = digest
            items.append(data)
            try:
                fact = decode_fact(data)
            except InvalidBytes as error:
                self._add("records", row, f"not a fact: {error}")
                continue
            if (kind, task) != (get_kind(fact).encode(), get_subject(fact)):
                self._add("records", row, "its kind or task is not that of the fact")
        return items

    def _check_entry(
        self, position: int, entry: Row | None, previous: bytes, items: list[bytes]
    ) -> bytes:
        """The hash that the next entry links to."""
        if entry is None:
            self._add("entries", f"{position}", "missing")
            return previous
        _, linked, time_ms, root, digest = entry
        header = log.Header(self._committee.id, position, linked, time_ms, root)
        if linked != previous:
            self._add("entries", f"{position}", "does not link to the entry before")
        if header.hash() != digest:
            self._add("entries", f"{position}", "its hash is not that of its header")
        if log.compute_root(items) != root:
            self._add("entries", f"{position}", "its root is not that of its records")
        return bytes(digest)

    def _check_batch(self, position: int, batch: Row | None) -> list[Request] | None:
        """The batch's operations, or None when it cannot be executed."""
        if batch is None:
            self._add("batches", f"{position}", "missing")
            return None
        self._report.batches += 1
        _, digest, time_ms, operations, proof = batch
        try:
            loaded = [self._load(data) for data in _decode_list(operations)]
            statements = _decode_list(proof)
            if position == 0:
                if (digest, loaded, statements) != (self._committee.network, [], []):
                    raise InvalidSchema("position 0 is not the genesis of this network")
                return loaded
            if digest != compute_batch_digest(time_ms, [request.digest for request in loaded]):
                raise InvalidSchema("its digest is not that of its operations and time")
            check_commit_proof(self._committee, position, digest, statements, self._check)
        except EconodeError as error:
            self._add("batches", f"{position}", str(error))
            return None
        self._report.operations += len(loaded)
        return loaded

    def _load(self, data: bytes) -> Request:
        request, statement = parse_request(data, self._committee)
        self._check(statement)
        return request

    def _check(self, statement: Statement) -> None:
        statement.check(self._committee.network)

    def _replay(
        self,
        application: Replay | None,
        position: int,
        requests: list[Request] | None,
        batch: Row | None,
    ) -> log.Entry | None:
        """The entry that executing the batch gives; None once the replay had to stop."""
        if application is None:
            return None
        if requests is None or batch is None:
            self._add("batches", f"{position}", "the replay stops here")
            return None
        if position == 0:
            if batch[2] != application.genesis_entry.header.time_ms:
                self._add("batches", "0", "its time is not that of the genesis")
            return application.genesis_entry
        entry = application.execute(position, batch[2], batch[1], requests).entry
        self._note_epoch(application)
        return entry

    def _note_epoch(self, application: Replay) -> None:
        if application.get_committee().epoch != self._committee.epoch:
            self._committee = application.get_committee()
            self.committees.append(self._committee)

    def _compare(
        self, position: int, outcome: log.Entry, entry: Row | None, items: list[bytes]
    ) -> None:
        if len(outcome.items) != len(items):
            problem = f"{len(items)} records, the replay gives {len(outcome.items)}"
            self._add("records", f"{position}", problem)
        for item, (stored, replayed) in enumerate(zip(items, outcome.items, strict=False)):
            if stored != replayed:
                self._add("records", f"{position}/{item}", "the replay gives another fact")
        header = outcome.header
        if entry is not None and entry[1:] != (
            *(header.previous, header.time_ms, header.root, header.hash()),
        ):
            self._add("entries", f"{position}", "the replay gives another entry")

    def _fold(self, position: int, item: int, data: bytes, time_ms: int) -> None:
        try:
            fact = decode_fact(data)
            self.stake.apply(fact)
        except InvalidBytes:
            return  # reported above
        except Unbalanced as error:
            self._add("records", f"{position}/{item}", f"moves credits that are not there: {error}")
        if isinstance(fact, CommitteeFormed):
            self.formed.append((position, fact))
        task = get_task(fact)
        if task is not None:
            row = tasks.fold_task(self._tasks.get(task), fact, time_ms)
            if row is not None:
                self._tasks[task] = row
        auction = get_auction(fact)
        if auction is not None:
            found = auctions.fold_auction(self._auctions.get(auction), fact, time_ms)
            if found is not None:
                self._auctions[auction] = found
        self._check_accounts(position, item, fact)

    def _check_accounts(self, position: int, item: int, fact: Fact) -> None:
        for account in list_accounts(fact):
            self._accounts += 1
            key = (self._committee.id, account, position, item)
            found = self._connection.execute(
                "SELECT 1 FROM record_accounts WHERE committee = ? AND account = ? "
                "AND position = ? AND item = ?",
                key,
            ).fetchone()
            if found is None:
                self._add("record_accounts", f"{account.hex()[:16]}/{position}/{item}", "missing")

    def _check_certificates(self) -> None:
        committee = self._committee
        prover = Prover(committee.network, {committee.id: make_epochs(self.committees)})
        for position, data in self._read("certificates", "position, data"):
            self._report.certificates += 1
            found = self._connection.execute(
                "SELECT hash FROM entries WHERE committee = ? AND position = ?",
                (committee.id, position),
            ).fetchone()
            if found is None and position in self._states.heads:
                found = (self._states.heads[position],)
            try:
                if found is None or len(data) > PROOF_BYTES_MAX:
                    raise InvalidSchema("it certifies no entry of this ledger")
                prover.check(log.Head(committee.id, position, found[0]), data)
            except EconodeError as error:
                self._add("certificates", f"{position}", str(error))

    def _check_projections(self) -> None:
        committee = self._committee.id
        stored = {
            (row[0], row[1].decode(errors="replace")): row[2]
            for row in self._connection.execute(
                "SELECT account, bucket, amount FROM balances WHERE committee = ? "
                "AND amount IS NOT 0",
                (committee,),
            )
        }
        for (account, bucket), amount in stored.items() ^ self.stake.balances().items():
            self._add("balances", f"{account.hex()[:16]}/{bucket}", f"{amount} on one side only")
        self._check_rows("tasks", TaskRow, self._tasks.values())
        self._check_rows("auctions", AuctionRow, self._auctions.values())
        (count,) = self._connection.execute(
            "SELECT count(*) FROM record_accounts WHERE committee = ?", (committee,)
        ).fetchone()
        if count != self._accounts:
            self._add("record_accounts", "all", f"{count} rows instead of {self._accounts}")

    def _check_rows(
        self,
        table: str,
        kind: type[TaskRow] | type[AuctionRow],
        expected: Iterable[TaskRow | AuctionRow],
    ) -> None:
        committee = self._committee.id
        columns = ", ".join(kind.__struct_fields__)
        rows = self._connection.execute(
            f"SELECT committee, {columns} FROM {table} WHERE committee = ?", (committee,)
        )
        folded = {
            tuple(each.encode() if isinstance(each, str) else each for each in row)
            for row in (build_row(committee, each) for each in expected)
        }
        for row in set(rows) ^ folded:
            self._add(table, row[1].hex()[:16], "not what the records say")


def _decode_list(data: bytes) -> list[bytes]:
    value = cbor.decode(data, size_max=LIST_BYTES_MAX)
    if not isinstance(value, list) or not all(isinstance(item, bytes) for item in value):
        raise InvalidSchema("not a list of statements")
    return value


def _group(rows: Iterator[Row]) -> Iterator[tuple[int, list[Row]]]:
    """Rows by their first column, which ascends."""
    group: list[Row] = []
    for row in rows:
        if group and row[0] != group[0][0]:
            yield group[0][0], group
            group = []
        group.append(row)
    if group:
        yield group[0][0], group


def _join(
    batches: Iterator[Row], entries: Iterator[Row], records: Iterator[tuple[int, list[Row]]]
) -> Iterator[tuple[int, Found]]:
    """Rows of one position together, in ascending order; what is missing is None."""
    batch, entry, record = next(batches, None), next(entries, None), next(records, None)
    while batch is not None or entry is not None or record is not None:
        position = min(row[0] for row in (batch, entry, record) if row is not None)
        has = [row is not None and row[0] == position for row in (batch, entry, record)]
        yield (
            position,
            (
                batch if has[0] else None,
                entry if has[1] else None,
                record[1] if has[2] and record is not None else None,
            ),
        )
        batch = next(batches, None) if has[0] else batch
        entry = next(entries, None) if has[1] else entry
        record = next(records, None) if has[2] else record

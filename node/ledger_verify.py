"""Offline check of a ledger: everything in the file is proven again, from the genesis alone.

Hash chains, Merkle roots, each operation's signature, each commit proof and each certificate are
recomputed, all batches are executed again and their facts compared byte by byte, credits are
counted by a fold over the stored facts, and the projections are folded again. What does not fit
is reported by table and row. Whoever forges a whole ledger with keys of their own does not have
the keys of the members that the genesis names.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from crdt.heads import Prover
from crdt.log import Entry
from crdt.stake import StakeView
from node.ledger import check_network, check_version
from node.ledger_rows import LedgerError
from node.ledger_verify_committee import CommitteeCheck
from node.ledger_verify_logs import check_logs
from node.receipts import check_receipt
from protocols.committee import Committee, make_epochs
from protocols.economy.chain import Chain
from protocols.genesis import MAIN_COMMITTEE, Genesis, compute_committee_id
from protocols.pbft.application import Application

FINDINGS_MAX = 100
_DAMAGED = (sqlite3.Error, UnicodeDecodeError)  # the latter from messages about damaged names


class ReplayApplication(Application, Protocol):
    """An `Application` that starts at genesis, such as `protocols.economy.chain.Chain`."""

    genesis_entry: Entry


MakeApplication = Callable[[Genesis, Committee], ReplayApplication]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and where. `row` is the row's key in words, such as "main/12/3"."""

    table: str
    row: str
    problem: str


@dataclass(slots=True)
class Report:
    """What was checked and found. At most FINDINGS_MAX findings are kept, all are counted."""

    findings: list[Finding] = field(default_factory=list)
    problems: int = 0
    batches: int = 0
    operations: int = 0
    records: int = 0
    certificates: int = 0
    log_entries: int = 0
    is_conserved: bool = False
    position: int = -1
    epoch: int = 0
    head: bytes = b""
    totals: dict[str, int] = field(default_factory=dict)

    @property
    def is_valid(self) -> bool:
        return self.problems == 0 and self.is_conserved

    def describe(self) -> dict[str, Any]:
        """Plain data for a person or a program."""
        return {
            "valid": self.is_valid,
            "conserved": self.is_conserved,
            "position": self.position,
            "epoch": self.epoch,
            "head": self.head.hex(),
            "batches": self.batches,
            "operations": self.operations,
            "records": self.records,
            "certificates": self.certificates,
            "log_entries": self.log_entries,
            "totals": self.totals,
            "problems": self.problems,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def add(self, table: str, row: str, problem: str) -> None:
        self.problems += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(table, row, problem))


def make_chain(genesis: Genesis, committee: Committee) -> Chain:
    """What the nodes execute their batches on, at genesis."""
    return Chain(genesis, committee, partial(check_receipt, committee))


def verify_ledger(
    path: Path | str, genesis: Genesis, make_application: MakeApplication = make_chain
) -> Report:
    """Check the ledger at `path` against `genesis`; reads one snapshot and writes nothing.

    Raises LedgerError when the file is missing, no ledger, or of another network or version.
    """
    network = genesis.compute_network_id()
    committee_id = compute_committee_id(network, MAIN_COMMITTEE)
    committee = Committee(network, committee_id, 0, genesis.get_member_keys())
    report = Report()
    with closing(_open(path)) as connection:
        try:
            _check_file(connection, str(path), network)
            if not _check_pages(connection, report):
                return report  # the file itself is damaged: what it yields means nothing
            check = CommitteeCheck(connection, committee, report)
            check.run(make_application(genesis, committee))
            _report_strangers(connection, committee, report)
            report.epoch = check.committees[-1].epoch
            epochs = make_epochs(check.committees)
            check_logs(connection, Prover(network, {committee_id: epochs}), report)
            _finish(report, check.stake)
        except _DAMAGED as error:
            report.add("file", str(path), f"cannot be read: {error}")
    return report


def _open(path: Path | str) -> sqlite3.Connection:
    uri = Path(path).absolute().as_uri() + "?mode=ro"
    try:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    except sqlite3.Error as error:
        raise LedgerError(f"{path} cannot be opened: {error}") from None
    connection.text_factory = bytes  # damaged text must not stop the reading
    return connection


def _check_file(connection: sqlite3.Connection, path: str, network: bytes) -> None:
    try:
        application, version = (
            connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("application_id", "user_version")
        )
        check_version(path, application, version)
        connection.execute("BEGIN")  # one snapshot for all that follows
        owners = [row[0] for row in connection.execute("SELECT id FROM network")]
    except _DAMAGED as error:
        raise LedgerError(f"{path} cannot be read: {error}") from None
    check_network(path, owners, network)


def _check_pages(connection: sqlite3.Connection, report: Report) -> bool:
    """SQLite's own check: indexes against tables, and the types and checks of the schema."""
    for (line,) in connection.execute(f"PRAGMA integrity_check({FINDINGS_MAX})"):
        if line != b"ok":
            report.add("file", "integrity_check", line.decode(errors="replace"))
    return report.problems == 0


def _report_strangers(connection: sqlite3.Connection, committee: Committee, report: Report) -> None:
    for table, key in _list_tables():
        rows = connection.execute(
            f"SELECT committee, {key} FROM {table} WHERE committee IS NOT ?", (committee.id,)
        )
        for stranger, value in rows:
            report.add(table, f"{_show(stranger)}/{_show(value)}", "of an unknown committee")


def _list_tables() -> Iterator[tuple[str, str]]:
    for table in ("batches", "entries", "records", "certificates", "record_accounts"):
        yield table, "position"
    yield "tasks", "task"
    yield "balances", "account"


def _show(value: Any) -> str:
    return value.hex()[:16] if isinstance(value, bytes) else str(value)


def _finish(report: Report, stake: StakeView) -> None:
    report.totals = stake.totals()
    report.is_conserved = stake.is_conserved()
    if not report.is_conserved:
        report.add("records", "all", f"credits are not conserved: {report.totals}")

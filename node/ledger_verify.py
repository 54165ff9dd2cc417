"""Offline check of a ledger: everything in the file is proven again, from the genesis alone.

Hash chains, Merkle roots, each operation's signature, each commit proof and each certificate are
recomputed, all batches are executed again and their facts compared byte by byte, credits are
counted by a fold over the stored facts, and the projections are folded again. Behind a state that
was fetched instead of the batches before it, all of this begins anew with that state, which q
members certified. What does not fit is reported by table and row. A committee that was formed is
checked against the fact of its parent: its genesis follows from that, and what it mints must wait
in transit there. Whoever forges a whole ledger with keys of their own does not have the keys of the
members that the genesis names.
"""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from crdt.facts import CommitteeFormed
from crdt.heads import Prover, Voters
from crdt.log import Entry
from identity.errors import EconodeError
from node.ledger import check_network, check_version
from node.ledger_rows import LedgerError
from node.ledger_verify_committee import CommitteeCheck
from node.ledger_verify_logs import check_evidence, check_logs
from node.receipts import check_receipt
from protocols.committee import Committee, make_epochs
from protocols.economy.chain import Chain
from protocols.economy.committees import derive_founding
from protocols.genesis import MAIN_COMMITTEE, Founding, Genesis
from protocols.pbft.application import Application

FINDINGS_MAX = 100
_DAMAGED = (sqlite3.Error, UnicodeDecodeError)  # the latter from messages about damaged names


class ReplayApplication(Application, Protocol):
    """An `Application` that starts at genesis, such as `protocols.economy.chain.Chain`."""

    genesis_entry: Entry

    def list_formed(self) -> list[tuple[int, CommitteeFormed]]: ...


MakeApplication = Callable[[Founding, Committee], ReplayApplication]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, and where. `row` is the row's key in words, such as "main/12/3"."""

    table: str
    row: str
    problem: str


@dataclass(slots=True)
class Part:
    """What was checked of one committee. `is_conserved`: its credits add up, and what it formed
    committees with is still in transit."""

    report: "Report"
    name: str
    id: bytes
    batches: int = 0
    operations: int = 0
    records: int = 0
    certificates: int = 0
    is_conserved: bool = False
    position: int = -1
    epoch: int = 0
    head: bytes = b""
    totals: dict[str, int] = field(default_factory=dict)
    held: list[tuple[int, int]] = field(default_factory=list)
    """First and last position of each stretch of the log."""

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "id": self.id.hex(),
            "conserved": self.is_conserved,
            "position": self.position,
            "epoch": self.epoch,
            "head": self.head.hex(),
            "batches": self.batches,
            "operations": self.operations,
            "records": self.records,
            "certificates": self.certificates,
            "held": [list(stretch) for stretch in self.held],
            "totals": self.totals,
        }

    def note_held(self, position: int) -> None:
        """The entry at `position` is here; positions ascend."""
        if self.held and self.held[-1][1] >= position - 1:
            self.held[-1] = (self.held[-1][0], position)
        else:
            self.held.append((position, position))

    def add(self, table: str, row: str, problem: str) -> None:
        self.report.add(table, row, problem)


@dataclass(slots=True)
class Report:
    """What was checked and found. At most FINDINGS_MAX findings are kept, all are counted.

    `parts` has one for each committee, the founding one's first; position, epoch, head and
    totals are that one's, and counts are of all.
    """

    findings: list[Finding] = field(default_factory=list)
    problems: int = 0
    log_entries: int = 0
    parts: list[Part] = field(default_factory=list)
    without_committees: bool = False
    """Of peers' logs alone: no credits are there that could be conserved."""

    @property
    def is_valid(self) -> bool:
        return self.problems == 0 and self.is_conserved

    @property
    def is_conserved(self) -> bool:
        is_complete = bool(self.parts) != self.without_committees
        return is_complete and all(part.is_conserved for part in self.parts)

    @property
    def position(self) -> int:
        return self.parts[0].position if self.parts else -1

    @property
    def epoch(self) -> int:
        return self.parts[0].epoch if self.parts else 0

    @property
    def head(self) -> bytes:
        return self.parts[0].head if self.parts else b""

    @property
    def held(self) -> list[tuple[int, int]]:
        return self.parts[0].held if self.parts else []

    @property
    def totals(self) -> dict[str, int]:
        return self.parts[0].totals if self.parts else {}

    @property
    def batches(self) -> int:
        return sum(part.batches for part in self.parts)

    @property
    def operations(self) -> int:
        return sum(part.operations for part in self.parts)

    @property
    def records(self) -> int:
        return sum(part.records for part in self.parts)

    @property
    def certificates(self) -> int:
        return sum(part.certificates for part in self.parts)

    def describe(self) -> dict[str, Any]:
        """Plain data for a person or a program."""
        return {
            "valid": self.is_valid,
            "conserved": self.is_conserved,
            "position": self.position,
            "epoch": self.epoch,
            "head": self.head.hex(),
            "held": [list(stretch) for stretch in self.held],
            "batches": self.batches,
            "operations": self.operations,
            "records": self.records,
            "certificates": self.certificates,
            "log_entries": self.log_entries,
            "totals": self.totals,
            "committees": [part.describe() for part in self.parts],
            "problems": self.problems,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def add(self, table: str, row: str, problem: str) -> None:
        self.problems += 1
        if len(self.findings) < FINDINGS_MAX:
            self.findings.append(Finding(table, row, problem))


def make_chain(genesis: Founding, committee: Committee) -> Chain:
    """What the nodes execute their batches on, at genesis."""
    return Chain(genesis, committee, partial(check_receipt, committee))


def verify_ledger(
    path: Path | str, genesis: Genesis, make_application: MakeApplication = make_chain
) -> Report:
    """Check the ledger at `path` against `genesis`; reads one snapshot and writes nothing.

    Raises LedgerError when the file is missing, no ledger, or of another network or version.
    """
    committee = genesis.make_committee()
    network = committee.network
    report = Report()
    with closing(_open(path)) as connection:
        try:
            _check_file(connection, str(path), network)
            if not _check_pages(connection, report):
                return report  # the file itself is damaged: what it yields means nothing
            walk = _Walk(connection, report, make_application)
            walk.check(MAIN_COMMITTEE, genesis, committee)
            _report_strangers(connection, set(walk.voters), report)
            check_logs(connection, Prover(network, walk.voters), report)
            check_evidence(connection, network, walk.find_committee, report)
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


class _Walk:
    """Checks a committee, then those that it formed and this ledger holds, and so on."""

    def __init__(
        self, connection: sqlite3.Connection, report: Report, make_application: MakeApplication
    ) -> None:
        self.voters: dict[bytes, tuple[Voters, ...]] = {}
        self._committees: dict[bytes, list[Committee]] = {}
        self._connection = connection
        self._report = report
        self._make_application = make_application

    def check(self, name: str, founding: Founding, committee: Committee) -> None:
        todo = [(name, founding, committee)]
        while todo:
            name, founding, committee = todo.pop(0)
            part = Part(self._report, name, committee.id)
            self._report.parts.append(part)
            check = CommitteeCheck(self._connection, committee, part)
            check.run(self._make_application(founding, committee))
            self.voters[committee.id] = make_epochs(check.committees)
            self._committees[committee.id] = check.committees
            _finish(part, check)
            prefix = "" if name == MAIN_COMMITTEE else f"{name}/"
            for position, fact in check.formed:
                if fact.committee not in self.voters and self._holds(fact.committee):
                    try:
                        derived = derive_founding(committee, position, fact, founding.parameters)
                    except (EconodeError, ValueError) as error:
                        part.add("records", f"{prefix}{fact.name}", f"no committee: {error}")
                    else:
                        todo.append((prefix + fact.name, *derived))

    def find_committee(self, committee: bytes, epoch: int) -> Committee | None:
        """The members of a committee that was checked."""
        known = self._committees.get(committee, ())
        return next((each for each in known if each.epoch == epoch), None)

    def _holds(self, committee: bytes) -> bool:
        rows = self._connection.execute(
            "SELECT 1 FROM batches WHERE committee = ? LIMIT 1", (committee,)
        )
        return rows.fetchone() is not None


def _report_strangers(
    connection: sqlite3.Connection, known: Collection[bytes], report: Report
) -> None:
    marks = ", ".join("?" * len(known))
    for table, key in _list_tables():
        rows = connection.execute(
            f"SELECT committee, {key} FROM {table} "
            f"WHERE committee IS NULL OR committee NOT IN ({marks})",
            tuple(known),
        )
        for stranger, value in rows:
            report.add(table, f"{_show(stranger)}/{_show(value)}", "of an unknown committee")


def _list_tables() -> Iterator[tuple[str, str]]:
    for table in (
        *("batches", "entries", "records", "certificates", "record_accounts"),
        *("snapshots", "chunks"),
    ):
        yield table, "position"
    yield "tasks", "task"
    yield "balances", "account"


def _show(value: Any) -> str:
    return value.hex()[:16] if isinstance(value, bytes) else str(value)


def _finish(part: Part, check: CommitteeCheck) -> None:
    part.epoch = check.committees[-1].epoch
    part.totals = check.stake.totals()
    abroad = sum(len(fact.members) * (fact.bond + fact.free) for _, fact in check.formed)
    part.is_conserved = check.stake.is_conserved() and part.totals["transit"] >= abroad
    if not part.is_conserved:
        part.add("records", part.name, f"credits are not conserved: {part.totals}")

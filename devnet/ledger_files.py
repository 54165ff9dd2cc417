"""Reading and proving nodes' ledger files, also while the nodes run."""

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

from crdt.facts import AnyFact, decode_fact
from devnet.history import History, HistoryEntry, Ordered
from devnet.invariants import Violation
from identity import envelope
from identity.envelope import STATEMENT_OVERHEAD_BYTES
from identity.errors import EconodeError
from node.ledger_rows import LedgerError, decode_list
from node.ledger_verify import verify_ledger
from node.receipts import check_receipt
from protocols.committee import Committee
from protocols.economy.chain import Chain
from protocols.economy.operations import OPERATION_BYTES_MAX, decode_operation
from protocols.genesis import Founding, Genesis

_BUSY_S = 5.0
_STATEMENT_BYTES_MAX = OPERATION_BYTES_MAX + STATEMENT_OVERHEAD_BYTES


class UnreadableLedger(EconodeError):
    """A ledger file that is missing, damaged or incomplete; the message says which and why."""


def read_history(path: Path, node: str, committee: bytes) -> History:
    """All that the file at `path` holds of a committee. Raises UnreadableLedger."""
    try:
        with closing(_open(path)) as connection:
            connection.execute("BEGIN")  # one snapshot, although the node may go on writing
            return History(node, committee, tuple(_read_entries(connection, committee)))
    except (sqlite3.Error, EconodeError) as error:
        raise UnreadableLedger(f"{path}: {error}") from None


def verify_file(path: Path, node: str, genesis: Genesis) -> Iterator[Violation]:
    """C1 and more: prove the file anew from the genesis alone, executing every batch again.

    The whole check of `econode ledger verify`. Raises UnreadableLedger.
    """
    try:
        report = verify_ledger(path, genesis, _make_chain)
    except LedgerError as error:
        raise UnreadableLedger(f"{path}: {error}") from None
    if not report.is_conserved:
        yield Violation("C1 conservation", node, f"the replayed ledger: {report.totals}")
    for finding in report.findings:
        detail = f"{finding.table} {finding.row}: {finding.problem}"
        yield Violation("S3 the ledger proves itself", node, detail)


def _make_chain(genesis: Founding, committee: Committee) -> Chain:
    return Chain(genesis, committee, partial(check_receipt, committee))


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None
    )


def _read_entries(connection: sqlite3.Connection, committee: bytes) -> Iterator[HistoryEntry]:
    found = _read_facts(connection, committee)
    rows = connection.execute(
        "SELECT e.position, b.digest, e.hash, e.time_ms, b.operations FROM entries e"
        " JOIN batches b ON b.committee = e.committee AND b.position = e.position"
        " WHERE e.committee = ? ORDER BY e.position",
        (committee,),
    )
    for position, digest, head, time_ms, operations in rows:
        ordered = tuple(_parse_operation(data) for data in decode_list(operations))
        facts = tuple(found.pop(position, ()))
        yield HistoryEntry(position, digest, head, time_ms, ordered, facts)
    if found:
        raise UnreadableLedger(f"records at position {min(found)} without an entry")


def _read_facts(connection: sqlite3.Connection, committee: bytes) -> dict[int, list[AnyFact]]:
    found: dict[int, list[AnyFact]] = {}
    rows = connection.execute(
        "SELECT position, data FROM records WHERE committee = ? ORDER BY position, item",
        (committee,),
    )
    for position, data in rows:
        found.setdefault(position, []).append(decode_fact(data))
    return found


def _parse_operation(data: bytes) -> Ordered:
    statement = envelope.parse(data, size_max=_STATEMENT_BYTES_MAX)
    nonce = decode_operation(statement.payload).nonce
    return Ordered(hashlib.sha256(data).digest(), statement.signer, nonce)

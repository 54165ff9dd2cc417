"""The part of the ledger's check that is about peers' logs and evidence: see
`node.ledger_verify`."""

import sqlite3
from typing import Protocol

from crdt import log
from crdt.heads import Prover, check_fork, get_head, is_peer
from identity import schema
from identity.errors import EconodeError, InvalidSchema
from node.ledger_read import LOG_ENTRY_BYTES_MAX
from protocols import evidence
from protocols.evidence import EVIDENCE_FILE_BYTES_MAX, Evidence, FindCommittee, UnknownMembers


class Reporter(Protocol):
    log_entries: int

    def add(self, table: str, row: str, problem: str) -> None: ...


def check_logs(connection: sqlite3.Connection, prover: Prover, report: Reporter) -> None:
    """Every entry is its author's, links to the one before, and every fork proof convicts."""
    tip: tuple[bytes, int, bytes] | None = None
    for author, position, data, proof in connection.execute(
        "SELECT author, position, data, proof FROM log_entries ORDER BY author, position"
    ):
        report.log_entries += 1
        row = f"{author.hex()[:16]}/{position}"
        if tip is None or tip[0] != author:
            tip = (author, -1, log.GENESIS_PREVIOUS)
        try:
            header = _check_entry(data, proof, prover)
        except EconodeError as error:
            report.add("log_entries", row, str(error))
            continue
        if (header.author, header.position) != (author, position):
            report.add("log_entries", row, "an entry of another author or position")
        elif (header.position, header.previous) != (tip[1] + 1, tip[2]):
            report.add("log_entries", row, "does not link to the entry before")
        tip = (author, position, header.hash())
    for author, position, data in connection.execute("SELECT author, position, data FROM forks"):
        try:
            fork = check_fork(data, prover)
            if (fork.author, fork.position) != (author, position):
                raise InvalidSchema("a fork of another author or position")
        except EconodeError as error:
            report.add("forks", f"{author.hex()[:16]}/{position}", str(error))


def check_evidence(
    connection: sqlite3.Connection, network: bytes, find: FindCommittee, report: Reporter
) -> None:
    """Every row proves the offence that it is kept for, as far as this ledger knows the members:
    those of a committee that this one borders stand in the border alone."""
    for id_, data in connection.execute("SELECT id, data FROM evidence"):
        try:
            told = schema.decode(data, Evidence, size_max=EVIDENCE_FILE_BYTES_MAX)
            try:
                claim = evidence.check(told, network, find)
            except UnknownMembers as unknown:
                claim = unknown.claim
            if claim.id != id_:
                raise InvalidSchema("evidence of another offence")
        except EconodeError as error:
            report.add("evidence", id_.hex()[:16], str(error))


def _check_entry(data: bytes, proof: bytes, prover: Prover) -> log.Header:
    entry = schema.decode(data, log.Entry, size_max=LOG_ENTRY_BYTES_MAX)
    if not is_peer(entry.header.author):
        raise InvalidSchema("a committee's entry among peers' logs")
    if log.compute_root(entry.items) != entry.header.root:
        raise InvalidSchema("the items are not those under the root")
    prover.check(get_head(entry.header), proof)
    return entry.header

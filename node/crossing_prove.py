"""What an `Import` carries, out of this node's ledger file: see `protocols/economy/borders.py`.

A border follows the epochs of the other committee, so a proof begins with the epoch that it knows
and shows the ends of those after it. Where they are more than one operation follows, a renewal
takes the border some of the way. Reads, writes nothing.
"""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from crdt.facts import Exported, decode_fact
from identity.certificate import Certificate
from identity.errors import EconodeError
from node.ledger_file import damaged, open_readonly
from node.ledger_prove import ProofReader
from node.problem import Problem
from protocols.economy.model import Border
from protocols.economy.operations import (
    IMPORT_EPOCHS_MAX,
    IMPORT_PROOF_BYTES_MAX,
    ITEMS_MAX,
    Crossing,
    Import,
)
from protocols.light import HEADERS_MAX, Bundle, ProvenEntry, encode_bundle
from protocols.messages import CERTIFICATE_BYTES_MAX

EXPORTS_READ_MAX = 20_000
"""Exports of a committee, the newest first, that are looked through for those of one border."""


def prove_import(
    path: Path, network: bytes, source: bytes, target: bytes, border: Border
) -> Import | None:
    """The transfers from `source` that committee `target` takes next, as its `border` says.

    A renewal where that must come first. None when nothing is there to carry, or not certified
    yet, or the ledger does not hold it. Raises Problem for a damaged ledger.
    """
    with open_readonly(path) as connection:
        connection.execute("BEGIN")  # one state of the file for all the questions
        prover = _Prover(connection, path, network, source, border)
        try:
            return prover.carry(target)
        except (EconodeError, TypeError) as error:
            if isinstance(error, Problem):
                return None
            raise damaged(path, str(error)) from None


def prove_renewal(path: Path, network: bytes, source: bytes, border: Border) -> Import | None:
    """An import without transfers, that shows `source` as of its newest certificate. None and
    Problem as in `prove_import`."""
    with open_readonly(path) as connection:
        connection.execute("BEGIN")
        prover = _Prover(connection, path, network, source, border)
        try:
            return prover.renew()
        except (EconodeError, TypeError) as error:
            if isinstance(error, Problem):
                return None
            raise damaged(path, str(error)) from None


class _Prover:
    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        network: bytes,
        source: bytes,
        border: Border,
    ) -> None:
        self._connection, self._network, self._source = connection, network, source
        self._border, self._known = border, border.epochs[-1]
        self._reader = ProofReader(connection, path, source)

    def carry(self, target: bytes) -> Import | None:
        found = self._find_exports(target)
        if not found:
            return None
        position, item, _ = found[-1]
        entry = self._reader.prove_items(position, [item])
        # A certificate of an epoch before the one that is known there would count for nothing.
        certified, certificate = self._reader.find_certificate(max(position, self._known.start + 1))
        proof = self._prove(entry, certified, certificate)
        if proof is None:
            return self._renew_part(certified)
        return _make_import(proof, [crossing for _, _, crossing in found])

    def renew(self) -> Import | None:
        row = self._connection.execute(
            "SELECT position, data FROM certificates WHERE committee = ? AND position > ? "
            "ORDER BY position DESC LIMIT 1",
            (self._source, self._known.start),
        ).fetchone()
        if row is None:
            return None
        certified, certificate = row
        entry = self._reader.prove_items(certified, [])
        if self._is_known(entry, certificate):
            return None
        proof = self._prove(entry, certified, certificate)
        return self._renew_part(certified) if proof is None else _make_import(proof, [])

    def _is_known(self, entry: ProvenEntry, certificate: bytes) -> bool:
        is_same_epoch = self._read_epoch(certificate) == self._known.epoch
        return is_same_epoch and entry.header.time_ms <= self._border.time_ms

    def _renew_part(self, certified: int) -> Import | None:
        """Some of the epochs up to `certified`: as many as one operation follows."""
        ends = self._list_ends(certified)
        if len(ends) <= IMPORT_EPOCHS_MAX:
            return None  # too large for another reason: many headers, or many members
        end = ends[IMPORT_EPOCHS_MAX]
        _, certificate = self._reader.find_certificate(end)
        proof = self._prove(self._reader.prove_items(end, []), end, certificate)
        return None if proof is None else _make_import(proof, [])

    def _prove(self, entry: ProvenEntry, certified: int, certificate: bytes) -> Bundle | None:
        """None when it takes more than an operation may follow."""
        ends, position = self._list_ends(certified), entry.header.position
        if len(ends) > IMPORT_EPOCHS_MAX or certified - position > HEADERS_MAX:
            return None
        if self._known.epoch + len(ends) != self._read_epoch(certificate):
            return None  # an end is not held: this node went on from a fetched state
        return Bundle(
            network=self._network,
            committee=self._source,
            epochs=tuple(map(self._reader.prove_epoch, ends)),
            entry=entry,
            headers=tuple(self._reader.read_headers(position + 1, certified)),
            certificate=certificate,
        )

    def _read_epoch(self, certificate: bytes) -> int:
        found = Certificate.decode(certificate, self._network, size_max=CERTIFICATE_BYTES_MAX)
        return found.context.epoch

    def _list_ends(self, certified: int) -> list[int]:
        """Where the epochs ended that began with the known one, before `certified`; at most one
        more than an operation follows."""
        rows = self._connection.execute(
            "SELECT position FROM records INDEXED BY records_by_kind "
            "WHERE committee = ? AND kind = 'epoch_began' AND position > ? AND position < ? "
            "ORDER BY position LIMIT ?",
            (self._source, self._known.start, certified, IMPORT_EPOCHS_MAX + 1),
        )
        return [row[0] for row in rows]

    def _find_exports(self, target: bytes) -> list[tuple[int, int, Crossing]]:
        """Position, item and transfer of those that come next, in order; none when the first of
        them is not held."""
        first = self._border.imported + 1
        rows = self._connection.execute(
            "SELECT position, item, data FROM records INDEXED BY records_by_kind "
            "WHERE committee = ? AND kind = 'exported' ORDER BY position DESC, item DESC LIMIT ?",
            (self._source, EXPORTS_READ_MAX),
        )
        found: list[tuple[int, int, Crossing]] = []
        for position, item, data in rows:
            fact = decode_fact(data)
            if not isinstance(fact, Exported) or fact.committee != target:
                continue
            if fact.number < first:
                break
            found.append((position, item, make_crossing(fact)))
            if fact.number == first:
                return found[::-1][:ITEMS_MAX]
        return []


def make_crossing(fact: Exported) -> Crossing:
    """The transfer as an `Import` carries it."""
    return Crossing(fact.number, fact.operation, fact.account, fact.to, fact.amount)


def _make_import(bundle: Bundle, crossings: Sequence[Crossing]) -> Import | None:
    proof = encode_bundle(bundle)
    if len(proof) > IMPORT_PROOF_BYTES_MAX:
        return None
    return Import(proof, tuple(crossings))

"""Certified states in the ledger, as SQL statements. Pure: no database here.

A state is kept in chunks, as it is served. Its row says of which kind it is: `own` (made here at a
checkpoint; the newest few are kept), `coming` (being fetched; one at most) or `begin`: fetched
whole, and a stretch of batches begins behind it. What lies between the last batch before it and its
position is not held.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crdt import auctions, tasks
from identity import schema
from identity.certificate import Certificate
from identity.errors import InvalidBytes, InvalidCertificate, InvalidSchema
from node.ledger_rows import INSERTS, LedgerError, build_row
from protocols.committee import Committee
from protocols.messages import (
    CERTIFICATE_BYTES_MAX,
    CHECKPOINT_KIND,
    VOTE_BYTES_MAX,
    Checkpoint,
)
from protocols.state_tree import (
    StateTree,
    compute_digest,
    count_chunks,
    cut,
    digest_state,
    hash_chunks,
)
from protocols.step import Snapshot, TransferBegun, Transferred

SNAPSHOTS_OWN_MAX = 2
"""Own snapshots that are kept: the older one for those that are fetching it."""

Statement = tuple[str, list[tuple[Any, ...]]]
Statements = list[Statement]

_INSERT_SNAPSHOT = "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?)"
_FORGET_COMING = (
    (
        "DELETE FROM chunks WHERE committee = ?1 AND position IN "
        "(SELECT position FROM snapshots WHERE committee = ?1 AND kind = 'coming')"
    ),
    "DELETE FROM snapshots WHERE committee = ?1 AND kind = 'coming'",
)
_FORGET_OLD = (
    (
        "DELETE FROM snapshots WHERE committee = ?1 AND kind = 'own' AND position NOT IN "
        "(SELECT position FROM snapshots WHERE committee = ?1 AND kind = 'own' "
        f"ORDER BY position DESC LIMIT {SNAPSHOTS_OWN_MAX})"
    ),
    (
        "DELETE FROM chunks WHERE committee = ?1 AND position NOT IN "
        "(SELECT position FROM snapshots WHERE committee = ?1)"
    ),
)


SELECT_GAPS = (
    "SELECT (SELECT COALESCE(MAX(e.position), -1) + 1 FROM entries e WHERE "
    "e.committee = s.committee AND e.position <= s.position), s.position FROM snapshots s "
    "WHERE s.committee = ? AND s.kind = 'begin' ORDER BY s.position"
)
"""First and last position of each stretch of a committee's log that is not held."""


@dataclass(frozen=True, slots=True)
class StoredState:
    """A row of `snapshots`. `leaves` is empty while the state is coming."""

    committee: bytes
    position: int
    kind: str
    certificate: bytes
    size: int
    root: bytes
    leaves: bytes

    def read_epoch(self) -> int:
        """The epoch whose members certified it. Raises LedgerError."""
        return _decode(self.certificate).context.epoch

    def check(self, committee: Committee | None) -> Checkpoint:
        """The checkpoint that q members of `committee`, the one of its epoch, certified. Raises
        InvalidBytes."""
        if committee is None:
            raise InvalidCertificate("a checkpoint of an unknown epoch")
        certificate = Certificate.decode(
            self.certificate, committee.network, size_max=CERTIFICATE_BYTES_MAX
        )
        place = certificate.context
        wanted = (CHECKPOINT_KIND, committee.id, committee.epoch)
        if (place.kind, place.committee, place.epoch) != wanted:
            raise InvalidCertificate("not the certificate of a checkpoint of this committee")
        certificate.check(committee.members, committee.q)
        checkpoint = schema.decode(certificate.payload, Checkpoint, size_max=VOTE_BYTES_MAX)
        held = (self.position, compute_digest(self.size, self.root))
        if (checkpoint.seq, checkpoint.state) != held:
            raise InvalidSchema("the certificate is of another state")
        return checkpoint

    def join(self, chunks: Mapping[int, bytes]) -> bytes:
        """The state that its chunks make. Raises InvalidSchema when they make another."""
        data = b"".join(chunk for _, chunk in sorted(chunks.items()))
        if (
            sorted(chunks) != list(range(count_chunks(self.size)))
            or len(data) != self.size
            or digest_state(data) != compute_digest(self.size, self.root)
        ):
            raise InvalidSchema("its chunks are not the certified state")
        return data


def read_checkpoint(certificate: bytes) -> Checkpoint:
    """What a certificate of our own file is about. Raises LedgerError."""
    try:
        payload = _decode(certificate).payload
        return schema.decode(payload, Checkpoint, size_max=VOTE_BYTES_MAX)
    except InvalidBytes as error:
        raise LedgerError(f"a damaged certificate of a checkpoint: {error}") from None


def _decode(certificate: bytes) -> Certificate:
    try:
        return Certificate.decode(certificate, bytes(32), size_max=CERTIFICATE_BYTES_MAX)
    except InvalidBytes as error:
        raise LedgerError(f"a damaged certificate of a checkpoint: {error}") from None


def build_snapshot(snapshot: Snapshot) -> Statements:
    """Keep an own state, and only the newest few."""
    committee, position = snapshot.committee, snapshot.position
    chunks = cut(snapshot.state)
    leaves = hash_chunks(chunks)
    row = (
        *(committee, position, "own", snapshot.certificate, len(snapshot.state)),
        *(StateTree(leaves).root, leaves),
    )
    return [
        (_INSERT_SNAPSHOT, [row]),
        (INSERTS["chunks"], [(committee, position, i, data) for i, data in enumerate(chunks)]),
        *((sql, [(committee,)]) for sql in _FORGET_OLD),
    ]


def build_coming(begun: TransferBegun) -> Statements:
    """Make room for a state that is being fetched, in place of any other."""
    row = (
        *(begun.committee, begun.position, "coming", begun.certificate),
        *(begun.size, begun.root, b""),
    )
    return [
        *((sql, [(begun.committee,)]) for sql in _FORGET_COMING),
        (_INSERT_SNAPSHOT, [row]),
    ]


def build_begin(state: Transferred) -> Statements:
    """Begin a new stretch of the log behind a fetched state, whose chunks are all here.

    Balances and what is under way are the state's. A task or auction that was open before and is
    not in the state has ended meanwhile; how, is not held, so its row goes.
    """
    committee = state.committee
    row = (
        *(committee, state.position, "begin", state.certificate, state.size),
        *(state.root, state.leaves),
    )
    return [
        (_INSERT_SNAPSHOT, [row]),
        ("DELETE FROM balances WHERE committee = ?", [(committee,)]),
        (
            "INSERT INTO balances VALUES (?, ?, ?, ?)",
            [(committee, *balance) for balance in state.balances],
        ),
        _forget_open("tasks", committee, tasks.ENDED_STATES),
        (INSERTS["tasks"], [build_row(committee, row) for row in state.tasks]),
        _forget_open("auctions", committee, auctions.ENDED_STATES),
        (INSERTS["auctions"], [build_row(committee, row) for row in state.auctions]),
    ]


def _forget_open(table: str, committee: bytes, ended: tuple[str, ...]) -> Statement:
    marks = ", ".join("?" * len(ended))
    sql = f"DELETE FROM {table} WHERE committee = ? AND state NOT IN ({marks})"
    return sql, [(committee, *ended)]

"""Light proofs out of this node's ledger file: see `protocols/light.py`. Reads, writes nothing."""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from crdt import log
from crdt.auctions import get_subject
from crdt.facts import decode_fact, find_epoch_began
from identity.certificate import Certificate
from identity.errors import EconodeError
from node.ledger_file import damaged, open_readonly
from node.ledger_rows import compute_id_range
from node.problem import Problem, not_found
from protocols.light import (
    EPOCHS_MAX,
    HEADERS_MAX,
    Bundle,
    EpochEnd,
    ProvenEntry,
    encode_bundle,
    prove_items,
)
from protocols.light_state import STATE_BYTES_MAX, StateBundle, encode_state
from protocols.messages import CERTIFICATE_BYTES_MAX

SLASHES_READ_MAX = 10_000


def prove(
    path: Path, network: bytes, committee: bytes, *, task: str = "", position: int = 0
) -> Bundle:
    """The proof of how a task ended (`task` holds first hex digits of its id), or of everything at
    a position. Raises Problem when that is not there, or not certified yet."""
    with open_readonly(path) as connection:
        connection.execute("BEGIN")  # one state of the file for all the questions
        reader = ProofReader(connection, path, committee)
        try:
            return reader.prove(network, task, position)
        except (EconodeError, TypeError) as error:
            if isinstance(error, Problem):
                raise
            raise damaged(path, str(error)) from None


KINDS: Mapping[str, Sequence[str]] = {"halt": ("market_halted",), "result": ("task_ended",)}
"""Of what is asked about: the kinds of facts that are proven, where not all are."""


def prove_about(path: Path, network: bytes, committee: bytes, about: str, id_: str) -> bytes:
    """The bytes of the proof behind a `node.proven.Proven`. Raises Problem."""
    with open_readonly(path) as connection:
        connection.execute("BEGIN")
        reader = ProofReader(connection, path, committee)
        try:
            match about:
                case "account" | "reputation":
                    return encode_state(reader.prove_state(network))
                case "members":
                    return encode_bundle(reader.prove_members(network))
                case "evidence":
                    return encode_bundle(reader.prove_slash(network, bytes.fromhex(id_)))
            kinds = KINDS.get(about, ())
            return encode_bundle(reader.prove_subject(network, bytes.fromhex(id_), kinds))
        except Problem:
            raise
        except (EconodeError, TypeError) as error:
            raise damaged(path, str(error)) from None


class ProofReader:
    """What a proof is made of, read in one transaction of `connection`. Raises Problem, or
    EconodeError and TypeError where the file is damaged."""

    def __init__(self, connection: sqlite3.Connection, path: Path, committee: bytes) -> None:
        self._connection, self._path, self._committee = connection, path, committee

    def prove(self, network: bytes, task: str, position: int) -> Bundle:
        id_ = None
        if task:
            id_, position = self._find_task(task)
        return self._bundle(network, self._prove_entry(position, id_))

    def prove_subject(self, network: bytes, subject: bytes, kinds: Sequence[str] = ()) -> Bundle:
        """The proof of the last facts about a task, an auction, a variable or the market of a
        capability: all of its last entry, or those of `kinds`. Problem: not-found."""
        marks = ", ".join("?" * len(kinds)) if kinds else "kind"
        row = self._connection.execute(
            "SELECT max(position) FROM records INDEXED BY records_by_task "
            "WHERE committee = ? AND task = ? "
            f"AND kind IN ({marks})",
            (self._committee, subject, *kinds),
        ).fetchone()
        if row[0] is None:
            raise not_found("fact about", subject.hex())
        items = [
            item
            for item, fact in enumerate(map(decode_fact, self._read_items(row[0])))
            if get_subject(fact) == subject and (not kinds or fact.__struct_config__.tag in kinds)
        ]
        return self._bundle(network, self.prove_items(row[0], items))

    def prove_slash(self, network: bytes, offence: bytes) -> Bundle:
        """The proof that an offence was punished. Problem: not-found."""
        rows = self._connection.execute(
            "SELECT position, item, data FROM records INDEXED BY records_by_kind "
            "WHERE committee = ? AND kind = 'slashed' ORDER BY position DESC LIMIT ?",
            (self._committee, SLASHES_READ_MAX),
        )
        for position, item, data in rows:
            if getattr(decode_fact(data), "offence", None) == offence:
                return self.prove_item(network, position, item)
        raise not_found("punishment of offence", offence.hex())

    def prove_members(self, network: bytes) -> Bundle:
        """The proof of the newest certified entry, without its facts: who the members are."""
        row = self._connection.execute(
            "SELECT max(position) FROM certificates WHERE committee = ?", (self._committee,)
        ).fetchone()
        if row[0] is None:
            raise _not_certified(0)
        return self._bundle(network, self.prove_items(row[0], []))

    def prove_state(self, network: bytes) -> StateBundle:
        """The proof of the newest certified state. Problems: not-certified, too-large."""
        row = self._connection.execute(
            "SELECT position, certificate, size FROM snapshots WHERE committee = ? "
            "AND kind <> 'coming' ORDER BY position DESC LIMIT 1",
            (self._committee,),
        ).fetchone()
        if row is None:
            raise _no_state()
        position, certificate, size = row
        if size > STATE_BYTES_MAX:
            raise Problem(
                "too-large",
                f"the state has {size} bytes, a proof at most {STATE_BYTES_MAX}",
                remedy="prove the facts about it: econode stake show PEER --facts",
                status=409,
            )
        chunks = self._connection.execute(
            "SELECT data FROM chunks WHERE committee = ? AND position = ? ORDER BY item",
            (self._committee, position),
        )
        epoch = Certificate.decode(certificate, network, size_max=CERTIFICATE_BYTES_MAX)
        epochs = self._prove_epochs(position + 1, epoch.context.epoch)
        state = b"".join(data for (data,) in chunks)
        return StateBundle(network, self._committee, epochs, certificate, state)

    def prove_item(self, network: bytes, position: int, item: int) -> Bundle:
        """The proof of one fact by its place."""
        return self._bundle(network, self.prove_items(position, [item]))

    def find_last(self, prefix: str, kinds: Sequence[str]) -> tuple[int, int]:
        """Position and item of the last fact of one of `kinds` about the one task or auction whose
        id begins with these hex digits."""
        marks = ", ".join("?" * len(kinds))
        rows = self._connection.execute(
            "SELECT task, position, item FROM records INDEXED BY records_by_task "
            f"WHERE committee = ? AND kind IN ({marks}) AND task BETWEEN ? AND ? "
            "ORDER BY position DESC, item DESC",
            (self._committee, *kinds, *compute_id_range(prefix)),
        )
        found = rows.fetchone()
        if found is None:
            raise not_found(
                "result", prefix, "`econode auction list` shows the auctions that ended"
            )
        if any(row[0] != found[0] for row in rows):
            raise Problem("ambiguous", f"several auctions begin with {prefix}", status=409)
        return found[1], found[2]

    def _bundle(self, network: bytes, entry: ProvenEntry) -> Bundle:
        position = entry.header.position
        certified, certificate = self.find_certificate(position)
        if certified - position > HEADERS_MAX:
            raise _not_certified(position)
        headers = self.read_headers(position + 1, certified)
        epoch = Certificate.decode(certificate, network, size_max=CERTIFICATE_BYTES_MAX)
        epochs = self._prove_epochs(certified, epoch.context.epoch)
        return Bundle(network, self._committee, epochs, entry, tuple(headers), certificate)

    def _prove_epochs(self, certified: int, epoch: int) -> tuple[EpochEnd, ...]:
        """How the members of `epoch`, who certified a position, came to be."""
        ends = self._list_epoch_ends(certified)[:epoch]
        if len(ends) != epoch:
            raise _not_whole(certified)
        return tuple(map(self.prove_epoch, ends))

    def _find_task(self, prefix: str) -> tuple[bytes, int]:
        """The task, and the position of the last fact about it."""
        rows = self._connection.execute(
            "SELECT task, max(position) FROM records INDEXED BY records_by_task "
            "WHERE committee = ? AND task IS NOT NULL AND task BETWEEN ? AND ? "
            "GROUP BY task LIMIT 2",
            (self._committee, *compute_id_range(prefix)),
        ).fetchall()
        if not rows:
            raise not_found("task", prefix, "`econode task list` shows those that are known here")
        if len(rows) > 1:
            raise Problem("ambiguous", f"several tasks begin with {prefix}", status=409)
        return rows[0][0], rows[0][1]

    def _prove_entry(self, position: int, task: bytes | None) -> ProvenEntry:
        facts = enumerate(decode_fact(item) for item in self._read_items(position))
        chosen = [index for index, fact in facts if task is None or get_subject(fact) == task]
        return self.prove_items(position, chosen)

    def prove_items(self, position: int, chosen: Sequence[int]) -> ProvenEntry:
        """The entry at a position with the items at the `chosen` places."""
        header = self.read_headers(position, position)[0]
        return prove_items(header, self._read_items(position), chosen)

    def prove_epoch(self, end: int) -> EpochEnd:
        """The entry at `end`, which ended an epoch."""
        items = self._read_items(end)
        certified, certificate = self.find_certificate(end)
        if certified != end or find_epoch_began(items) is None:
            raise _not_certified(end)
        return EpochEnd(self.prove_items(end, [len(items) - 1]), certificate)

    def _list_epoch_ends(self, certified: int) -> list[int]:
        """Where the epochs before the one of the position `certified` ended."""
        rows = self._connection.execute(
            "SELECT position FROM records INDEXED BY records_by_kind "
            "WHERE committee = ? AND kind = 'epoch_began' AND position < ? "
            "ORDER BY position LIMIT ?",
            (self._committee, certified, EPOCHS_MAX + 1),
        ).fetchall()
        if len(rows) > EPOCHS_MAX:
            raise Problem(
                "too-many-epochs",
                f"more than {EPOCHS_MAX} epochs lie between the genesis and position {certified}",
                remedy="have the other check this ledger once: econode ledger verify",
            )
        return [row[0] for row in rows]

    def find_certificate(self, position: int) -> tuple[int, bytes]:
        """The first certified position from here on, with its certificate."""
        row = self._connection.execute(
            "SELECT position, data FROM certificates WHERE committee = ? AND position >= ? "
            "ORDER BY position LIMIT 1",
            (self._committee, position),
        ).fetchone()
        if row is None:
            raise _not_certified(position)
        return row[0], row[1]

    def read_headers(self, first: int, last: int) -> Sequence[log.Header]:
        rows = self._connection.execute(
            "SELECT position, previous, time_ms, root FROM entries WHERE committee = ? "
            "AND position BETWEEN ? AND ? ORDER BY position",
            (self._committee, first, last),
        ).fetchall()
        if len(rows) != max(0, last - first + 1):
            raise not_found("position", str(first), "`econode ledger log` shows what there is")
        return [log.Header(self._committee, *row) for row in rows]

    def _read_items(self, position: int) -> list[bytes]:
        rows = self._connection.execute(
            "SELECT data FROM records WHERE committee = ? AND position = ? ORDER BY item",
            (self._committee, position),
        )
        return [row[0] for row in rows]


def _no_state() -> Problem:
    return Problem(
        "not-certified",
        "no quorum has certified a state of this committee yet",
        remedy="a state is certified every `checkpoint_batches` batches of the genesis; until then "
        "prove facts: econode stake show PEER --facts",
        status=409,
    )


def _not_whole(position: int) -> Problem:
    return Problem(
        "epoch-not-held",
        f"an epoch before position {position} ended where this node went on from a fetched state: "
        "its ledger cannot show how the members came to be",
        remedy="ask a node that holds the whole log: `econode ledger verify` shows what is held",
        status=409,
    )


def _not_certified(position: int) -> Problem:
    return Problem(
        "not-certified",
        f"no quorum's signature over position {position} is in this ledger yet",
        remedy="try again in a few seconds with the node running, or on another node",
        status=409,
    )

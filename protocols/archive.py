"""The records of an exported file of logs, and how they stand in it.

A file is a CBOR sequence (RFC 8742) of byte strings; each holds one record in deterministic CBOR.
The first record is a `LogsHeader`, the last a `LogsEnd` with the SHA-256 of all bytes before it.
In between stand, for each committee in the order of the header (a parent before those it formed),
its batches by ascending position, each followed by the certificate of its entry where there is one,
and before a stretch whose beginning is not held the certified state that it begins behind; then
peers' logs by ascending author and position, and fork proofs.

The digest finds damage. What proves the content is what it holds: signatures and certificates, from
the genesis on.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Annotated, Literal, get_args

import msgspec

from crdt import log
from crdt.heads import FORK_BYTES_MAX, PROOF_BYTES_MAX
from identity import cbor, schema
from identity.errors import InvalidSchema
from identity.schema import U63, CommitteeId, Digest, Key, TimeMs
from protocols.messages import BATCH_OPERATIONS_MAX, CERTIFICATE_BYTES_MAX, FRAME_BYTES_MAX
from protocols.state_tree import CHUNKS_MAX, STATE_BYTES_MAX, STATE_CHUNK_BYTES

VERSION: Literal[1] = 1
RECORD_BYTES_MAX = 32 * 1024 * 1024
COMMITTEES_MAX = 256
PROOF_STATEMENTS_MAX = 256
LEAF_BYTES = 32

StatementBytes = Annotated[bytes, msgspec.Meta(max_length=FRAME_BYTES_MAX)]
CertificateBytes = Annotated[bytes, msgspec.Meta(max_length=CERTIFICATE_BYTES_MAX)]


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="type"):
    """Base of all records."""


class LogsHeader(Record, frozen=True, tag="logs"):
    """What the file holds: the logs of `committees`, and those of all peers, of `author` alone, or
    of none."""

    format: Literal["econode/logs"]
    version: Literal[1]
    network: Digest
    committees: Annotated[tuple[CommitteeId, ...], msgspec.Meta(max_length=COMMITTEES_MAX)]
    peers: Literal["all", "one", "none"]
    author: Key | None


class BatchRecord(Record, frozen=True, tag="batch"):
    """A batch as it was ordered, and the entry that executing it gave."""

    digest: Digest
    time_ms: TimeMs
    operations: Annotated[tuple[StatementBytes, ...], msgspec.Meta(max_length=BATCH_OPERATIONS_MAX)]
    proof: Annotated[tuple[StatementBytes, ...], msgspec.Meta(max_length=PROOF_STATEMENTS_MAX)]
    entry: log.Entry


class CertificateRecord(Record, frozen=True, tag="certificate"):
    """The certificate of a committee's head."""

    committee: CommitteeId
    position: U63
    certificate: CertificateBytes


class StateRecord(Record, frozen=True, tag="state"):
    """A certified state behind which a stretch begins; its chunks follow."""

    committee: CommitteeId
    position: U63
    certificate: CertificateBytes
    size: Annotated[int, msgspec.Meta(ge=1, le=STATE_BYTES_MAX)]
    root: Digest
    leaves: Annotated[bytes, msgspec.Meta(max_length=LEAF_BYTES * CHUNKS_MAX)]


class ChunkRecord(Record, frozen=True, tag="chunk"):
    """The next chunk of the state before it."""

    data: Annotated[bytes, msgspec.Meta(min_length=1, max_length=STATE_CHUNK_BYTES)]


class EntryRecord(Record, frozen=True, tag="entry"):
    """An entry of a peer's log with the proof of its head."""

    entry: log.Entry
    proof: Annotated[bytes, msgspec.Meta(max_length=PROOF_BYTES_MAX)]


class ForkRecord(Record, frozen=True, tag="fork"):
    """A fork proof against a peer."""

    proof: Annotated[bytes, msgspec.Meta(max_length=FORK_BYTES_MAX)]


class LogsEnd(Record, frozen=True, tag="end"):
    """How many records stand before this one, and the digest of their bytes."""

    records: U63
    digest: Digest


AnyRecord = (
    LogsHeader
    | BatchRecord
    | CertificateRecord
    | StateRecord
    | ChunkRecord
    | EntryRecord
    | ForkRecord
    | LogsEnd
)
_KINDS: dict[str, type[AnyRecord]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(AnyRecord)
}
_BYTES_HEADS = {24: 1, 25: 2, 26: 4}
"""Additional information of a CBOR head -> bytes of the length (RFC 8949 section 3)."""


class RecordWriter:
    """Makes the bytes of a file, record by record, and its end."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._count = 0

    def encode(self, record: AnyRecord) -> bytes:
        """The record's bytes in the file. Raises InvalidSchema for one that is too large."""
        data = schema.encode(record)
        if len(data) > RECORD_BYTES_MAX:
            raise InvalidSchema(f"a record of {len(data)} bytes, at most {RECORD_BYTES_MAX}")
        item = _encode_head(len(data)) + data
        self._digest.update(item)
        self._count += 1
        return item

    def encode_end(self) -> bytes:
        return self.encode(LogsEnd(self._count, self._digest.digest()))


def read_records(read: Callable[[int], bytes]) -> Iterator[AnyRecord]:
    """The records of a file but its end, which is checked. `read(n)` gives the next n bytes, fewer
    at the end only. Nothing is read before its length is bounded.

    Raises InvalidBytes at the first thing that is wrong; what came before it is not yet known to
    be whole.
    """
    digest, count = hashlib.sha256(), 0
    while True:
        head, size = _read_head(read)
        data = _read_exactly(read, size)
        record = _decode(data)
        if (count == 0) != isinstance(record, LogsHeader):
            raise InvalidSchema("the header comes first, and once")
        if isinstance(record, LogsEnd):
            if (record.records, record.digest) != (count, digest.digest()):
                raise InvalidSchema("the digest at the end is of other bytes: the file is damaged")
            if read(1):
                raise InvalidSchema("bytes after the end")
            return
        digest.update(head)
        digest.update(data)
        count += 1
        yield record


def _decode(data: bytes) -> AnyRecord:
    value = cbor.decode(data, size_max=RECORD_BYTES_MAX)
    tag = value.get("type") if isinstance(value, dict) else None
    kind = _KINDS.get(tag) if isinstance(tag, str) else None
    if kind is None:
        raise InvalidSchema("a record of no known type")
    return schema.convert(value, kind)


def _encode_head(size: int) -> bytes:
    if size < 24:
        return bytes((0x40 | size,))
    if size < 1 << 8:
        return bytes((0x58, size))
    return b"\x59" + size.to_bytes(2) if size < 1 << 16 else b"\x5a" + size.to_bytes(4)


def _read_head(read: Callable[[int], bytes]) -> tuple[bytes, int]:
    head = _read_exactly(read, 1)
    size = head[0] - 0x40
    if size in _BYTES_HEADS:
        head += _read_exactly(read, _BYTES_HEADS[size])
        size = int.from_bytes(head[1:])
    elif not 0 <= size < 24:
        raise InvalidSchema("not a sequence of byte strings")
    if _encode_head(size) != head:
        raise InvalidSchema("a length that is not spelled the shortest way")
    if size > RECORD_BYTES_MAX:
        raise InvalidSchema(f"a record of {size} bytes, at most {RECORD_BYTES_MAX} are allowed")
    return head, size


def _read_exactly(read: Callable[[int], bytes], size: int) -> bytes:
    data = read(size) if size else b""
    if len(data) != size:
        raise InvalidSchema("the file ends in the middle")
    return data

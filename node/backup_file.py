"""The form of a backup: a plain tar file whose last member, manifest.json, says what must be in it.

Any tar program lists and unpacks it. This reader takes regular members with short names alone, one
header block each: what a stranger's file claims is bounded before anything is read or written.
"""

import hashlib
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import msgspec

from identity.errors import EconodeError

MANIFEST = "manifest.json"
MANIFEST_BYTES_MAX = 1 << 20
SMALL_PARTS = {"config.toml": 256 * 1024, "genesis.json": 4 << 20, "node.key": 64 * 1024}
"""Parts that are read whole, with the bytes that each may have."""
VOTES, LEDGER = "votes.sqlite3", "ledger.sqlite3"
BLOB = re.compile(r"blobs/([0-9a-f]{64})")
BLOCK_BYTES = 512
READ_BYTES = 1 << 20
VERSION = 1

Progress = Callable[[str, int, int], None]
"""Told what is being done, how many bytes of it are done, and of how many."""

Digest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Committee = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class InvalidBackup(EconodeError):
    """The file is not a whole, undamaged backup; the message says what is wrong."""


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member other than a blob: a blob's name is its SHA-256 already."""

    name: Annotated[str, msgspec.Meta(max_length=64)]
    size: Annotated[int, msgspec.Meta(ge=0)]
    sha256: Digest


class Tip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The last entry of a committee's log that the backup holds."""

    committee: Committee
    position: int
    head: Digest


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a backup holds. Times in milliseconds since 1970."""

    format: Annotated[str, msgspec.Meta(pattern=r"^econode/backup\Z")] = "econode/backup"
    version: int = VERSION
    created_ms: int
    program: Annotated[str, msgspec.Meta(max_length=64)]
    peer_id: Annotated[str, msgspec.Meta(max_length=128)]
    network: Annotated[str, msgspec.Meta(max_length=256)]
    network_id: Digest
    schemas: dict[str, int]
    """Of each SQLite file."""
    tips: Annotated[tuple[Tip, ...], msgspec.Meta(max_length=4_096)]
    parts: Annotated[tuple[Part, ...], msgspec.Meta(max_length=8)]
    blobs: int = 0
    blob_bytes: int = 0


class BackupWriter:
    """Adds members to `file`, and notes them for the manifest."""

    def __init__(self, file: BinaryIO, progress: Progress) -> None:
        self._file, self._progress = file, progress
        self.parts: list[Part] = []
        self.blobs = self.blob_bytes = 0

    def add(self, name: str, source: BinaryIO, size: int) -> None:
        """Add `size` bytes of `source`. Raises InvalidBackup when it has fewer."""
        digest, done = hashlib.sha256(), 0
        self._file.write(_make_header(name, size))
        while done < size:
            data = source.read(min(READ_BYTES, size - done))
            if not data:
                raise InvalidBackup(f"{name} ended after {done} of {size} bytes")
            digest.update(data)
            done += self._file.write(data)
            self._progress(f"writing {name}", done, size)
        self._file.write(bytes(-size % BLOCK_BYTES))
        self.parts.append(Part(name, size, digest.hexdigest()))

    def add_blob(self, digest: bytes, data: bytes) -> None:
        name = f"blobs/{digest.hex()}"
        self._file.write(_make_header(name, len(data)) + data + bytes(-len(data) % BLOCK_BYTES))
        self.blobs += 1
        self.blob_bytes += len(data)
        self._progress("writing blobs", self.blob_bytes, 0)

    def finish(self, manifest: Manifest) -> None:
        """Add the manifest, the last member."""
        data = msgspec.json.format(msgspec.json.encode(manifest))
        self._file.write(_make_header(MANIFEST, len(data)) + data)
        self._file.write(bytes(-len(data) % BLOCK_BYTES + 2 * BLOCK_BYTES))


def _make_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT, "ascii", "strict")


class Member:
    """A member of a backup on its way out. Its bytes can be read once."""

    def __init__(self, name: str, size: int, file: BinaryIO) -> None:
        self.name, self.size = name, size
        self._file, self._left = file, size
        self._digest = hashlib.sha256()

    def read_chunks(self) -> Iterator[bytes]:
        """The bytes not read yet. Raises InvalidBackup where the file ends before they do."""
        while self._left:
            data = self._file.read(min(READ_BYTES, self._left))
            if not data:
                raise InvalidBackup(f"the file ends inside {self.name}")
            self._left -= len(data)
            self._digest.update(data)
            yield data

    def read(self, size_max: int) -> bytes:
        if self.size > size_max:
            raise InvalidBackup(f"{self.name} has {self.size} bytes, at most {size_max} are taken")
        return b"".join(self.read_chunks())

    def finish(self) -> str:
        """Skip what was not read; the SHA-256 of all."""
        for _ in self.read_chunks():
            pass
        self._file.read(-self.size % BLOCK_BYTES)
        return self._digest.hexdigest()


Take = Callable[[Member], None]


def read_backup(path: Path, take: Take, progress: Progress) -> Manifest:
    """Give each member to `take`, in order, and check all of them against the manifest.

    What `take` did must be undone when this raises: InvalidBackup, OSError, or what `take` raises.
    """
    found: list[Part] = []
    blobs = blob_bytes = 0
    total = path.stat().st_size
    with path.open("rb") as file:
        while (member := _read_header(file)) is not None:
            if member.name == MANIFEST:
                manifest = _decode(member.read(MANIFEST_BYTES_MAX))
                break
            _check_name(member, found)
            take(member)
            digest = member.finish()
            if blob := BLOB.fullmatch(member.name):
                blobs, blob_bytes = blobs + 1, blob_bytes + member.size
                if digest != blob[1]:
                    raise InvalidBackup(f"{member.name} holds other bytes than its name says")
            else:
                found.append(Part(member.name, member.size, digest))
            progress("reading", file.tell(), total)
        else:
            raise InvalidBackup("the file ends before its manifest: it was not written to the end")
    if tuple(found) != manifest.parts or (blobs, blob_bytes) != (
        manifest.blobs,
        manifest.blob_bytes,
    ):
        raise InvalidBackup(
            f"its parts are not those of its manifest{_name_first(found, manifest)}"
        )
    return manifest


def verify_backup(path: Path, progress: Progress) -> Manifest:
    """Read all of it and keep nothing. Raises as `read_backup`."""
    return read_backup(path, lambda member: None, progress)


def _name_first(found: list[Part], manifest: Manifest) -> str:
    pairs = zip(found, manifest.parts, strict=False)
    return next((f": {part.name} differs" for part, told in pairs if part != told), "")


def _read_header(file: BinaryIO) -> Member | None:
    """The next member, None at the end of the file."""
    block = file.read(BLOCK_BYTES)
    if len(block) < BLOCK_BYTES or not any(block):
        return None
    try:
        info = tarfile.TarInfo.frombuf(block, "ascii", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise InvalidBackup(f"not a backup of Econode: {error}") from None
    if info.type != tarfile.REGTYPE or info.size < 0:
        raise InvalidBackup(f"not a backup of Econode: {info.name!r} is no regular member")
    return Member(info.name, info.size, file)


def _check_name(member: Member, found: list[Part]) -> None:
    is_part = member.name in (*SMALL_PARTS, VOTES, LEDGER)
    if not is_part and not BLOB.fullmatch(member.name):
        raise InvalidBackup(f"an unknown member {member.name!r}")
    if member.name in {part.name for part in found}:
        raise InvalidBackup(f"{member.name} stands twice")


def _decode(data: bytes) -> Manifest:
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBackup(f"{MANIFEST}: {error}") from None
    if manifest.version != VERSION:
        raise InvalidBackup(
            f"a backup of version {manifest.version}, this program reads {VERSION}: use the "
            "version of Econode that wrote it, or a newer one"
        )
    return manifest

"""Content-addressed blobs in a folder: a blob's name is its SHA-256.

A blob is written to `partial/`, checked against its digest, synced and renamed to
`XX/<64 hex digits>`, so what stands under a name is whole. Only 32-byte digests name files: no
path comes from outside. The folder has one owner (the node's lock sees to it).

`BlobStore` blocks and may be called from several threads; `AsyncBlobStore` calls it in threads.
"""

import errno
import hashlib
import os
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from types import TracebackType
from typing import Self

import trio

from identity.errors import EconodeError
from protocols.economy.operations import BLOB_BYTES_MAX

DIGEST_BYTES = 32
WRITERS_MAX = 128
_PARTIAL = "partial"
_READ_BYTES = 1 << 20


class BlobError(EconodeError):
    """A call that no correct caller makes: a digest that is none, bytes outside the blob."""


class BlobAbsent(EconodeError):
    """The store does not hold this blob (any more)."""


class BlobCorrupt(EconodeError):
    """Bytes whose SHA-256 is not the digest. They are gone from the store."""


class StoreFull(EconodeError):
    """No room: the cap is reached by pinned blobs and open writers, or the disk is full."""


@dataclass(slots=True)
class _Entry:
    size: int
    stored_s: float  # file time; the oldest goes first
    pins: int = 0


class Writer:
    """One blob on its way in. Chunks may come in any order. `finish` or `abort` ends it.

    As a context manager it aborts unless finished. One thread at a time.
    """

    def __init__(self, store: "BlobStore", digest: bytes, size: int, path: Path) -> None:
        self._store = store
        self._path = path
        self._chunks: dict[int, int] = {}  # offset -> length
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self.digest = digest
        self.size = size

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`. The same chunk again is ignored.

        Raises BlobError outside the blob or across another chunk, StoreFull (and aborts) when
        the disk is full.
        """
        descriptor = self._open()
        if self._chunks.get(offset) == len(data):
            return
        end = offset + len(data)
        if offset < 0 or not data or end > self.size:
            raise BlobError(f"bytes {offset} to {end} of a blob of {self.size}")
        if any(start < end and offset < start + size for start, size in self._chunks.items()):
            raise BlobError(f"bytes {offset} to {end} overlap another chunk")
        with self._disk_errors():
            view = memoryview(data)
            while view:
                view = view[os.pwrite(descriptor, view, end - len(view)) :]
        self._chunks[offset] = len(data)

    def finish(self, *, pin: bool = False) -> None:
        """Check, sync and name the blob. Raises BlobError when bytes lack, BlobCorrupt, StoreFull.

        After BlobError the writer goes on; after the others it is aborted.
        """
        descriptor = self._open()
        missing = self.size - sum(self._chunks.values())
        if missing:
            raise BlobError(f"{missing} bytes of the blob are not written yet")
        if _hash_of(descriptor) != self.digest:
            self.abort()
            raise BlobCorrupt(f"these bytes are not blob {self.digest.hex()}")
        with self._disk_errors():
            os.fsync(descriptor)
            self._store._adopt(self, pin)
        os.close(descriptor)
        self._descriptor = None

    def abort(self) -> None:
        """Drop what was written. Safe to repeat."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
            self._path.unlink(missing_ok=True)
            self._store._release(self)

    def _open(self) -> int:
        if self._descriptor is None:
            raise BlobError("the writer has ended")
        return self._descriptor

    def _disk_errors(self) -> "_DiskErrors":
        return _DiskErrors(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.abort()


class _DiskErrors:
    """Whatever the disk refuses aborts the writer; a full disk is StoreFull, the rest OSError."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            self._writer.abort()
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise StoreFull(f"the disk is full: {error.strerror}") from error


class BlobStore:
    """The store in `folder`, made if absent, of at most `bytes_max` bytes (open writers count).

    Where room lacks, the oldest unpinned blobs go. Pins are counted and live in memory: after a
    start, their owner pins again what it needs before it writes.
    """

    def __init__(
        self, folder: Path, *, bytes_max: int, blob_bytes_max: int = BLOB_BYTES_MAX
    ) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        self._blob_bytes_max = min(blob_bytes_max, bytes_max)
        self._lock = threading.RLock()
        self._entries: dict[bytes, _Entry] = {}
        self._writers: set[Writer] = set()
        (folder / _PARTIAL).mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in (folder / _PARTIAL).iterdir():
            left.unlink()
        self._scan()

    def _scan(self) -> None:
        for path in self._folder.glob("[0-9a-f][0-9a-f]/*"):
            try:
                digest = bytes.fromhex(path.name)
            except ValueError:
                continue  # not ours
            if len(digest) == DIGEST_BYTES and path == self._path(digest):
                status = path.stat()
                self._entries[digest] = _Entry(status.st_size, status.st_mtime)

    def _path(self, digest: bytes) -> Path:
        name = digest.hex()
        return self._folder / name[:2] / name

    def _entry(self, digest: bytes) -> _Entry:
        entry = self._entries.get(_checked(digest))
        if entry is None:
            raise BlobAbsent(f"no blob {digest.hex()}")
        return entry

    # --- in ---------------------------------------------------------------------------------

    def put(self, data: bytes, *, pin: bool = False) -> bytes:
        """Store `data` durably and return its digest. Raises BlobError (too large), StoreFull.

        A blob that is here already counts as stored now. With `pin` nothing can evict it between.
        """
        digest = hashlib.sha256(data).digest()
        if not self._renew(digest, pin):
            with self.begin(digest, len(data)) as writer:
                if data:
                    writer.write(0, data)
                writer.finish(pin=pin)
        return digest

    def _renew(self, digest: bytes, pin: bool) -> bool:
        with self._lock:
            entry = self._entries.get(digest)
            if entry is None:
                return False
            path = self._path(digest)
            try:
                os.utime(path)
                entry.stored_s = path.stat().st_mtime
            except FileNotFoundError:  # removed by hand
                return False
            entry.pins += pin
            return True

    def begin(self, digest: bytes, size: int) -> Writer:
        """A writer for a blob of `size` bytes, whose room is reserved.

        Raises BlobError and StoreFull.
        """
        _checked(digest)
        if not 0 <= size <= self._blob_bytes_max:
            raise BlobError(f"a blob of {size} bytes, at most {self._blob_bytes_max}")
        with self._lock:
            if len(self._writers) >= WRITERS_MAX:
                raise StoreFull(f"{WRITERS_MAX} blobs are being written already")
            self._make_room(size)
            path = self._folder / _PARTIAL / token_hex(16)
            try:
                writer = Writer(self, digest, size, path)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise StoreFull(f"the disk is full: {error.strerror}") from error
                raise
            self._writers.add(writer)
            return writer

    def _make_room(self, size: int) -> None:
        lacking = self.bytes_used + size - self._bytes_max
        if lacking <= 0:
            return
        unpinned = [item for item in self._entries.items() if not item[1].pins]
        if sum(entry.size for _, entry in unpinned) < lacking:
            raise StoreFull(
                f"{size} bytes do not fit: {self._bytes_max} at most, the rest is needed"
            )
        unpinned.sort(key=lambda item: (item[1].stored_s, item[0]))
        for digest, entry in unpinned:
            if lacking > 0:
                self._remove(digest)
                lacking -= entry.size

    def _adopt(self, writer: Writer, pin: bool) -> None:
        """Give a checked file its name. Durable on return; the lock is not held while syncing."""
        path = self._path(writer.digest)
        if not path.parent.is_dir():
            path.parent.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(self._folder)
        with self._lock:
            os.rename(writer._path, path)
            self._writers.discard(writer)
            entry = self._entries.setdefault(writer.digest, _Entry(writer.size, 0.0))
            entry.stored_s = path.stat().st_mtime
            entry.pins += pin
        _sync_folder(path.parent)

    def _release(self, writer: Writer) -> None:
        with self._lock:
            self._writers.discard(writer)

    # --- out --------------------------------------------------------------------------------

    def get(self, digest: bytes) -> bytes:
        """The whole blob, checked. Raises BlobAbsent, BlobCorrupt (and removes it)."""
        data = self.read(digest, 0, self.size(digest))
        if hashlib.sha256(data).digest() != digest:
            with self._lock:
                self._remove(digest)
            raise BlobCorrupt(f"blob {digest.hex()} was damaged on disk")
        return data

    def read(self, digest: bytes, offset: int, size: int) -> bytes:
        """A part of the blob, not checked against the digest. Raises BlobError, BlobAbsent."""
        total = self.size(digest)
        if offset < 0 or size < 0 or offset + size > total:
            raise BlobError(f"bytes {offset} to {offset + size} of a blob of {total}")
        try:
            with self._path(digest).open("rb") as file:
                return os.pread(file.fileno(), size, offset)
        except FileNotFoundError:  # evicted since, or removed by hand
            with self._lock:
                self._entries.pop(digest, None)
            raise BlobAbsent(f"no blob {digest.hex()}") from None

    def has(self, digest: bytes) -> bool:
        return _checked(digest) in self._entries

    def size(self, digest: bytes) -> int:
        """Bytes of the blob. Raises BlobAbsent."""
        return self._entry(digest).size

    @property
    def bytes_used(self) -> int:
        """Bytes of all blobs, and of those being written."""
        with self._lock:
            stored = sum(entry.size for entry in self._entries.values())
            return stored + sum(writer.size for writer in self._writers)

    # --- how long ---------------------------------------------------------------------------

    def pin(self, digest: bytes) -> None:
        """Keep the blob until as many `unpin`. Raises BlobAbsent."""
        with self._lock:
            self._entry(digest).pins += 1

    def unpin(self, digest: bytes) -> None:
        """Raises BlobAbsent, and BlobError without a pin."""
        with self._lock:
            entry = self._entry(digest)
            if not entry.pins:
                raise BlobError(f"blob {digest.hex()} is not pinned")
            entry.pins -= 1

    def expire(self, now_s: float, retention_s: float) -> int:
        """Remove unpinned blobs stored before `now_s - retention_s` (Unix time): how many."""
        with self._lock:
            old = [
                digest
                for digest, entry in self._entries.items()
                if not entry.pins and entry.stored_s < now_s - retention_s
            ]
            for digest in old:
                self._remove(digest)
            return len(old)

    def _remove(self, digest: bytes) -> None:
        self._entries.pop(digest, None)
        self._path(digest).unlink(missing_ok=True)


class AsyncBlobStore:
    """The calls of a BlobStore that touch the disk, in trio's threads. Same errors.

    A cancelled call still ends in its thread: nothing stays half-done.
    """

    def __init__(self, store: BlobStore) -> None:
        self.store = store

    async def put(self, data: bytes, *, pin: bool = False) -> bytes:
        return await trio.to_thread.run_sync(partial(self.store.put, data, pin=pin))

    async def get(self, digest: bytes) -> bytes:
        return await trio.to_thread.run_sync(self.store.get, digest)

    async def read(self, digest: bytes, offset: int, size: int) -> bytes:
        return await trio.to_thread.run_sync(self.store.read, digest, offset, size)

    async def begin(self, digest: bytes, size: int) -> Writer:
        return await trio.to_thread.run_sync(self.store.begin, digest, size)

    async def write(self, writer: Writer, offset: int, data: bytes) -> None:
        await trio.to_thread.run_sync(writer.write, offset, data)

    async def finish(self, writer: Writer, *, pin: bool = False) -> None:
        await trio.to_thread.run_sync(partial(writer.finish, pin=pin))

    async def expire(self, now_s: float, retention_s: float) -> int:
        return await trio.to_thread.run_sync(self.store.expire, now_s, retention_s)


def _checked(digest: bytes) -> bytes:
    if not isinstance(digest, bytes) or len(digest) != DIGEST_BYTES:
        raise BlobError(f"a digest is {DIGEST_BYTES} bytes")
    return digest


def _hash_of(descriptor: int) -> bytes:
    digest, offset = hashlib.sha256(), 0
    while part := os.pread(descriptor, _READ_BYTES, offset):
        digest.update(part)
        offset += len(part)
    return digest.digest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

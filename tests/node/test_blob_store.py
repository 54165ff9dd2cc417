"""The blob store against what may go wrong: order, damage, full disks, restarts, foreign names."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from node.blob_store import (
    WRITERS_MAX,
    AsyncBlobStore,
    BlobAbsent,
    BlobCorrupt,
    BlobError,
    BlobStore,
    StoreFull,
)


def digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def store_at(folder: Path, bytes_max: int = 1000) -> BlobStore:
    return BlobStore(folder, bytes_max=bytes_max)


def age(folder: Path, data: bytes, stored_s: float) -> None:
    name = digest_of(data).hex()
    os.utime(folder / name[:2] / name, (stored_s, stored_s))


def test_put_get_read_and_a_restart(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    digest = store.put(b"hello")
    assert digest == digest_of(b"hello")
    assert store.put(b"hello") == digest
    assert store.bytes_used == 5
    assert store.put(b"") == digest_of(b"")
    (tmp_path / "partial" / "left").write_bytes(b"half")
    (tmp_path / "ab").mkdir(exist_ok=True)
    (tmp_path / "ab" / "not-a-digest").write_bytes(b"?")
    store = store_at(tmp_path)
    assert store.get(digest) == b"hello"
    assert store.get(digest_of(b"")) == b""
    assert store.read(digest, 1, 3) == b"ell"
    assert (store.size(digest), store.has(digest)) == (5, True)
    assert list((tmp_path / "partial").iterdir()) == []


@given(st.binary(min_size=1, max_size=100), st.data())
def test_chunks_in_any_order_with_repeats(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, draw: st.DataObject
) -> None:
    store = store_at(tmp_path_factory.mktemp("blobs"))
    size = draw.draw(st.integers(1, len(data)))
    chunks = [(at, data[at : at + size]) for at in range(0, len(data), size)]
    order = draw.draw(st.permutations(chunks + chunks[:3]))
    with store.begin(digest_of(data), len(data)) as writer:
        for offset, chunk in order:
            writer.write(offset, chunk)
        writer.finish()
    assert store.get(digest_of(data)) == data


def test_bytes_that_are_not_the_digest_leave_nothing(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    writer = store.begin(digest_of(b"truth"), 5)
    writer.write(0, b"a lie"[:5])
    with pytest.raises(BlobCorrupt):
        writer.finish()
    assert files(tmp_path) == []
    assert store.bytes_used == 0
    assert not store.has(digest_of(b"truth"))
    with pytest.raises(BlobError, match="ended"):
        writer.write(0, b"again")


def test_wrong_calls_are_refused_and_the_writer_goes_on(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    with store.begin(digest_of(b"abcdef"), 6) as writer:
        writer.write(0, b"abc")
        for offset, data in ((-1, b"x"), (4, b"xyz"), (2, b"xx"), (0, b"ab"), (3, b"")):
            with pytest.raises(BlobError):
                writer.write(offset, data)
        with pytest.raises(BlobError, match="3 bytes"):
            writer.finish()
        writer.write(3, b"def")
        writer.finish()
    digest = digest_of(b"abcdef")
    for offset, size in ((-1, 2), (0, 7), (7, 0), (0, -1)):
        with pytest.raises(BlobError):
            store.read(digest, offset, size)
    for wrong in (b"", b"../../../../etc/passwd", bytes(33), "00" * 32):
        with pytest.raises(BlobError):
            store.get(wrong)  # type: ignore[arg-type]
        with pytest.raises(BlobError):
            store.begin(wrong, 1)  # type: ignore[arg-type]
    for size in (-1, 1001):
        with pytest.raises(BlobError):
            store.begin(digest, size)
    with pytest.raises(BlobAbsent):
        store.get(bytes(32))


def test_the_oldest_unpinned_blob_goes_first(tmp_path: Path) -> None:
    blobs = [bytes([index]) * 300 for index in range(4)]
    store = store_at(tmp_path)
    for index, data in enumerate(blobs[:3]):
        store.put(data)
        age(tmp_path, data, 100.0 + index)
    store = store_at(tmp_path)
    store.pin(digest_of(blobs[0]))
    store.put(blobs[3])
    assert [store.has(digest_of(data)) for data in blobs] == [True, False, True, True]
    for data in blobs[2:]:
        store.pin(digest_of(data))
    with pytest.raises(StoreFull):
        store.put(b"x" * 101)
    store.unpin(digest_of(blobs[0]))
    store.put(b"x" * 101)
    assert not store.has(digest_of(blobs[0]))
    assert store.bytes_used <= 1000
    with pytest.raises(BlobAbsent):
        store.unpin(digest_of(blobs[0]))
    with pytest.raises(BlobError):
        store.unpin(store.put(b"x" * 101))


def test_what_is_being_written_counts(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    writer = store.begin(digest_of(b"x" * 900), 900)
    with pytest.raises(StoreFull):
        store.put(b"y" * 101)
    writer.abort()
    store.put(b"y" * 101)
    writers = [store.begin(bytes(32), 0) for _ in range(WRITERS_MAX)]
    with pytest.raises(StoreFull):
        store.begin(bytes(32), 0)
    for writer in writers:
        writer.abort()
        writer.abort()
    assert len(files(tmp_path)) == 1


def test_retention(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    for index, data in enumerate((b"old", b"pinned", b"new")):
        store.put(data)
        age(tmp_path, data, 100.0 + 10 * (index == 2))
    store = store_at(tmp_path)
    store.pin(digest_of(b"pinned"))
    assert store.expire(now_s=115.0, retention_s=10.0) == 1
    assert store.get(digest_of(b"new")) == b"new"
    assert store.get(digest_of(b"pinned")) == b"pinned"
    assert not store.has(digest_of(b"old"))
    age(tmp_path, b"new", 0.0)
    store = store_at(tmp_path)
    store.put(b"new", pin=True)  # is here already, and counts as stored now
    store.unpin(digest_of(b"new"))
    assert store.expire(now_s=1e6, retention_s=1.0) == 1
    assert store.has(digest_of(b"new"))


def test_put_with_pin_keeps_it(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    digest = store.put(b"x" * 900, pin=True)
    with pytest.raises(StoreFull):
        store.put(b"y" * 900)
    store.unpin(digest)
    store.put(b"y" * 900)


def test_damage_on_disk_is_found_and_removed(tmp_path: Path) -> None:
    store = store_at(tmp_path)
    digest = store.put(b"hello")
    (path,) = files(tmp_path)
    path.write_bytes(b"jello")
    with pytest.raises(BlobCorrupt):
        store.get(digest)
    assert files(tmp_path) == []
    digest = store.put(b"hello")
    path.unlink()
    with pytest.raises(BlobAbsent):
        store.get(digest)
    assert not store.has(digest)
    store.put(b"hello")
    path.unlink()
    assert store.get(store.put(b"hello")) == b"hello"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_nothing_half_written(small_disk: Path) -> None:
    store = store_at(small_disk, bytes_max=1 << 20)
    kept = store.put(b"kept" * 1000)
    with pytest.raises(StoreFull, match="disk is full"):
        store.put(os.urandom(512 << 10))
    assert len(files(small_disk)) == 1
    assert store.bytes_used == 4000
    assert store.get(kept) == b"kept" * 1000
    store.put(os.urandom(64 << 10))


async def test_from_trio(tmp_path: Path) -> None:
    blobs = AsyncBlobStore(store_at(tmp_path, bytes_max=1 << 20))
    data = [os.urandom(1000) for _ in range(20)]
    async with trio.open_nursery() as nursery:
        for each in data + data:
            nursery.start_soon(blobs.put, each)
    for each in data:
        assert await blobs.get(digest_of(each)) == each
    assert blobs.store.bytes_used == 20_000
    writer = await blobs.begin(digest_of(b"ab"), 2)
    await blobs.write(writer, 1, b"b")
    await blobs.write(writer, 0, b"a")
    await blobs.finish(writer)
    assert await blobs.read(digest_of(b"ab"), 0, 2) == b"ab"
    assert await blobs.expire(now_s=1e12, retention_s=1.0) == 21
    assert files(tmp_path) == []

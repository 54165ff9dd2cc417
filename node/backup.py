"""`econode ledger backup`: a copy of a home in one file, while its node runs or not.

The votes are copied before the ledger, so the ledger in the backup holds at least what the stable
checkpoint beside it says: the order in which a node writes them. Each copy is the database at one
moment; writers go on meanwhile. See docs/adr/0020-backup-and-restore.md.
"""

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

from identity.errors import EconodeError
from node.backup_file import (
    LEDGER,
    VOTES,
    BackupWriter,
    InvalidBackup,
    Manifest,
    Progress,
    Tip,
    verify_backup,
)
from node.files import PRIVATE_MODE, open_atomic
from node.home import Home
from node.ledger_states import read_checkpoint
from node.migrations import LEDGER as LEDGER_SCHEMA
from node.migrations import VOTES as VOTES_SCHEMA
from node.migrations import connect_readonly, copy_database, read_version
from node.problem import Problem
from node.version import get_version
from protocols.economy.operations import BLOB_BYTES_MAX

SPARE_BYTES = 16 << 20
"""What must stay free beside a backup."""


def write_backup(
    home: Home, target: Path, *, with_key: bool, with_blobs: bool, progress: Progress
) -> tuple[Path, Manifest]:
    """Write a backup of `home` to `target`, a new file or a folder to name one in, and read it
    again. Returns its path and its manifest. Raises Problem."""
    home.check_initialised()
    home.load_genesis()
    if not home.has_history():
        raise Problem(
            "nothing-to-back-up",
            "this node never ran: there are no votes and no ledger yet",
            where=str(home.path),
            remedy="keep node.key and genesis.json; `econode start` makes the rest",
        )
    if target.is_dir():
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        target = target / f"econode-{home.load_peer_id()[-8:]}-{moment}.backup"
    if target.exists():
        raise Problem(
            "file-exists",
            "a backup replaces no other file",
            where=str(target),
            remedy="give a new name, or a folder",
            status=409,
        )
    _check_room(home, target.parent, with_blobs)
    try:
        with (
            tempfile.TemporaryDirectory(prefix=".econode-backup-", dir=target.parent) as folder,
            open_atomic(target, mode=PRIVATE_MODE) as file,
        ):
            writer = BackupWriter(file, progress)
            _write_parts(home, Path(folder), writer, with_key=with_key, progress=progress)
            if with_blobs:
                for digest, data in _read_blobs(home.blobs_path):
                    writer.add_blob(digest, data)
            writer.finish(_make_manifest(home, Path(folder), writer))
    except sqlite3.Error as error:
        raise _failed(home.path, str(error)) from None
    return target, _check(target, progress)


def _check(target: Path, progress: Progress) -> Manifest:
    """Read it as a restore would; one that is not good does not stay."""
    try:
        return verify_backup(target, progress)
    except InvalidBackup as error:
        target.unlink()
        raise Problem(
            "backup-damaged",
            f"what was written reads back differently: {error}",
            where=str(target),
            remedy="the disk may be failing: write it to another one",
        ) from None


def _write_parts(
    home: Home, folder: Path, writer: BackupWriter, *, with_key: bool, progress: Progress
) -> None:
    small = [home.config_path, home.genesis_path, *([home.key_path] if with_key else [])]
    for path in small:
        with path.open("rb") as source:
            writer.add(path.name, source, path.stat().st_size)
    for path in (home.votes_path, home.ledger_path):  # in this order: see above
        copy = folder / path.name
        copy_at_one_moment(path, copy, progress)
        with copy.open("rb") as source:
            writer.add(path.name, source, copy.stat().st_size)


def copy_at_one_moment(path: Path, copy: Path, progress: Progress) -> None:
    """Copy a SQLite file that others may be writing, and check the copy. Raises Problem."""
    what = f"copying {path.name}"
    with closing(connect_readonly(path)) as connection:
        page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])

        def tell(_: int, left: int, total: int) -> None:
            progress(what, (total - left) * page_bytes, total * page_bytes)

        copy_database(connection, copy, tell)
    progress(f"checking {path.name}", 0, 0)
    with closing(open_immutable(copy)) as checked:
        found = checked.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise _failed(path, f"the file is damaged: {found}")


def open_immutable(path: Path) -> sqlite3.Connection:
    """A file that nobody writes: read without the files beside it."""
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _make_manifest(home: Home, folder: Path, writer: BackupWriter) -> Manifest:
    genesis = home.load_genesis()
    versions = {
        VOTES: read_version(folder / VOTES, VOTES_SCHEMA) or 0,
        LEDGER: read_version(folder / LEDGER, LEDGER_SCHEMA) or 0,
    }
    with closing(open_immutable(folder / LEDGER)) as ledger:
        tips = read_tips(ledger)
    return Manifest(
        created_ms=time.time_ns() // 1_000_000,
        program=get_version(),
        peer_id=home.load_peer_id(),
        network=genesis.name,
        network_id=genesis.compute_network_id().hex(),
        schemas=versions,
        tips=tips,
        parts=tuple(writer.parts),
        blobs=writer.blobs,
        blob_bytes=writer.blob_bytes,
    )


def read_tips(ledger: sqlite3.Connection) -> tuple[Tip, ...]:
    """Where each committee's log ends: at an entry, or at a fetched state behind the last one."""
    rows = ledger.execute(
        "SELECT committee, max(position), hash FROM entries GROUP BY committee ORDER BY committee"
    ).fetchall()
    tips = []
    for committee, position, head in rows:
        begin = ledger.execute(
            "SELECT position, certificate FROM snapshots WHERE committee = ? AND kind = 'begin' "
            "AND position > ? ORDER BY position DESC LIMIT 1",
            (committee, position),
        ).fetchone()
        if begin is not None:
            position, head = begin[0], read_checkpoint(begin[1]).head
        tips.append(Tip(committee.hex(), position, head.hex()))
    return tuple(tips)


def _read_blobs(folder: Path) -> Iterator[tuple[bytes, bytes]]:
    """Blobs that are whole. Those that the node evicts meanwhile are not there any more."""
    for path in sorted(folder.glob("[0-9a-f][0-9a-f]/*")):
        try:
            if path.stat().st_size > BLOB_BYTES_MAX:
                continue
            data = path.read_bytes()
        except FileNotFoundError:
            continue
        digest = sha256(data).digest()
        if path.name == digest.hex():
            yield digest, data


def _check_room(home: Home, folder: Path, with_blobs: bool) -> None:
    """The copies stand beside the file until it is whole."""
    databases = [home.votes_path, home.ledger_path]
    logs = [path.with_name(f"{path.name}-wal") for path in databases]
    needed = 2 * sum(map(_get_size, (*databases, *logs)))
    if with_blobs:
        needed += sum(map(_get_size, home.blobs_path.glob("[0-9a-f][0-9a-f]/*")))
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise Problem(
            "unwritable", f"cannot write there: {error.strerror}", where=str(folder)
        ) from None
    if free < needed + SPARE_BYTES:
        raise Problem(
            "disk-full",
            f"{needed + SPARE_BYTES} bytes are needed for a while, {free} are free",
            where=str(folder),
            remedy="write to another disk, or make room: `econode ledger prune`",
        )


def _get_size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # evicted or put away since
        return 0


def _failed(path: Path, reason: str) -> EconodeError:
    return Problem(
        "backup-failed",
        f"no backup was written: {reason}",
        where=str(path),
        remedy="`econode doctor` looks at the home, `econode ledger verify` at the ledger",
    )

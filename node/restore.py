"""`econode ledger restore`: a home made of a backup.

Whatever a member signed after the backup is not in it. So the vote log is marked, and the member
observes until a quorum has gone beyond every slot that it may have voted in
(`protocols/pbft/memory.py`). See docs/adr/0020-backup-and-restore.md.
"""

import contextlib
import os
import secrets
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from identity import keys
from identity.errors import EconodeError, InvalidKey
from node.backup import open_immutable, read_tips
from node.backup_file import (
    BLOB,
    SMALL_PARTS,
    InvalidBackup,
    Manifest,
    Member,
    Progress,
    read_backup,
)
from node.files import PRIVATE_MODE, write_atomic
from node.home import HOME_MODE, Home, read_genesis
from node.migrations import LEDGER as LEDGER_SCHEMA
from node.migrations import VOTES as VOTES_SCHEMA
from node.migrations import Schema, migrate
from node.problem import Problem
from protocols.genesis import Genesis


def restore_backup(
    source: Path, home: Home, *, key: Path | None, votes_are_current: bool, progress: Progress
) -> Manifest:
    """Make `home`, which is not there yet, of the backup in `source`.

    `key` is the key file where the backup has none. `votes_are_current`: nothing was signed with
    that key since the backup. Raises Problem; then nothing is left behind.
    """
    _check_free(home)
    _check_room(source, home.path.parent)
    fresh = home.path.with_name(f".{home.path.name}.econode-{secrets.token_hex(4)}")
    fresh.mkdir(mode=HOME_MODE)
    try:
        manifest = _unpack(source, fresh, progress)
        made = Home(fresh)
        genesis = _check_parts(made, manifest, source)
        _place_key(made, manifest, key)
        _settle_votes(made, manifest, genesis, votes_are_current)
        made.blobs_path.mkdir(mode=HOME_MODE, exist_ok=True)
        made.write_token()
        _sync_all(fresh)
        with contextlib.suppress(FileNotFoundError):
            home.path.rmdir()  # an empty folder makes room
        os.rename(fresh, home.path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return manifest


def _check_free(home: Home) -> None:
    if not home.path.parent.is_dir():
        raise Problem("unwritable", "there is no such folder", where=str(home.path.parent))
    if not home.path.exists() or (home.path.is_dir() and not any(home.path.iterdir())):
        return
    if home.lock_path.exists():
        with home.lock():  # raises where a node runs in it
            pass
    raise Problem(
        "home-exists",
        "a backup is put back into a new home alone: this one may have voted since",
        where=str(home.path),
        remedy="give another folder: --home NEW",
        status=409,
    )


def _check_room(source: Path, folder: Path) -> None:
    try:
        needed, free = source.stat().st_size, shutil.disk_usage(folder).free
    except OSError as error:
        raise Problem("unreadable", f"cannot read: {error.strerror}", where=str(source)) from None
    if free < needed:
        raise Problem("disk-full", f"{needed} bytes are needed, {free} are free", where=str(folder))


def _unpack(source: Path, folder: Path, progress: Progress) -> Manifest:
    def take(member: Member) -> None:
        blob = BLOB.fullmatch(member.name)
        if member.name in SMALL_PARTS:
            data = member.read(SMALL_PARTS[member.name])
            write_atomic(folder / member.name, data, mode=PRIVATE_MODE)
            return
        target = folder / member.name
        if blob:
            target = folder / "blobs" / blob[1][:2] / blob[1]
            for made in (folder / "blobs", target.parent):
                made.mkdir(mode=HOME_MODE, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE)
        with open(descriptor, "wb") as file:
            for data in member.read_chunks():
                file.write(data)

    try:
        return read_backup(source, take, progress)
    except InvalidBackup as error:
        raise _invalid(source, str(error)) from None


def _check_parts(home: Home, manifest: Manifest, source: Path) -> Genesis:
    """That all parts are there and are of one network and node."""
    for path in (home.config_path, home.genesis_path, home.votes_path, home.ledger_path):
        if not path.exists():
            raise _invalid(source, f"it has no {path.name}")
    genesis = read_genesis(home.genesis_path)
    network = genesis.compute_network_id()
    try:
        account = keys.parse_peer_id(manifest.peer_id)
        with closing(_open_checked(home.votes_path, VOTES_SCHEMA)) as votes:
            owner = votes.execute("SELECT network, account FROM identity").fetchall()
        with closing(_open_checked(home.ledger_path, LEDGER_SCHEMA)) as ledger:
            owners = ledger.execute("SELECT id FROM network").fetchall()
            tips = read_tips(ledger)
    except (sqlite3.Error, EconodeError) as error:
        raise _invalid(source, str(error)) from None
    if owner != [(network, account)] or owners != [(network,)] or tips != manifest.tips:
        raise _invalid(source, "votes, ledger and genesis are not of one node")
    if network.hex() != manifest.network_id:
        raise _invalid(source, "its genesis is of another network")
    return genesis


def _open_checked(path: Path, schema: Schema) -> sqlite3.Connection:
    """A database of a version that this program knows, whose pages are whole."""
    connection = open_immutable(path)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    if version > schema.version:
        connection.close()
        raise InvalidBackup(
            f"its {schema.name} has schema {version}, this program knows {schema.version}: "
            "upgrade Econode"
        )
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if application != schema.application_id or found != "ok":
        connection.close()
        raise InvalidBackup(f"its {schema.name} is damaged: {found}")
    return connection


def _place_key(home: Home, manifest: Manifest, key: Path | None) -> None:
    """The node's key, from the backup or from `key`; it must be the one that voted."""
    if key is not None:
        try:
            data = key.read_bytes()[: SMALL_PARTS["node.key"]]
        except OSError as error:
            raise Problem("unreadable", f"cannot read: {error.strerror}", where=str(key)) from None
        write_atomic(home.key_path, data, mode=PRIVATE_MODE)
    elif not home.key_path.exists():
        raise Problem(
            "no-key",
            f"this backup was written without the key of {manifest.peer_id}",
            remedy="give the file you kept: --key node.key (or back up with --with-key)",
        )
    try:
        public = keys.load_public_key(home.key_path.read_text("utf-8", "replace"))
    except InvalidKey as error:
        raise Problem("invalid-key", str(error), where=str(key or "node.key")) from None
    if keys.compute_peer_id(public) != manifest.peer_id:
        raise Problem(
            "another-key",
            f"this key is {keys.compute_peer_id(public)}, the backup is of {manifest.peer_id}",
            where=str(key or "node.key"),
            remedy="give the key file of the node that was backed up",
        )


def _settle_votes(
    home: Home, manifest: Manifest, genesis: Genesis, votes_are_current: bool
) -> None:
    """Bring the vote log to the present schema, and mark it."""
    if not votes_are_current and len(genesis.members) == 1:
        raise Problem(
            "nobody-to-ask",
            "a committee of one has nobody who remembers what was signed after the backup",
            remedy="if nothing was: --votes-are-current; otherwise the newest files are needed",
        )
    copy = migrate(home.votes_path, VOTES_SCHEMA)
    if copy is not None:
        copy.unlink()  # the backup itself is the copy
    if votes_are_current:
        return
    with closing(sqlite3.connect(home.votes_path, isolation_level=None)) as votes:
        votes.execute("PRAGMA synchronous = FULL")
        votes.execute("BEGIN IMMEDIATE")
        votes.execute("DELETE FROM passed")
        row = (manifest.created_ms, time.time_ns() // 1_000_000)
        votes.execute("INSERT INTO restored VALUES (?, ?)", row)
        votes.execute("COMMIT")


def _sync_all(folder: Path) -> None:
    """The files, then the folders: after the rename nothing of the home can be missing."""
    for path in [*folder.rglob("*"), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _invalid(source: Path, reason: str) -> Problem:
    return Problem(
        "invalid-backup",
        f"nothing was restored: {reason}",
        where=str(source),
        remedy="use another backup; `econode ledger backup` writes and checks one",
    )

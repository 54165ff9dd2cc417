"""From an older schema to the present one, for both SQLite files.

Each file says its version in `user_version`. A step leads from one version to the next; opening an
older file first copies it beside itself (`ledger.sqlite3.schema-1`), then takes all steps in one
transaction: after a crash the file is of the old version or of the new one. A newer file is left
alone, and whoever opens it refuses it.
"""

import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

BUSY_S_MAX = 5.0
COPY_PAGES = 1_024

_PRUNABLE = ("batches", "entries", "records", "certificates")


@dataclass(frozen=True, slots=True)
class Schema:
    """What a file is: `steps[n]` are the statements that lead from version n to n + 1."""

    name: str
    version: int
    application_id: int
    steps: Mapping[int, Sequence[str]]


def _let_prune(table: str) -> str:
    """Rows may go where a certified state stands behind them; the genesis never does."""
    return (
        f"CREATE TRIGGER {table}_delete BEFORE DELETE ON {table}\n"
        "    WHEN OLD.position = 0 OR NOT EXISTS (SELECT 1 FROM snapshots s\n"
        "        WHERE s.kind = 'begin' AND s.committee = OLD.committee\n"
        "        AND s.position >= OLD.position)\n"
        f"    BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )


VOTES_RESTORED = (
    "CREATE TABLE restored (backup_ms INTEGER NOT NULL, restored_ms INTEGER NOT NULL) STRICT",
    "CREATE TABLE passed (committee BLOB NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID",
)
"""`restored` has a row once the file was put back from a backup; `passed` has the committees that
have since gone beyond whatever this member may have signed after the backup."""

VOTES = Schema("vote log", 2, 0, {1: VOTES_RESTORED})
_CHAIN_STARTS = (
    "CREATE TABLE chain_starts (committee BLOB NOT NULL, position INTEGER NOT NULL, "
    "hash BLOB NOT NULL, PRIMARY KEY (committee, position)) STRICT"
)
_ANSWERS = (
    "CREATE TABLE answers (key TEXT NOT NULL PRIMARY KEY, request BLOB NOT NULL, "
    "status INTEGER NOT NULL, media TEXT NOT NULL, body BLOB NOT NULL) STRICT"
)
LEDGER = Schema(
    "ledger",
    3,
    0x45434F4E,  # "ECON"
    {
        1: [
            _CHAIN_STARTS,
            *(f"DROP TRIGGER {table}_delete" for table in _PRUNABLE),
            *map(_let_prune, _PRUNABLE),
        ],
        2: [_ANSWERS],
    },
)


def read_version(path: Path, schema: Schema) -> int | None:
    """The version of the file, or None where it is no file of this kind. Raises sqlite3.Error."""
    with closing(connect_readonly(path)) as connection:
        return _read_version(connection, schema)


def migrate(path: Path, schema: Schema) -> Path | None:
    """Bring the file at `path`, if it is there and of an older version, to the present one.

    Returns the copy that was made before, None where nothing was to be done. Raises sqlite3.Error
    or OSError when a step or the copy fails: the file is as it was then.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    with closing(sqlite3.connect(path, timeout=BUSY_S_MAX, isolation_level=None)) as connection:
        version = _read_version(connection, schema)
        if version is None or not 1 <= version < schema.version:
            return None
        copy = path.with_name(f"{path.name}.schema-{version}")
        copy_database(connection, copy)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        try:
            for step in range(version, schema.version):
                for statement in schema.steps[step]:
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {schema.version}")
            connection.execute("COMMIT")
        except sqlite3.Error:
            connection.execute("ROLLBACK")
            raise
    return copy


def copy_database(
    source: sqlite3.Connection,
    target: Path,
    progress: Callable[[int, int, int], None] | None = None,
) -> None:
    """Write the database at one moment to `target`, whole or not at all, while others write it.

    The read transaction holds that moment: without it a copy begins anew with every write.
    `progress` gets SQLite's code, the pages that are left and all of them.
    """
    fresh = target.with_name(f".{target.name}.econode-new")
    fresh.unlink(missing_ok=True)
    try:
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        source.execute("BEGIN")
        try:
            source.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
            with closing(sqlite3.connect(fresh)) as copy:
                source.backup(copy, pages=COPY_PAGES, progress=progress)
        finally:
            source.execute("COMMIT")
        with open(fresh, "rb") as file:
            os.fsync(file.fileno())
        os.replace(fresh, target)
    finally:
        fresh.unlink(missing_ok=True)


def connect_readonly(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_S_MAX, isolation_level=None)


def _read_version(connection: sqlite3.Connection, schema: Schema) -> int | None:
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version")
    )
    return int(version) if application == schema.application_id else None

"""A database of each earlier version opens, keeps what it holds, and looks like a new one then."""

import contextlib
import sqlite3
import tarfile
from pathlib import Path

import pytest

from node import migrations
from node.ledger import Ledger, LedgerError
from node.ledger_load import run_with_loop
from node.ledger_verify import verify_ledger
from node.vote_log import VoteLog, VoteLogError
from protocols.step import Persist
from tests.ledger.network import MEMBERS, Network

FIXTURES = Path(__file__).with_name("fixtures")
VERSIONS = range(1, migrations.LEDGER.version)


def read_schema(path: Path) -> dict[str, str]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        return {name: "".join(sql.split()) for name, sql in rows}


def read_rows(path: Path) -> dict[str, list[object]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table'"
        ).fetchall()
        return {name: connection.execute(f"SELECT * FROM {name}").fetchall() for (name,) in tables}


def set_version(path: Path, version: int) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")


async def open_ledger(path: Path, network: Network) -> None:
    async with Ledger.open(path, network.id):
        pass


def open_votes(path: Path, network: Network) -> VoteLog:
    return VoteLog(path, network.id, MEMBERS[0].public)


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture(params=VERSIONS)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with both files of an earlier version."""
    with tarfile.open(FIXTURES / f"schema-{request.param}.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    return tmp_path


def test_an_old_ledger_is_migrated_and_still_proven(
    old: Path, network: Network, tmp_path: Path
) -> None:
    path = old / "ledger.sqlite3"
    version = migrations.read_version(path, migrations.LEDGER)
    assert verify_ledger(path, network.genesis).is_valid  # before: reading needs no migration
    before = read_rows(path)
    run_with_loop(open_ledger, path, network)
    assert migrations.read_version(path, migrations.LEDGER) == migrations.LEDGER.version
    assert read_rows(path).items() >= before.items()
    assert verify_ledger(path, network.genesis).is_valid
    copy = path.with_name(f"{path.name}.schema-{version}")
    assert read_rows(copy) == before
    assert migrations.read_version(copy, migrations.LEDGER) == version
    fresh = tmp_path / "fresh.sqlite3"
    run_with_loop(open_ledger, fresh, network)
    assert read_schema(path) == read_schema(fresh)


async def test_an_old_vote_log_keeps_its_votes(old: Path, network: Network, tmp_path: Path) -> None:
    path = old / "votes.sqlite3"
    votes = open_votes(path, network)
    rows = await votes.read_rows(network.committee.id)
    votes.close()
    assert rows == [Persist(network.committee.id, "accepted", 0, 11, b"what it accepted", 0)]
    fresh = tmp_path / "fresh.sqlite3"
    open_votes(fresh, network).close()
    assert read_schema(path) == read_schema(fresh)


def test_a_migration_that_fails_leaves_the_old_file(
    old: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = old / "ledger.sqlite3"
    version, before = migrations.read_version(path, migrations.LEDGER), read_rows(path)
    steps = dict(migrations.LEDGER.steps)
    last = migrations.LEDGER.version - 1
    steps[last] = [*steps[last], "DROP TABLE of_nothing"]
    broken = migrations.Schema("ledger", last + 1, migrations.LEDGER.application_id, steps)
    monkeypatch.setattr(migrations, "LEDGER", broken)
    with pytest.raises(LedgerError, match="cannot be brought to schema"):
        run_with_loop(open_ledger, path, network)
    assert migrations.read_version(path, migrations.LEDGER) == version
    assert read_rows(path) == before


def test_a_newer_file_is_refused_and_left_alone(
    old: Path, network: Network, tmp_path: Path
) -> None:
    for name in ("ledger.sqlite3", "votes.sqlite3"):
        set_version(old / name, 99)
    with pytest.raises(LedgerError, match=r"newer version .*upgrade Econode"):
        run_with_loop(open_ledger, old / "ledger.sqlite3", network)
    with pytest.raises(VoteLogError, match=r"newer version .*upgrade Econode"):
        open_votes(old / "votes.sqlite3", network)
    assert not list(tmp_path.glob("*.schema-*"))

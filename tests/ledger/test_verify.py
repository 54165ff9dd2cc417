"""The offline check proves a real ledger again, and names whatever was changed in it."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest
import trio
import trio_asyncio

from crdt.heads import ForkProof, sign_head
from crdt.log import append
from node.ledger import Ledger, LedgerError
from node.ledger_verify import Report, verify_ledger
from tests.ledger.network import MEMBERS, Network, make_genesis

NETWORK = Network()
BATCHES = [
    NETWORK.make_genesis_batch(),
    *(NETWORK.make_batch(2, 10 ** (3 * i)) for i in range(3)),
    *NETWORK.make_task_batches(),
    NETWORK.make_batch(0),
]
COLUMNS = {
    "batches": ("committee", "position", "digest", "time_ms", "operations", "proof"),
    "entries": ("committee", "position", "previous", "time_ms", "root", "hash"),
    "records": ("committee", "position", "item", "kind", "task", "data", "hash"),
    "certificates": ("committee", "position", "data"),
    "log_entries": ("author", "position", "data", "proof"),
    "forks": ("author", "position", "data"),
    "tasks": ("task", "requester", "state", "round", "budget", "opened_ms"),
    "balances": ("account", "bucket", "amount"),
    "record_accounts": ("account", "position", "item"),
}
FLIPS_PER_COLUMN = 6


async def write(path: Path) -> None:
    async with trio_asyncio.open_loop(), Ledger.open(path, NETWORK.id) as ledger:
        for batch in BATCHES:
            ledger.append(batch)
            ledger.put_certificate(batch.committee, batch.position, NETWORK.certify(batch.entry))
        previous = bytes(32)
        for position in range(4):
            entry = append(MEMBERS[0].public, position, previous, 5, [b"item", b"other"])
            previous = entry.header.hash()
            ledger.append_log_entry(entry, sign_head(MEMBERS[0], NETWORK.id, entry.header))
        proofs = [
            sign_head(MEMBERS[1], NETWORK.id, append(MEMBERS[1].public, 0, bytes(32), n, []).header)
            for n in range(2)
        ]
        fork = ForkProof.make(MEMBERS[1].public, 0, *proofs)
        ledger.put_fork(fork.author, fork.position, fork.encode())


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("ledger") / "ledger.sqlite3"
    trio.run(write, found)
    return found


def verify(path: Path) -> Report:
    return verify_ledger(path, NETWORK.genesis)


def test_an_honest_ledger_is_proven_whole(path: Path) -> None:
    report = verify(path)
    assert report.findings == []
    assert report.is_valid
    assert report.batches == report.certificates == len(BATCHES)
    assert report.operations == 11
    assert report.records == sum(len(batch.entry.items) for batch in BATCHES)
    assert report.log_entries == 4
    assert (report.position, report.head) == (*(len(BATCHES) - 1, BATCHES[-1].entry.header.hash()),)
    assert report.totals["minted"] == 4 * 1_001_000
    assert report.totals["escrow"] > 0


def flip(value: object, source: random.Random) -> object:
    """The value with one bit of one byte flipped."""
    if isinstance(value, int):
        return value ^ (1 << source.randrange(20))
    data = bytearray(value.encode() if isinstance(value, str) else value)  # type: ignore[arg-type]
    data[source.randrange(len(data))] ^= 1 << source.randrange(7)
    return data.decode() if isinstance(value, str) else bytes(data)


def change_one(path: Path, table: str, column: str, source: random.Random) -> str | None:
    """Flip a byte in a random row; what was changed, in words."""
    connection = sqlite3.connect(path)
    connection.execute(f"DROP TRIGGER IF EXISTS {table}_update")
    rows = connection.execute(f"SELECT * FROM {table}").fetchall()
    names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    keys = [row[1] for row in connection.execute(f"PRAGMA table_info({table})") if row[5]]
    row = dict(zip(names, source.choice(rows), strict=True))
    if row[column] is None:
        connection.close()
        return None
    value = flip(row[column], source)
    where = " AND ".join(f"{key} = ?" for key in keys)
    try:
        connection.execute(
            f"UPDATE {table} SET {column} = ? WHERE {where}",
            (value, *(row[key] for key in keys)),
        )
        connection.commit()
    except sqlite3.IntegrityError:  # another row has that key: not a change
        return None
    finally:
        connection.close()
    if table == "balances" and row["amount"] == 0:
        return None  # a balance of nothing, whoever's, is no balance
    return f"{table}.{column} of {row}: {value!r}"


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in COLUMNS for column in COLUMNS[table]]
)
def test_a_flipped_byte_is_found_and_named(
    path: Path, tmp_path: Path, table: str, column: str
) -> None:
    source = random.Random(f"{table}.{column}")
    for number in range(FLIPS_PER_COLUMN):
        copy = tmp_path / str(number)
        shutil.copy(path, copy)
        change = change_one(copy, table, column, source)
        if change is None:
            continue
        report = verify(copy)
        assert not report.is_valid, change
        assert table in {finding.table for finding in report.findings}, (change, report.findings)
        copy.unlink()


def test_the_row_is_named(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "l"
    shutil.copy(path, copy)
    connection = sqlite3.connect(copy)
    connection.execute("DROP TRIGGER records_update")
    (data,) = connection.execute(
        "SELECT data FROM records WHERE position = 2 AND item = 1"
    ).fetchone()
    changed = data[:-1] + bytes([data[-1] ^ 1])
    connection.execute("UPDATE records SET data = ? WHERE position = 2 AND item = 1", (changed,))
    connection.commit()
    connection.close()
    found = {(each.table, each.row.partition("/")[2]) for each in verify(copy).findings}
    assert ("records", "2/1") in found
    assert {row for table, row in found if table == "records"} <= {"2/1", ""}


@pytest.mark.parametrize("table", ["batches", "entries", "records", "tasks", "balances"])
def test_a_missing_row_is_found(path: Path, tmp_path: Path, table: str) -> None:
    copy = tmp_path / "l"
    shutil.copy(path, copy)
    connection = sqlite3.connect(copy)
    connection.execute(f"DROP TRIGGER IF EXISTS {table}_delete")
    where = "position = 2" if table in ("batches", "entries", "records") else "1"
    connection.execute(f"DELETE FROM {table} WHERE {where}")
    connection.commit()
    connection.close()
    report = verify(copy)
    assert table in {finding.table for finding in report.findings}


def test_flipped_bytes_of_the_file_never_pass_for_other_content(path: Path, tmp_path: Path) -> None:
    """Whatever byte of the file is flipped: it is found, or no content has changed."""
    data, source = path.read_bytes(), random.Random(7)
    content = dump(path)
    copy = tmp_path / "l"
    for _ in range(60):
        damaged = bytearray(data)
        index = source.randrange(100, len(data))
        damaged[index] ^= 1 << source.randrange(8)
        copy.write_bytes(damaged)
        try:
            is_valid = verify(copy).is_valid
        except LedgerError:
            continue
        assert not is_valid or dump(copy) == content, index


def dump(path: Path) -> list[object]:
    connection = sqlite3.connect(path)
    try:
        return [connection.execute(f"SELECT * FROM {table}").fetchall() for table in COLUMNS]
    finally:
        connection.close()


def test_another_genesis_and_absent_files(path: Path, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="belongs to"):
        verify_ledger(path, make_genesis("other"))
    with pytest.raises(LedgerError, match="cannot be opened"):
        verify(tmp_path / "absent")
    (tmp_path / "text").write_text("no ledger" * 1_000)
    with pytest.raises(LedgerError, match="cannot be read"):
        verify(tmp_path / "text")

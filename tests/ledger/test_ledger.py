"""The ledger writes in order, in groups and durably, and reads back what was written."""

import functools
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_asyncio

from crdt import log
from crdt.facts import decode_fact
from node import ledger as ledger_module
from node.ledger import Ledger, LedgerError, LedgerFull
from tests.ledger.network import MEMBERS, Network

Test = Callable[..., Awaitable[None]]


def in_loop(test: Test) -> Test:
    """The test inside an asyncio loop, as the node runs."""

    @functools.wraps(test)
    async def run(*arguments: Any, **named: Any) -> None:
        async with trio_asyncio.open_loop():
            await test(*arguments, **named)

    return run


@in_loop
async def test_batches_come_back_whole(tmp_path: Path) -> None:
    network = Network()
    batches = [network.make_genesis_batch(), *(network.make_batch(i % 4) for i in range(40))]
    async with Ledger.open(tmp_path / "l", network.id) as ledger:
        for batch in batches:
            ledger.append(batch)
        ledger.put_certificate(network.committee.id, 3, network.certify(batches[3].entry))
        await ledger.flush()
        last = await ledger.get_last(network.committee.id)
        read = await ledger.read_batches(
            network.committee.id, 0, count_max=1_000, bytes_max=1 << 30
        )
        part = await ledger.read_batches(network.committee.id, 20, count_max=5, bytes_max=1 << 30)
        first = await ledger.read_batches(network.committee.id, 3, count_max=5, bytes_max=1)
        certificate = await ledger.get_certificate(network.committee.id, 3)
    assert last == (40, batches[-1].entry.header.hash())
    assert read == batches
    assert part == batches[20:25]
    assert first == batches[3:4]
    assert certificate == network.certify(batches[3].entry)


@in_loop
async def test_it_goes_on_after_a_restart(tmp_path: Path) -> None:
    network = Network()
    batches = [network.make_genesis_batch(), *(network.make_batch() for _ in range(9))]
    for batch in batches:
        async with Ledger.open(tmp_path / "l", network.id) as ledger:
            with pytest.raises(LedgerError, match="does not follow"):
                ledger.append(batches[0] if batch.position else batches[1])
            ledger.append(batch)  # written when the block is left
    async with Ledger.open(tmp_path / "l", network.id) as ledger:
        assert await ledger.get_last(network.committee.id) == (9, batches[-1].entry.header.hash())
        balances = await ledger.read_balances(network.committee.id)
    assert balances == network.chain.state.stake.balances()


@in_loop
async def test_facts_of_a_kind_or_task_are_found_by_its_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left to itself SQLite reads all records of the committee."""
    asked: list[str] = []
    network = Network()
    async with Ledger.open(tmp_path / "l", network.id) as ledger:
        fetch = ledger._fetch

        async def listen(sql: str, *parameters: Any) -> list[Any]:
            asked.extend(row[3] for row in await fetch(f"EXPLAIN QUERY PLAN {sql}", *parameters))
            return await fetch(sql, *parameters)

        monkeypatch.setattr(ledger, "_fetch", listen)
        for newest_first in (False, True):
            some = {"count_max": 9, "after": (1, 1), "newest_first": newest_first}
            await ledger.read_facts(network.committee.id, kind="slashed", **some)
            await ledger.read_facts(network.committee.id, task=bytes(32), **some)
    records = [step for step in asked if " r " in step]
    assert len(records) == 4
    assert all("USING INDEX records_by_" in step for step in records), records


@in_loop
async def test_facts_by_filter_and_page(tmp_path: Path) -> None:
    network = Network()
    batches = [network.make_genesis_batch(), network.make_batch(4), network.make_batch(3, 10**9)]
    committee = network.committee.id
    async with Ledger.open(tmp_path / "l", network.id) as ledger:
        for batch in batches:
            ledger.append(batch)
        await ledger.flush()
        every = await ledger.read_facts(committee, count_max=100)
        pages = await ledger.read_facts(committee, count_max=4)
        while page := await ledger.read_facts(
            committee, count_max=4, after=(pages[-1].position, pages[-1].item)
        ):
            pages += page
        newest = await ledger.read_facts(committee, count_max=100, newest_first=True)
        rejected = await ledger.read_facts(committee, count_max=100, kind="rejected")
        account = MEMBERS[0].public
        own = await ledger.read_facts(committee, count_max=100, account=account)
        own_paid = await ledger.read_facts(committee, count_max=1, account=account, kind="paid")
        proofs = await ledger.prove_facts(committee, 1, [2, 3])
        assert await ledger.prove_facts(committee, 1, [2, 4]) is None
    assert [row.data for row in every] == [item for b in batches for item in b.entry.items]
    assert pages == every == newest[::-1]
    assert [(row.position, row.kind) for row in rejected] == [(2, "rejected")] * 3
    assert own == [row for row in every if account in row.data]
    assert own_paid == [row for row in own if row.kind == "paid"][:1]
    assert proofs is not None
    for proof in proofs:
        assert log.verify_path(proof.data, proof.item, proof.count, proof.path, proof.header.root)
        assert proof.header == batches[1].entry.header
    assert decode_fact(proof.data)


@in_loop
async def test_rows_are_never_changed(tmp_path: Path) -> None:
    network = Network()
    async with Ledger.open(tmp_path / "l", network.id) as ledger:
        batch = network.make_genesis_batch()
        ledger.append(batch)
        ledger.put_certificate(network.committee.id, 0, b"c")
        ledger.append_log_entry(log.append(bytes(32), 0, bytes(32), 1, []), b"p")
        ledger.put_fork(bytes(32), 0, b"f")
    connection = sqlite3.connect(tmp_path / "l")
    for table in (
        *("network", "batches", "entries", "records", "certificates", "log_entries", "forks"),
    ):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(f"DELETE FROM {table}")
        column = connection.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchone()[0]
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(f"UPDATE {table} SET {column} = {column}")
    connection.close()


@in_loop
async def test_foreign_newer_and_damaged_files(tmp_path: Path) -> None:
    network = Network()
    async with Ledger.open(tmp_path / "l", network.id):
        pass
    with pytest.raises(LedgerError, match="belongs to"):
        async with Ledger.open(tmp_path / "l", bytes(32)):
            pass
    connection = sqlite3.connect(tmp_path / "l")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(LedgerError, match="newer version"):
        async with Ledger.open(tmp_path / "l", network.id):
            pass
    other = sqlite3.connect(tmp_path / "other")
    other.execute("CREATE TABLE t (a)")
    other.close()
    (tmp_path / "text").write_text("not a database, and long enough to be read as one\n" * 100)
    for name, words in (("other", "not a ledger"), ("text", "not a database"), ("no/l", "open")):
        with pytest.raises(LedgerError, match=words):
            async with Ledger.open(tmp_path / name, network.id):
                pass


@in_loop
async def test_a_full_queue_refuses_and_the_waiting_variant_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "QUEUE_COUNT_MAX", 4)
    network = Network()
    async with Ledger.open(tmp_path / "l", network.id) as ledger:
        ledger.append(network.make_genesis_batch())
        batches = [network.make_batch() for _ in range(30)]
        for batch in batches[:3]:
            ledger.append(batch)
        with pytest.raises(LedgerFull):
            ledger.append(batches[3])
        for batch in batches[3:]:
            await ledger.append_wait(batch)
        await ledger.flush()
        assert await ledger.get_last(network.committee.id) == (
            *(30, batches[-1].entry.header.hash()),
        )


@in_loop
async def test_a_failing_write_reaches_everyone(tmp_path: Path) -> None:
    network = Network()

    async def write() -> None:
        async with Ledger.open(tmp_path / "l", network.id) as ledger:
            connection = sqlite3.connect(tmp_path / "l")
            connection.execute("DROP TABLE records")
            connection.close()
            ledger.append(network.make_genesis_batch())
            with pytest.raises(LedgerError):
                await ledger.flush()
            with pytest.raises(LedgerError):
                ledger.put_certificate(bytes(16), 0, b"")
            await trio.sleep_forever()

    with pytest.raises(LedgerError, match="cannot be written"):
        await write()
    connection = sqlite3.connect(tmp_path / "l")
    assert connection.execute("SELECT count(*) FROM batches").fetchone() == (0,)
    connection.close()


@in_loop
async def test_a_cancelled_ledger_writes_what_is_queued(tmp_path: Path) -> None:
    network = Network()
    with trio.CancelScope() as scope:
        async with Ledger.open(tmp_path / "l", network.id) as ledger:
            ledger.append(network.make_genesis_batch())
            ledger.append(network.make_batch())
            scope.cancel()
            await trio.sleep_forever()
    async with Ledger.open(tmp_path / "l", network.id) as ledger:
        last = await ledger.get_last(network.committee.id)
        assert last is not None
        assert last[0] == 1


@in_loop
async def test_an_error_of_the_block_stays_itself(tmp_path: Path) -> None:
    with pytest.raises(KeyError):
        async with Ledger.open(tmp_path / "l", bytes(32)):
            raise KeyError("x")


@in_loop
async def test_peers_logs_and_forks_come_back(tmp_path: Path) -> None:
    author = MEMBERS[0].public
    entries = []
    previous = log.GENESIS_PREVIOUS
    for position in range(5):
        entries.append(log.append(author, position, previous, 5, [b"item"] * position))
        previous = entries[-1].header.hash()
    async with Ledger.open(tmp_path / "l", bytes(32)) as ledger:
        for entry in (*entries, entries[0]):
            ledger.append_log_entry(entry, b"proof")
        ledger.put_fork(author, 3, b"fork")
        await ledger.flush()
        assert await ledger.read_log_authors() == [(author, 4)]
        assert await ledger.read_log(author, 1, count_max=2) == [
            (entry, b"proof") for entry in entries[1:3]
        ]
        assert await ledger.read_forks() == [(author, 3, b"fork")]

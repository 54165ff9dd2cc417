"""Logs exported, imported elsewhere and verified offline; what was changed is found."""

import random
import sqlite3
from pathlib import Path

import pytest
import trio
import trio_asyncio

from crdt import log
from crdt.heads import sign_head
from identity import schema
from identity.errors import InvalidBytes
from node.ledger import Ledger
from node.ledger_export import Exported, export_logs
from node.ledger_import import Imported, import_archive, verify_archive
from node.ledger_verify import verify_ledger
from node.problem import Problem
from protocols import archive
from protocols.archive import RecordWriter, read_records
from protocols.evidence import Evidence
from tests.ledger import test_states, test_verify, test_verify_committees
from tests.ledger.network import MEMBERS, Network, make_genesis
from tests.ledger.test_verify_committees import VILLAGE

NETWORK = test_verify.NETWORK
GENESIS = NETWORK.genesis
FLIPS = 16
TABLES = ("batches", "entries", "records", "certificates", "log_entries", "forks", "balances")
NOW_MS = 1_800_000_000_000


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "ledger.sqlite3"
    trio.run(test_verify.write, path)
    return path


@pytest.fixture(scope="module")
def exported(ledger: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("file") / "logs.econode"
    done = export_logs(ledger, NETWORK.id, path)
    assert done == Exported(path.stat().st_size, 1, 7, 7, 0, 4, 1)
    return path


def take(source: Path, target: Path) -> Imported:
    return import_archive(source, target, GENESIS, NOW_MS)


def dump(path: Path) -> dict[str, list[tuple[object, ...]]]:
    with sqlite3.connect(path) as db:
        return {t: sorted(db.execute(f"SELECT * FROM {t}").fetchall(), key=repr) for t in TABLES}


def rewrite(source: Path, target: Path, change: object) -> None:
    """The file with another record in place of each, and a digest that fits."""
    writer = RecordWriter()
    with source.open("rb") as file, target.open("wb") as out:
        for number, record in enumerate(read_records(file.read)):
            for made in change(number, record):  # type: ignore[operator]
                out.write(writer.encode(made))
        out.write(writer.encode_end())


def test_all_of_a_ledger_comes_through(ledger: Path, exported: Path, tmp_path: Path) -> None:
    report = verify_archive(exported, GENESIS)
    assert (report.findings, report.is_valid, report.log_entries) == ([], True, 4)
    target = tmp_path / "ledger.sqlite3"
    done = take(exported, target)
    assert (done.batches, done.certificates, done.entries, done.forks) == (7, 7, 4, 1)
    assert dump(target) == dump(ledger)
    assert verify_ledger(target, GENESIS).is_valid
    assert take(exported, target) == Imported(committees=[NETWORK.committee.id])
    assert dump(target) == dump(ledger)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".import")]
    again = tmp_path / "again.econode"
    export_logs(target, NETWORK.id, again)
    assert again.read_bytes() == exported.read_bytes()


def test_what_is_missing_is_added_to_what_is_there(exported: Path, tmp_path: Path) -> None:
    target = tmp_path / "ledger.sqlite3"

    async def begin() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(target, NETWORK.id) as held:
            for batch in test_verify.BATCHES[:3]:
                held.append(batch)

    trio.run(begin)
    done = take(exported, target)
    assert (done.batches, done.certificates, done.entries) == (4, 7, 4)
    assert verify_ledger(target, GENESIS).is_valid


@pytest.mark.parametrize("seed", range(FLIPS))
def test_a_flipped_byte_of_the_file_is_found(exported: Path, tmp_path: Path, seed: int) -> None:
    source = random.Random(seed)
    data = bytearray(exported.read_bytes())
    data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    spoilt = tmp_path / "spoilt.econode"
    spoilt.write_bytes(data)
    assert not verify_archive(spoilt, GENESIS).is_valid
    target = tmp_path / "ledger.sqlite3"
    with pytest.raises(Problem, match="proves nothing"):
        take(spoilt, target)
    assert not target.exists()


@pytest.mark.parametrize("seed", range(FLIPS))
def test_a_flipped_byte_under_a_digest_that_fits_is_found(
    exported: Path, tmp_path: Path, seed: int
) -> None:
    """Whoever changes the file can write the digest anew; signatures are out of reach."""
    source = random.Random(seed)
    with exported.open("rb") as file:
        chosen = source.randrange(sum(1 for _ in read_records(file.read)))
    spoilt = tmp_path / "spoilt.econode"

    def change(number: int, record: object) -> list[object]:
        if number != chosen:
            return [record]
        while True:
            data = bytearray(schema.encode(record))  # type: ignore[arg-type]
            data[source.randrange(len(data))] ^= 1 << source.randrange(8)
            try:
                return [archive._decode(bytes(data))]
            except InvalidBytes:
                continue  # the file's form says so already

    rewrite(exported, spoilt, change)
    assert not verify_archive(spoilt, GENESIS).is_valid


@pytest.mark.parametrize("kind", ["drop", "twice", "end", "tail", "empty"])
def test_missing_repeated_and_cut_off_records(exported: Path, tmp_path: Path, kind: str) -> None:
    spoilt = tmp_path / "spoilt.econode"
    data = exported.read_bytes()
    match kind:
        case "drop":
            rewrite(exported, spoilt, lambda n, record: [record] if n != 3 else [])
        case "twice":
            rewrite(exported, spoilt, lambda n, record: [record] * (2 if n == 3 else 1))
        case "end":
            spoilt.write_bytes(data[:-1])
        case "tail":
            spoilt.write_bytes(data + b"\x40")
        case "empty":
            spoilt.write_bytes(b"")
    assert not verify_archive(spoilt, GENESIS).is_valid


def test_huge_lengths_are_refused_before_they_are_read(tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt.econode"
    for data in (b"\x5a\xff\xff\xff\xff", b"\x5b" + bytes(8), b"\x5f", b"\x58\x01\xa0"):
        spoilt.write_bytes(data)
        report = verify_archive(spoilt, GENESIS)
        assert report.findings[0].row == "record 0"


def test_another_network_proves_nothing(exported: Path) -> None:
    report = verify_archive(exported, make_genesis("other"))
    assert "another network" in report.findings[0].problem


def test_one_peers_log_alone(ledger: Path, exported: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.econode"
    done = export_logs(ledger, NETWORK.id, alone, author=MEMBERS[0].public)
    assert (done.entries, done.batches, done.forks) == (4, 0, 0)
    report = verify_archive(alone, GENESIS)
    assert (report.is_valid, report.log_entries) == (True, 4)
    empty = tmp_path / "empty.sqlite3"
    assert take(alone, empty).skipped_authors == 1  # nobody there has an account
    target = tmp_path / "ledger.sqlite3"
    take(exported, target)
    assert take(alone, target).entries == 0
    with pytest.raises(Problem, match="no log"):
        export_logs(ledger, NETWORK.id, alone, author=bytes(32))


def test_two_copies_of_a_log_that_differ_freeze_its_author(exported: Path, tmp_path: Path) -> None:
    """The file continues one log after an entry that is not the one that is held."""
    target = tmp_path / "ledger.sqlite3"
    take(exported, target)
    key = MEMBERS[0]
    source = tmp_path / "source.sqlite3"

    async def write() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(source, NETWORK.id) as held:
            first = log.append(key.public, 0, bytes(32), 5, [b"item", b"other"])
            held.append_log_entry(first, sign_head(key, NETWORK.id, first.header))
            second = log.append(key.public, 1, first.header.hash(), 6, [b"another"])
            held.append_log_entry(second, sign_head(key, NETWORK.id, second.header))

    trio.run(write)
    forked = tmp_path / "forked.econode"
    export_logs(source, NETWORK.id, forked, author=key.public)
    done = take(forked, target)
    assert (done.entries, done.forks) == (0, 1)
    assert verify_ledger(target, GENESIS).is_valid
    assert take(forked, target).forks == 0


def test_a_committees_line_alone(tmp_path: Path) -> None:
    source = tmp_path / "ledger.sqlite3"
    test_verify_committees.write_all(source)
    genesis, work = VILLAGE.main.genesis, VILLAGE.work.committee.id
    everything, line = tmp_path / "all.econode", tmp_path / "work.econode"
    assert export_logs(source, VILLAGE.main.id, everything).committees == 3
    assert export_logs(source, VILLAGE.main.id, line, committee=work).committees == 2
    report = verify_archive(line, genesis)
    assert (report.is_valid, [part.name for part in report.parts]) == (True, ["main", "work"])
    assert verify_archive(everything, genesis).is_valid
    target = tmp_path / "target.sqlite3"
    import_archive(line, target, genesis, NOW_MS)
    import_archive(everything, target, genesis, NOW_MS)
    assert dump(target) == dump(source)


def test_a_log_with_a_gap(tmp_path: Path) -> None:
    network, source = Network(), tmp_path / "ledger.sqlite3"
    trio.run(test_states.write, source, network)
    gapped = tmp_path / "gap.econode"
    assert export_logs(source, network.id, gapped).states == 1
    assert verify_archive(gapped, network.genesis).is_valid
    target = tmp_path / "target.sqlite3"
    done = import_archive(gapped, target, network.genesis, NOW_MS)
    assert done.states == 1
    assert dump(target) == dump(source)
    assert verify_ledger(target, network.genesis).is_valid
    again = import_archive(gapped, target, network.genesis, NOW_MS)
    assert (again.batches, again.states, again.certificates) == (0, 0, 0)


def test_a_forked_committee_is_evidence_and_nothing_is_merged(
    exported: Path, tmp_path: Path
) -> None:
    target, other = tmp_path / "ledger.sqlite3", Network()

    async def write() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(target, NETWORK.id) as held:
            held.append(other.make_genesis_batch())
            for amount in (11, 12):
                batch = other.make_batch(1, amount)
                held.append(batch)
                held.put_certificate(batch.committee, batch.position, other.certify(batch.entry))

    trio.run(write)
    assert verify_ledger(target, GENESIS).is_valid
    before = dump(target)
    with pytest.raises(Problem, match="certified two heads"):
        take(exported, target)
    assert dump(target) == before
    with sqlite3.connect(target) as db:
        ((data,),) = db.execute("SELECT data FROM evidence").fetchall()
    told = schema.decode(data, Evidence, size_max=1 << 20)
    assert (told.kind, told.subject) == ("committee", NETWORK.committee.id)
    assert verify_ledger(target, GENESIS).is_valid

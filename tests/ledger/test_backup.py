"""The file of a backup: whole or refused, and a home made of it that remembers where it is from."""

import io
import random
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
import trio

from identity.keys import PrivateKey
from node import backup_file
from node.backup import copy_at_one_moment, read_tips, write_backup
from node.backup_file import Manifest, verify_backup
from node.blob_store import BlobStore
from node.config_file import render_config
from node.home import Home
from node.ledger_verify import verify_ledger
from node.problem import Problem
from node.restore import restore_backup
from node.vote_log import VoteLog
from protocols.genesis import Genesis
from protocols.step import Persist
from tests.ledger.network import MEMBERS, Network
from tests.ledger.test_migrations import FIXTURES
from tests.ledger.test_states import write

ROOT = Path(__file__).resolve().parent.parent.parent
FLIPS = 40
ROW = Persist(b"c" * 16, "accepted", 0, 11, b"what it accepted", 0)


def ignore(what: str, done: int, total: int) -> None:
    """No progress is shown."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A member's home with a ledger, a vote and two blobs."""
    home, network = Home(tmp_path_factory.mktemp("a") / "home"), Network()
    home.make_folder()
    home.write_key(MEMBERS[0], None)
    home.write_token()
    home.write_genesis(network.genesis)
    trio.run(write, home.ledger_path, network)
    votes = VoteLog(home.votes_path, network.id, MEMBERS[0].public)
    trio.run(votes.append, [ROW])
    votes.close()
    store = BlobStore(home.blobs_path, bytes_max=1 << 20)
    for data in (b"an input", b"a result" * 9_999):
        store.put(data)
    home.config_path.write_text(render_config())
    return home


@pytest.fixture(scope="module")
def backup(home: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backups")
    return make(home, folder, with_key=True, with_blobs=True)[0]


def make(
    home: Home, target: Path, *, with_key: bool = False, with_blobs: bool = False
) -> tuple[Path, Manifest]:
    return write_backup(home, target, with_key=with_key, with_blobs=with_blobs, progress=ignore)


def restore(
    source: Path, target: Path, *, key: Path | None = None, votes_are_current: bool = False
) -> Home:
    home = Home(target)
    restore_backup(source, home, key=key, votes_are_current=votes_are_current, progress=ignore)
    return home


def read_rows(home: Home) -> list[Persist]:
    votes = VoteLog(home.votes_path, Network().id, MEMBERS[0].public)
    found: list[Persist] = []

    async def read() -> None:
        found.extend(await votes.read_rows(ROW.committee))

    trio.run(read)
    votes.close()
    return found


def list_names(path: Path) -> list[str]:
    with tarfile.open(path) as tar:
        return tar.getnames()


def test_a_home_comes_back_and_is_marked(home: Home, backup: Path, tmp_path: Path) -> None:
    made = restore(backup, tmp_path / "new")
    for name in ("config.toml", "genesis.json", "node.key"):
        assert (made.path / name).read_bytes() == (home.path / name).read_bytes()
    assert made.load_token() != home.load_token()
    report = verify_ledger(made.ledger_path, made.load_genesis())
    assert report.is_valid
    manifest = verify_backup(backup, ignore)
    assert (manifest.tips[0].position, manifest.tips[0].head) == (
        report.position,
        report.head.hex(),
    )
    store = BlobStore(made.blobs_path, bytes_max=1 << 20)
    assert store.get(sha256(b"an input").digest()) == b"an input"
    rows = read_rows(made)
    assert ROW in rows
    assert "restored" in {row.kind for row in rows}
    assert made.path.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in made.path.rglob("*"))


def test_the_mark_goes_where_the_core_says_so(backup: Path, tmp_path: Path) -> None:
    made = restore(backup, tmp_path / "new")
    votes = VoteLog(made.votes_path, Network().id, MEMBERS[0].public)
    trio.run(votes.append, [Persist(ROW.committee, "passed", 0, 0, b"", 0)])
    votes.close()
    assert read_rows(made) == [ROW]
    assert read_rows(restore(backup, tmp_path / "moved", votes_are_current=True)) == [ROW]


def test_keys_and_blobs_are_in_it_only_where_asked_for(home: Home, tmp_path: Path) -> None:
    path, manifest = make(home, tmp_path)
    assert path.parent == tmp_path
    parts = ["config.toml", "genesis.json", "votes.sqlite3", "ledger.sqlite3"]
    assert list_names(path) == [*parts, "manifest.json"]
    assert [part.name for part in manifest.parts] == parts
    key = PrivateKey.generate().seed
    data = path.read_bytes()
    assert MEMBERS[0].seed not in data
    assert home.key_path.read_bytes() not in data
    assert home.load_token().encode() not in data
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(Problem, match="without the key"):
        restore(path, tmp_path / "new")
    other = Home(tmp_path)
    other.write_key(PrivateKey(key), None)
    with pytest.raises(Problem, match="the backup is of"):
        restore(path, tmp_path / "new", key=other.key_path)
    assert restore(path, tmp_path / "new", key=home.key_path).load_peer_id() == manifest.peer_id
    with pytest.raises(Problem, match="replaces no other file"):
        make(home, path)


def test_a_damaged_file_is_refused_and_leaves_nothing(backup: Path, tmp_path: Path) -> None:
    """Cut anywhere, or with any byte changed, but for padding and what only a tar program reads."""
    whole, choose = backup.read_bytes(), random.Random(7)
    cuts = [whole[: choose.randrange(len(whole) - 1_024)] for _ in range(FLIPS // 2)]
    flips = []
    with tarfile.open(backup) as tar:
        members = [member for member in tar.getmembers() if member.size]
    for member in members:
        for _ in range(FLIPS // len(members)):
            at = member.offset_data + choose.randrange(member.size)
            flips.append(
                whole[:at] + bytes([whole[at] ^ 1 << choose.randrange(8)]) + whole[at + 1 :]
            )
    for number, data in enumerate([b"", *cuts, *flips]):
        path = tmp_path / f"{number}.backup"
        path.write_bytes(data)
        with pytest.raises(Problem):
            restore(path, tmp_path / "new")
        path.unlink()
        assert list(tmp_path.iterdir()) == []


def add(tar: tarfile.TarFile, name: str, data: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    tar.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize(
    ("name", "fields", "words"),
    [
        ("../outside", {}, "unknown member"),
        ("/tmp/outside", {}, "unknown member"),
        ("blobs/../../outside", {}, "unknown member"),
        ("config.toml", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}, "no regular member"),
        ("n" * 300, {}, "no regular member"),
        ("genesis.json", {}, "stands twice"),
    ],
)
def test_hostile_members_are_refused(
    backup: Path, tmp_path: Path, name: str, fields: dict[str, object], words: str
) -> None:
    path = tmp_path / "hostile.backup"
    with tarfile.open(backup) as source, tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for member in source.getmembers()[:2]:
            tar.addfile(member, source.extractfile(member))
        add(tar, name, b"x" if not fields else b"", **fields)
    with pytest.raises(Problem, match=words):
        restore(path, tmp_path / "new")
    assert list(tmp_path.iterdir()) == [path]


def test_a_large_claim_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "large.backup"
    header = tarfile.TarInfo("config.toml")
    header.size = 1 << 50
    path.write_bytes(header.tobuf(tarfile.GNU_FORMAT))
    with pytest.raises(Problem, match="at most"):
        restore(path, tmp_path / "new")


def test_parts_of_two_nodes_make_no_home(home: Home, backup: Path, tmp_path: Path) -> None:
    """Each part is whole, and the manifest fits them: but the votes are another key's."""
    folder = tmp_path / "mixed"
    shutil.copytree(home.path, folder)
    mixed = Home(folder)
    mixed.votes_path.unlink()
    VoteLog(mixed.votes_path, Network().id, MEMBERS[1].public).close()
    path, _ = make(mixed, tmp_path / "mixed.backup", with_key=True)
    with pytest.raises(Problem, match="not of one node"):
        restore(path, tmp_path / "new")


def test_an_older_backup_is_migrated_as_it_is_marked(home: Home, tmp_path: Path) -> None:
    old = Home(tmp_path / "old")
    shutil.copytree(home.path, old.path)
    for path in (old.votes_path, old.ledger_path):
        path.unlink()
    with tarfile.open(FIXTURES / "schema-1.tar.gz") as tar:
        tar.extractall(old.path, filter="data")
    path, manifest = make(old, tmp_path / "old.backup", with_key=True)
    assert manifest.schemas == {"votes.sqlite3": 1, "ledger.sqlite3": 1}
    made = restore(path, tmp_path / "new")
    votes = VoteLog(made.votes_path, Network().id, MEMBERS[0].public)
    votes.close()
    with closing(sqlite3.connect(made.votes_path)) as connection:
        assert connection.execute("SELECT backup_ms FROM restored").fetchall() == [
            (manifest.created_ms,)
        ]


def test_alone_it_says_that_nobody_remembers(home: Home, tmp_path: Path) -> None:
    genesis: Genesis = msgspec.structs.replace(
        home.load_genesis(), members=home.load_genesis().members[:1]
    )
    alone = Home(tmp_path / "alone")
    alone.make_folder()
    alone.write_key(MEMBERS[0], None)
    alone.write_genesis(genesis)
    alone.config_path.write_text(render_config())
    network = Network()
    network.genesis, network.id = genesis, genesis.compute_network_id()

    async def open_ledger() -> None:
        import trio_asyncio

        from node.ledger import Ledger

        async with trio_asyncio.open_loop(), Ledger.open(alone.ledger_path, network.id):
            pass

    trio.run(open_ledger)
    VoteLog(alone.votes_path, network.id, MEMBERS[0].public).close()
    path, _ = make(alone, tmp_path / "b", with_key=True)
    with pytest.raises(Problem, match="nobody who remembers"):
        restore(path, tmp_path / "new")
    assert restore(path, tmp_path / "new", votes_are_current=True).has_history()


def test_what_reads_back_differently_does_not_stay(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that changes what is written."""
    written = backup_file.BackupWriter.finish

    def finish(writer: backup_file.BackupWriter, manifest: Manifest) -> None:
        writer._file.seek(600)
        writer._file.write(b"?")
        writer._file.seek(0, io.SEEK_END)
        written(writer, manifest)

    monkeypatch.setattr(backup_file.BackupWriter, "finish", finish)
    with pytest.raises(Problem, match="reads back differently"):
        make(home, tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_copy_is_of_one_moment_however_fast_others_write(tmp_path: Path) -> None:
    """Whatever was acknowledged before the copy began is in it, and it is sound."""
    path = tmp_path / "ledger.sqlite3"
    command = [sys.executable, "-m", "tests.ledger.writer", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as writer:
        try:
            assert writer.stdout is not None
            for number in range(3):
                acknowledged = [int(writer.stdout.readline()) for _ in range(20)][-1]
                copy = tmp_path / f"copy-{number}"
                copy_at_one_moment(path, copy, ignore)
                with closing(sqlite3.connect(copy)) as connection:
                    (tip,) = read_tips(connection)
                assert tip.position >= acknowledged
                report = verify_ledger(copy, Network().genesis)
                assert report.is_valid
                assert report.position == tip.position
        finally:
            writer.kill()

"""`econode devnet` as a person runs it: the job done right among liars, crashes and interrupts."""

import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from node import client
from node.home import Home
from node.ledger_verify import verify_ledger
from tests.system.network import ROOT, Done, econode, make_environment, wait_until

FILES = 24
RUN_S_MAX = 110.0
FIELDS = {"auction", "execution", "verification", "settlement", "total"}


@pytest.fixture(scope="session")
def job(tmp_path_factory):
    """A folder of FILES small texts, one of them empty, one not text."""
    folder = tmp_path_factory.mktemp("job")
    source = random.Random(24)
    words = ["alpha", "Beta", "gamma's", "délta", "\n", "e-f"]
    for number in range(FILES - 2):
        text = " ".join(source.choices(words, k=source.randrange(1, 3_000)))
        (folder / f"text-{number}.txt").write_text(text)
    (folder / "empty").write_bytes(b"")
    (folder / "deep").mkdir()
    (folder / "deep" / "bytes").write_bytes(source.randbytes(50_000))
    return folder


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Where the homes of finished runs stay."""
    return tmp_path_factory.mktemp("devnets")


def run(*arguments: object) -> dict:
    """A run that must succeed: its document, checked for all that every run must show."""
    done = econode("devnet", "--exit", "--json", *arguments, s_max=RUN_S_MAX)
    assert done.code == 0, done.out[-3_000:] + done.err[-3_000:]
    report = done.document
    assert report["ok"]
    assert report["invariants"] == []
    assert report["settled"] == report["tasks"]
    assert 0 <= count_again(report) <= report["grades"]["poor"]
    assert report["failed"] == report["wrong_results_accepted"] == 0
    assert report["conserved"] is report["roots_equal"] is True
    assert report["slashed"] == report["liars"]
    assert len(report["liars"]) == report["byzantine"]
    assert set(report["phases"]) == FIELDS
    for latency in report["phases"].values():
        assert 0 <= latency["p50_ms"] <= latency["p99_ms"]
        assert latency["count"] == report["tasks"]
    assert report["tasks_per_second"] > 0
    assert len(report["rss_bytes"]) == report["nodes"]
    return report


def count_again(report: dict) -> int:
    """Agreements whose tasks were auctioned again. Each was graded poor; so is one whose result
    others opened in time."""
    return sum(report["grades"].values()) - report["tasks"]


def check_liars(report: dict) -> None:
    """They lied, were caught, banned, and their scores are the lowest."""
    assert set(report["liars"]) <= set(report["banned"])
    assert report["grades"]["byzantine"] >= 1
    honest = [score for peer, score in report["scores"].items() if peer not in report["liars"]]
    assert max(report["scores"][liar] for liar in report["liars"]) < min(honest)


def test_the_default_job_with_a_liar():
    report = run("--nodes", 4, "--byzantine", 1)
    assert report["tasks"] >= 60
    assert (report["nodes"], report["byzantine"]) == (4, 1)
    check_liars(report)
    assert report["folder"] is None


@pytest.mark.full
def test_seven_nodes_with_two_liars(job):
    check_liars(run("--nodes", 7, "--byzantine", 2, "--job", job))


@pytest.mark.full
@pytest.mark.parametrize("victim", ["backup", "primary"])
def test_a_node_killed_during_the_job_catches_up(job, victim, homes):
    folder = homes / victim
    report = run("--job", job, "--restart", victim, "--home", folder, "--seed", 5)
    assert report["tasks"] == FILES
    assert report["restarted"]["was"] == victim
    assert report["restarted"]["caught_up_s"] is not None
    assert report["slashed"] == []
    for number in range(1, 5):
        sound = econode("ledger", "verify", "--home", folder / f"node-{number}", "--json")
        assert sound.code == 0, sound.out


def test_ctrl_c_in_the_middle_leaves_no_process(job, tmp_path):
    folder = tmp_path / "net"
    command = [sys.executable, "-m", "node.cli", "devnet", "--json", "--job", str(job)]
    process = subprocess.Popen(
        [*command, "--home", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=make_environment(),
        cwd=ROOT,
    )
    try:
        requester = Home(folder / "node-1")
        wait_until(lambda: len(list(folder.glob("node-*/node.json"))) == 4, "four nodes are up")
        with client.connect(requester) as node:
            wait_until(lambda: node.tasks("settled").tasks, "the job has begun")
        children = psutil.Process(process.pid).children(recursive=True)
        assert len(children) >= 4
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert b"Traceback" not in err
    assert out == b"" or json.loads(out)
    wait_until(lambda: not any(is_alive(child) for child in children), "no process is left", 5)
    assert not list(folder.glob("node-*/node.json"))


ROW = {
    "records": ("committee", "position", "item"),
    "certificates": ("committee", "position"),
}
FLIPS_EACH = 12


@pytest.fixture(scope="module")
def finished(job, homes):
    """A home of a finished run, the killed backup's, with whatever it had to say."""
    folder = homes / "backup"
    if not folder.exists():
        run("--job", job, "--home", folder)
    return Home(folder / "node-4")


def flip(path: Path, table: str, source: random.Random, row: int | None = None) -> str:
    """Flip a bit in the data of a row, a random one unless `row` says which; what was changed."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute(f"DROP TRIGGER IF EXISTS {table}_update")
        names = ", ".join(ROW[table])
        rows = db.execute(f"SELECT {names}, data FROM {table}").fetchall()
        *key, data = source.choice(rows) if row is None else rows[row]
        changed = bytearray(data)
        place = source.randrange(len(changed))
        changed[place] ^= 1 << source.randrange(8)
        where = " AND ".join(f"{name} = ?" for name in ROW[table])
        db.execute(f"UPDATE {table} SET data = ? WHERE {where}", (bytes(changed), *key))
        db.commit()
    return f"{table} {key[1:]} byte {place}"


@pytest.mark.parametrize("table", ROW)
def test_a_flipped_byte_in_a_real_ledger_is_found(finished, tmp_path, table):
    """In records and certificates drawn at random; the first by the command, as a person would."""
    source = random.Random(table)
    for number in range(FLIPS_EACH):
        copy = copy_ledger(finished, tmp_path / str(number))
        change = flip(copy.ledger_path, table, source)
        if number == 0:
            done = econode("ledger", "verify", "--home", copy.path, "--json")
            assert (done.code, done.document["valid"]) == (1, False), change
            tables = {item["table"] for item in done.document["findings"]}
        else:
            report = verify_ledger(copy.ledger_path, copy.load_genesis())
            assert not report.is_valid, change
            tables = {finding.table for finding in report.findings}
        assert table in tables, change


@pytest.mark.full
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("table", ROW)
def test_a_flipped_byte_in_every_row_of_a_real_ledger_is_found(finished, tmp_path, table):
    source = random.Random(table)
    with contextlib.closing(sqlite3.connect(finished.ledger_path)) as db:
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    for row in range(count):
        copy = copy_ledger(finished, tmp_path / "copy")
        change = flip(copy.ledger_path, table, source, row)
        assert not verify_ledger(copy.ledger_path, copy.load_genesis()).is_valid, change
        shutil.rmtree(copy.path)


def copy_ledger(home: Home, folder: Path) -> Home:
    copy = Home(folder)
    copy.make_folder()
    for path in (home.config_path, home.genesis_path):
        shutil.copy(path, copy.path)
    with contextlib.closing(sqlite3.connect(home.ledger_path)) as db:
        db.execute("VACUUM INTO ?", (str(copy.ledger_path),))
    return copy


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def fail(code: int, *arguments: object) -> Done:
    done = econode("devnet", "--exit", *arguments)
    assert done.code == code, done.out + done.err
    assert done.out == ""
    return done


def test_wrong_arguments_and_folders(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("somebody's")
    assert "no such folder" in fail(1, "--job", tmp_path / "absent").err
    assert "no regular file" in fail(1, "--job", tmp_path / "empty").err
    assert "neither empty nor a devnet" in fail(1, "--home", tmp_path / "full").err
    assert os.listdir(tmp_path / "full") == ["file"]
    assert "3 to 20 nodes" in fail(2, "--nodes", 2).err
    assert "1 liars at most" in fail(2, "--nodes", 4, "--byzantine", 2).err
    assert fail(2, "--restart", "everybody").err
    assert fail(2, "--byzantine", -1).err
    document = econode("devnet", "--json", "--job", tmp_path / "absent").document
    assert document["error"]["type"] == "urn:econode:problem:no-job"

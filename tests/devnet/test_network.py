"""The whole: `econode devnet` as people and CI run it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from devnet import ledger_files, manifest
from devnet.ledger_files import UnreadableLedger
from tests.waiting import wait_until

WAIT_S_MAX = 90.0


def start(*arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "node.cli", "devnet", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(devnet: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    out, err = devnet.communicate(timeout=WAIT_S_MAX)
    return devnet.returncode, out, err


def find_nodes(folder: Path) -> list[psutil.Process]:
    """Processes of the nodes of a devnet in `folder`, and of what they started."""
    found = []
    for process in psutil.process_iter():
        try:
            named = str(folder) in " ".join(process.cmdline()) or process.cwd().startswith(
                str(folder)
            )
            if named and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def make_job(folder: Path, files: int = 8) -> Path:
    folder.mkdir()
    for number in range(files):
        (folder / f"{number}.txt").write_text(f"words of file {number}\n" * (number + 1))
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_the_nodes_start_leaves_nobody(tmp_path, number):
    folder = tmp_path / "net"
    devnet = start("--home", str(folder), "--nodes", "3")
    wait_until(
        lambda: (folder / "node-3" / "node.log").exists(), "the last node was started", WAIT_S_MAX
    )
    devnet.send_signal(number)
    code, out, err = finish(devnet)
    assert (code, out) == (130, b"")
    assert b"no node is left" in err
    assert find_nodes(folder) == []


def test_nobody_outlives_a_devnet_that_was_killed(tmp_path):
    folder = tmp_path / "net"
    devnet = start("--home", str(folder), "--nodes", "3")
    wait_until(lambda: (folder / "node-3" / "lock").exists(), "the nodes run", WAIT_S_MAX)
    assert len(find_nodes(folder)) >= 3
    devnet.kill()
    devnet.communicate()
    wait_until(lambda: not find_nodes(folder), "the nodes are gone", WAIT_S_MAX)


@pytest.mark.full
def test_a_liar_and_a_restart(tmp_path):
    """Four nodes, one of which lies; a backup is killed and comes back. Then its ledger is bent."""
    folder, job = tmp_path / "net", make_job(tmp_path / "job", files=24)
    arguments = ("--byzantine", "1", "--restart", "backup", "--seed", "1", "--json")
    code, out, err = finish(start("--home", str(folder), "--job", str(job), *arguments))
    summary = json.loads(out)
    assert (code, summary["ok"], summary["invariants"]) == (0, True, []), err.decode()
    assert (summary["tasks"], summary["settled"]) == (24, 24)
    assert (summary["wrong_results_accepted"], summary["conserved"]) == (0, True)
    assert summary["slashed"] == summary["liars"] == summary["banned"] != []
    assert summary["restarted"]["caught_up_s"] is not None
    assert find_nodes(folder) == []
    check_reading(folder)


def check_reading(folder: Path) -> None:
    plan = manifest.load(folder)
    home = manifest.get_home(folder, plan.nodes[1])
    history = ledger_files.read_history(home.ledger_path, "node-2", plan.committee)
    assert [entry.position for entry in history.entries] == list(range(len(history.entries)))
    assert not list(ledger_files.verify_file(home.ledger_path, "node-2", home.load_genesis()))
    data = home.ledger_path.read_bytes()
    output = next(fact.output for _, fact in history.facts() if hasattr(fact, "output"))
    home.ledger_path.write_bytes(data.replace(output, bytes(32)))
    found = list(ledger_files.verify_file(home.ledger_path, "node-2", home.load_genesis()))
    assert found
    home.ledger_path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(UnreadableLedger):
        ledger_files.read_history(home.ledger_path, "node-2", plan.committee)


@pytest.mark.full
@pytest.mark.parametrize(
    "arguments",
    [
        ("--restart", "primary"),
        ("--nodes", "7", "--byzantine", "2"),
        ("--nodes", "5"),
        ("--nodes", "3"),
    ],
)
def test_other_networks_do_the_default_job(arguments):
    code, out, err = finish(start("--json", "--seed", "2", *arguments))
    summary = json.loads(out)
    assert (code, summary["ok"]) == (0, True), (summary["invariants"], err.decode())
    assert summary["settled"] == summary["tasks"] >= 60
    assert (summary["folder"], summary["slashed"]) == (None, summary["liars"])


def test_wrong_use_starts_nothing(tmp_path):
    code, _, err = finish(start("--byzantine", "2"))
    assert (code, b"4 nodes stand 1 liars at most" in err) == (2, True)
    code, out, _ = finish(start("--job", str(tmp_path), "--json"))
    assert (code, json.loads(out)["error"]["title"]) == (1, "no job")

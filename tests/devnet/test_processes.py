"""Supervision with real processes: nobody is left behind, whatever ends the devnet."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import psutil
import pytest

from devnet import processes
from devnet.processes import Interrupted, NodeProcess
from tests.waiting import wait_until

WAIT_S_MAX = 20.0


def make_node(folder: Path, body: str, name: str = "node-1") -> NodeProcess:
    """A process that runs `body` once it has written its pid to pid.NAME."""
    script = folder / f"{name}.py"
    head = "import os, pathlib, signal, sys, time\n"
    ready = f"pathlib.Path({str(folder / f'pid.{name}')!r}).write_text(str(os.getpid()))\n"
    body, _, rest = textwrap.dedent(body).partition("READY\n")
    script.write_text(head + body + ready + rest + "time.sleep(60)\n")
    return NodeProcess(name, [sys.executable, str(script)], folder / f"{name}.log")


def wait_ready(folder: Path, name: str = "node-1") -> int:
    path = folder / f"pid.{name}"
    wait_until(lambda: path.exists() and path.read_text(), "the process is up", WAIT_S_MAX)
    return int(path.read_text())


IGNORES = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nREADY\n"
OBEYS = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nREADY\n"
FAILS = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\nREADY\n"


def test_obedient_nodes_end_on_sigterm_and_stubborn_ones_are_killed(tmp_path):
    nodes = [
        make_node(tmp_path, body, f"node-{number}")
        for number, body in enumerate((OBEYS, IGNORES, FAILS), 1)
    ]
    for node in nodes:
        node.start()
        assert wait_ready(tmp_path, node.name) == node.pid
    faults = processes.stop_all(nodes, stop_s_max=1.0)
    assert [node.exit_code for node in nodes] == [0, -signal.SIGKILL, 3]
    assert not any(node.is_running() for node in nodes)
    assert len(faults) == 2
    assert "node-2" in faults[0]
    assert "killed" in faults[0]
    assert "code 3" in faults[1]


def test_a_killed_node_starts_again_in_the_same_log(tmp_path):
    node = make_node(tmp_path, "print('up', flush=True)\nREADY\n")
    node.start()
    first = wait_ready(tmp_path)
    (tmp_path / "pid.node-1").unlink()
    node.kill()
    assert node.exit_code == -signal.SIGKILL
    assert not node.is_running()
    node.start()
    try:
        assert wait_ready(tmp_path) != first
        assert node.starts == 2
        assert node.read_log_end().splitlines() == ["up", "up"]
    finally:
        node.kill()


def test_signals_become_interrupted_and_handlers_are_restored():
    before = signal.getsignal(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        with processes.raise_on_signals(), pytest.raises(Interrupted):
            signal.raise_signal(number)
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_signal_ends_the_wait_for_a_stubborn_node(tmp_path):
    node = make_node(tmp_path, f"{IGNORES}")
    node.start()
    wait_ready(tmp_path)
    helper = subprocess.Popen(
        [sys.executable, "-c", f"import os, signal; os.kill({os.getpid()}, signal.SIGINT)"]
    )
    processes.stop_all([node], stop_s_max=WAIT_S_MAX * 2)
    assert helper.wait() == 0
    assert node.exit_code == -signal.SIGKILL


def test_no_node_outlives_a_devnet_that_was_killed(tmp_path):
    make_node(tmp_path, IGNORES)  # writes node-1.py
    program = f"""
        import sys, time, pathlib
        from devnet.processes import NodeProcess
        folder = pathlib.Path({str(tmp_path)!r})
        node = NodeProcess("node-1", [sys.executable, str(folder / "node-1.py")], folder / "log")
        node.start()
        time.sleep(60)
    """
    devnet = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)])
    try:
        pid = wait_ready(tmp_path)
        assert psutil.Process(pid).ppid() == devnet.pid
    finally:
        devnet.kill()
        devnet.wait()
    wait_until(lambda: not _runs(pid), "the node has gone with its devnet", WAIT_S_MAX)


def _runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_owners_environment_does_not_configure_nodes():
    environment = {"PATH": "/bin", "ECONODE_HOME": "/x", "ECONODE_NETWORK_LISTEN": "y"}
    assert processes.build_environment(environment) == {"PATH": "/bin"}

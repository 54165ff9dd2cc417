"""econode start with the real node: a committee of one, its end, and its ledger afterwards."""

import signal
import socket
import sqlite3
import subprocess
import sys

from people import ROOT, Person, make_environment

from tests.waiting import wait_until


def _start(person, *arguments):
    command = [sys.executable, "-m", "node.cli", "start", "--home", str(person.home), *arguments]
    environment = make_environment()
    del environment["PYTHONWARNINGS"]  # the libraries of a running node warn of their own future
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd=ROOT
    )
    info = person.home / "node.json"
    wait_until(lambda: info.exists() or process.poll() is not None, "the node is ready", 60)
    return process


def _stop(process):
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors.decode()


def _found(person):
    person.do("init", "--listen", f"/ip4/127.0.0.1/tcp/{_find_port()}")
    person.do("genesis", "new", "solo")


def _find_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_node_starts_stops_and_leaves_a_ledger_that_proves_itself(person):
    _found(person)
    process = _start(person, "--allow-single")
    try:
        stake = person.do("stake", "show")
        assert stake["conserved"] is True
        running = person.do("ledger", "verify")
        error = person.fail("home-in-use", "start", "--allow-single")
        assert str(process.pid) in error["detail"]
    finally:
        _stop(process)
    assert not (person.home / "node.json").exists()
    report = person.do("ledger", "verify")
    assert report["valid"]
    assert report["position"] >= running["position"]
    page = person.do("ledger", "log", "--limit", "1")
    assert page["entries"][0]["facts"][0]["kind"] == "minted"
    line = "12D3KooWQZhE7kjTMLcWhdTThyhQRmYCmuju1GNS36bcspW7CxTK@/ip4/127.0.0.1/tcp/1"
    person.fail("genesis-settled", "genesis", "add", line)
    _flip_a_byte(person.home / "ledger.sqlite3")
    forged = person.run("ledger", "verify", "--json")
    assert forged.code == 1
    assert forged.document["valid"] is False
    assert forged.document["findings"]


def _flip_a_byte(path):
    with sqlite3.connect(path) as database:
        database.execute("DROP TRIGGER records_update")
        (data,) = database.execute("SELECT data FROM records LIMIT 1").fetchone()
        changed = data[:-1] + bytes([data[-1] ^ 1])
        database.execute("UPDATE records SET data = ? WHERE data = ?", (changed, data))
    database.close()


def test_another_networks_genesis_is_refused_once_there_is_a_ledger(person, tmp_path):
    _found(person)
    _stop(_start(person, "--allow-single"))
    other = Person(tmp_path / "other")
    _found(other)
    foreign = other.home / "genesis.json"
    person.fail("foreign-genesis", "init", "--genesis", foreign)
    (person.home / "genesis.json").write_bytes(foreign.read_bytes())
    error = person.fail("foreign-genesis", "start", "--allow-single")
    assert error["where"] == str(person.home / "ledger.sqlite3")


def test_a_port_in_use_is_named(person):
    _found(person)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = person.fail("port-in-use", "start", "--allow-single", "--api-port", str(port))
        assert str(port) in error["detail"]

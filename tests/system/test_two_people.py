"""Two people found a network by hand, with init, genesis and start alone, as the README shows."""

import json
import shutil
import socket

import pytest

from tests.system.network import RealNode, econode, read_place, wait_until


def choose_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def people(tmp_path):
    nodes = [RealNode(tmp_path / name) for name in ("alice", "bob")]
    yield nodes
    for node in nodes:
        node.end()


def do(node: RealNode, *arguments: object):
    done = node.econode(*arguments, "--json")
    assert done.code == 0, done.out + done.err
    return json.loads(done.out)


def test_two_people_found_a_network_by_hand(people, tmp_path):
    alice, bob = people
    for person in people:
        do(person, "init", "--listen", f"/ip4/127.0.0.1/tcp/{choose_port()}")
    identity = do(bob, "id")["identity"]
    do(alice, "genesis", "new", "village", "--free", "1000")
    do(alice, "genesis", "add", identity, "--free", "1000")
    shutil.copy(alice.home.genesis_path, tmp_path / "sent.json")
    joined = bob.econode("init", "--genesis", tmp_path / "sent.json", "--json").document
    assert joined["member"]
    for person in people:
        person.start()
    wait_until(lambda: all(person.count_connected() == 1 for person in people), "linked")
    assert "n = 2 members survive no fault (f = 0)" in alice.read_log()
    status = alice.econode("status")
    assert "n = 2, f = 0, q = 2 (it survives no fault)" in status.out
    paid = do(alice, "stake", "transfer", bob.peer_id, "250")
    assert paid["fact"]["amount"] == 250
    wait_until(lambda: read_place(alice) == read_place(bob), "one head")
    free = {a["peer_id"]: a["free"] for a in do(bob, "stake", "show")["accounts"]}
    fees = do(bob, "stake", "show")["treasury"]
    assert free[bob.peer_id] == 1_250
    assert free[alice.peer_id] == 750 - fees == 749
    heads = []
    for person in people:
        assert person.stop() == 0
        report = person.verify()
        assert report["valid"]
        heads.append((report["position"], report["head"]))
    assert heads[0] == heads[1]


@pytest.mark.full
def test_a_network_of_one(people, tmp_path):
    """Refused unless asked for; then it says f = 0, transfers work and tasks are refused."""
    alice, bob = people
    do(alice, "init", "--listen", f"/ip4/127.0.0.1/tcp/{choose_port()}")
    do(alice, "genesis", "new", "solo")
    refused = alice.econode("start", "--json")
    assert refused.code == 1
    error = refused.document["error"]
    assert error["type"] == "urn:econode:problem:single-member"
    assert "f = 0" in error["detail"]
    assert "--allow-single" in error["remedy"]
    assert not alice.home.ledger_path.exists()
    with open(alice.home.config_path, "a") as file:
        file.write('\n[[capability]]\nname = "wc"\nkind = "command"\ntarget = ["wc", "-w"]\n')
    alice.start("--allow-single")
    wait_until(lambda: alice.client.status(), "ready")
    assert "f = 0" in alice.read_log()
    econode("init", "--home", bob.home.path)
    assert do(alice, "stake", "transfer", bob.peer_id, "250")["fact"]["amount"] == 250
    wait_until(lambda: alice.client.capabilities().capabilities, "offered")
    (tmp_path / "input").write_bytes(b"one two")
    work = alice.econode(
        *("task", "submit", "--capability", "wc", "--input", tmp_path / "input", "--json")
    )
    assert work.code == 1
    error = work.document["error"]
    assert error["type"] == "urn:econode:problem:too-few-verifiers"
    assert "max(2, f+1)" in error["detail"]
    assert alice.client.tasks().tasks == ()
    assert alice.client.stake().accounts[0].escrow == 0
    assert alice.stop() == 0
    assert alice.verify()["valid"]

"""Wrong input to a running network, by command and by API: each a clear message, and no change."""

import json
import shutil
import socket
import sqlite3
from contextlib import closing

import httpx
import pytest

from tests.system.network import Network, RealNode, econode, read_place, wait_until


@pytest.fixture
def unchanged(village):
    """The village; afterwards its processes, log and stakes are as before."""
    pids = [node.pid for node in village.nodes]
    requester = village.nodes[0].client
    wait_until(
        lambda: {"words", "lonely"} <= {c.name for c in requester.capabilities().capabilities},
        "offers",
    )
    village.wait_equal()
    stakes, tasks = requester.stake().accounts, requester.tasks()
    yield village
    village.wait_equal()
    after = requester.stake().accounts
    me = village.nodes[0].peer_id
    # What the committee itself refused has cost its fee of 1 each.
    assert [a for a in after if a.peer_id != me] == [a for a in stakes if a.peer_id != me]
    assert sum(a.free for a in stakes) - sum(a.free for a in after) <= 4
    assert requester.tasks() == tasks
    village.check_alive(pids)


def fail(node: RealNode, kind: str, *arguments: object, code: int = 1):
    """A verb that must fail: its error, as JSON and for people."""
    as_json = node.econode(*arguments, "--json")
    assert as_json.code == code, as_json.out + as_json.err
    error = as_json.document["error"]
    assert error["type"] == f"urn:econode:problem:{kind}"
    assert error["detail"]
    return error


def test_work_that_cannot_be_done(unchanged: Network, tmp_path):
    node = unchanged.nodes[0]
    file = tmp_path / "input"
    file.write_bytes(b"some words")
    submit = ("task", "submit", "--input", file, "--capability")
    error = fail(node, "unknown-capability", *submit, "fly")
    assert "'fly'" in error["detail"]
    assert "words" in error["remedy"]
    error = fail(node, "too-few-verifiers", *submit, "lonely")
    assert "offer that capability" in error["detail"]
    fail(node, "usage", *submit, "words", "--budget", "-5", code=2)
    fail(node, "usage", *submit, "words", "--deadline", "soon", code=2)
    fail(node, "duration-too-short", *submit, "words", "--deadline", "10ms")
    fail(node, "insufficient-credits", *submit, "words", "--budget", "999999999")
    absent = ("task", "submit", "--capability", "words", "--input", file, "--input", "absent.txt")
    assert "absent.txt" in fail(node, "no-file", *absent)["where"]
    people = node.econode(*absent)
    assert (people.code, people.out) == (1, "")
    assert "absent.txt" in people.err


def test_requests_that_make_no_sense(unchanged: Network):
    node = unchanged.nodes[0]
    info = node.home.load_info()
    digest = node.client.put_blob(b"some words").digest
    task = {"capability": "words", "input": digest}
    batch = {"tasks": [task], "budget": 10, "duration_ms": 60_000}
    wrong = [
        (400, "invalid-request", batch | {"budget": -1}),
        (400, "invalid-request", batch | {"budget": 1 << 70}),
        (400, "invalid-request", batch | {"budget": "10"}),
        (400, "invalid-request", batch | {"surprise": 1}),
        (400, "invalid-request", batch | {"tasks": []}),
        (400, "invalid-request", batch | {"tasks": [task | {"input": "xyz"}]}),
        (400, "invalid-request", []),
        (404, "unknown-capability", batch | {"tasks": [task | {"capability": "fly"}]}),
        (404, "not-found", batch | {"tasks": [task | {"input": "00" * 32}]}),
        (409, "too-few-verifiers", batch | {"tasks": [task | {"capability": "lonely"}]}),
    ]
    url = f"http://{info.api_address}:{info.api_port}"
    headers = {"authorization": f"Bearer {node.home.load_token()}"}
    with httpx.Client(base_url=url, trust_env=False, timeout=20) as http:
        for status, kind, body in wrong:
            answer = http.post("/v1/tasks", json=body, headers=headers)
            assert (answer.status_code, answer.json()["type"]) == (
                status,
                f"urn:econode:problem:{kind}",
            ), body
            assert answer.json()["detail"]
        assert http.post("/v1/tasks", json=batch).status_code == 401
        for prefix in ("abcd" * 16, "zz", "0" * 100):
            assert http.get(f"/v1/tasks/{prefix}", headers=headers).status_code in (400, 404)
        payment = {"to": "nobody", "amount": 1}
        answer = http.post("/v1/transfers", json=payment, headers=headers)
        assert answer.status_code == 400
        assert "nobody" in answer.json()["detail"]


def test_a_second_process_on_a_home_and_a_port_in_use(unchanged: Network, tmp_path):
    node = unchanged.nodes[1]
    before = read_place(node)
    error = fail(node, "home-in-use", "start")
    assert str(node.pid) in error["detail"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = copy_home(node, tmp_path)
        error = fail(other, "port-in-use", "start", "--api-port", port)
        assert str(port) in error["detail"]
    error = fail(other, "port-in-use", "start")  # the peers' port: the running node has it
    assert unchanged.addresses[1] in error["detail"]
    assert read_place(node)[0] >= before[0]


def copy_home(node: RealNode, folder) -> RealNode:
    """Key, token, config and genesis of a node in a home that never ran."""
    other = RealNode(folder / "copy")
    other.home.make_folder()
    for name in ("node.key", "api.token", "config.toml", "genesis.json"):
        shutil.copy2(node.home.path / name, other.home.path / name)
    return other


def test_a_foreign_genesis(unchanged: Network, tmp_path):
    """Another network's file is refused by the node that ran; a spoilt one by whoever reads it."""
    node = unchanged.nodes[2]
    document = json.loads(node.home.genesis_path.read_text())
    foreign = tmp_path / "foreign.json"
    foreign.write_text(json.dumps(document | {"name": "elsewhere"}))
    content = node.home.genesis_path.read_bytes()
    fail(node, "home-in-use", "init", "--genesis", foreign)
    assert node.home.genesis_path.read_bytes() == content
    other = copy_home(node, tmp_path)
    with closing(sqlite3.connect(node.home.ledger_path)) as db:
        db.execute("VACUUM INTO ?", (str(other.home.ledger_path),))
    shutil.copy(foreign, other.home.genesis_path)
    error = fail(other, "foreign-genesis", "start")
    assert str(other.home.ledger_path) == error["where"]
    foreign.write_text(json.dumps(document | {"members": document["members"] * 2}))
    done = econode("genesis", "show", foreign, "--json")
    assert done.code == 1
    assert "stands twice" in done.document["error"]["detail"]
    foreign.write_text("{")
    assert econode("genesis", "show", foreign).code == 1


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("workers = 2", 'workers = "many"', "agent.workers"),
        ("workers = 2", "wrokers = 2", "wrokers"),
        ("workers = 2", "workers = 2 2", ""),
    ],
)
def test_a_corrupt_config_is_told_with_file_key_and_line(village, tmp_path, old, new, told):
    other = copy_home(village.nodes[1], tmp_path)
    text = other.home.config_path.read_text()
    assert text.count(f"\n{old}\n") == 1
    line = text[: text.index(f"\n{old}\n") + 1].count("\n") + 1
    other.home.config_path.write_text(text.replace(old, new))
    error = fail(other, "invalid-config", "start")
    assert str(other.home.config_path) in error["where"]
    assert str(line) in error["where"]
    assert told in error["detail"]
    assert not other.home.ledger_path.exists()

"""Capabilities of the user's own in a running network: good ones are used, bad ones are graded."""

import hashlib
import json
import threading

import httpx
import pytest

from node.service import TASK_STATES, TaskRequest
from protocols.economy.terms import compute_escrow
from tests.system.conftest import FAST, MISBEHAVING
from tests.system.network import Network, wait_until

BUDGET = 100
DURATION_MS = 60_000
REASONS = {
    "crashes": "the executor's capability failed: crashed",
    "hangs": "the executor's capability failed: timeout",
    "floods": "the executor's capability failed: output",
    "eats_memory": "the executor's capability failed: memory",
}


@pytest.fixture(scope="module")
def market(village):
    """The village once every agent has offered what it can."""
    wanted = {"words": 4, "flaky": 4, "lonely": 1, **dict.fromkeys(MISBEHAVING, 4)}

    def count():
        found = village.nodes[0].client.capabilities().capabilities
        return {item.name: len(item.agents) for item in found} == wanted

    wait_until(count, "all capabilities offered")
    return village


def submit(network: Network, capability: str, *inputs: bytes) -> list[str]:
    requester = network.nodes[0].client
    blobs = [requester.put_blob(data).digest for data in inputs]
    requests = [TaskRequest(capability=capability, input=digest) for digest in blobs]
    return list(requester.submit_tasks(requests, BUDGET, DURATION_MS).tasks)


def wait_ended(network: Network, task: str):
    def look():
        found = network.nodes[0].client.task(task)
        assert found.state in TASK_STATES
        return found if found.ended_ms is not None else None

    return wait_until(look, f"task {task[:8]} ended")


def test_the_readmes_service_by_http_and_by_the_command(market, tmp_path):
    """docs/examples/word_service.py on every node; asked with plain HTTP, then with the CLI."""
    node = market.nodes[0]
    info = node.home.load_info()
    text = b"to be or not to be"
    headers = {"authorization": f"Bearer {node.home.load_token()}"}
    url = f"http://{info.api_address}:{info.api_port}/v1"
    with httpx.Client(base_url=url, headers=headers, timeout=20, trust_env=False) as http:
        blob = http.put("/blobs", content=text).raise_for_status().json()
        assert blob == {"digest": hashlib.sha256(text).hexdigest(), "size_bytes": len(text)}
        order = {
            "tasks": [{"capability": "words", "input": blob["digest"]}],
            "budget": BUDGET,
            "duration_ms": DURATION_MS,
        }
        (task,) = http.post("/tasks", json=order).raise_for_status().json()["tasks"]
        ended = wait_ended(market, task)
        assert (ended.state, ended.grade, ended.reason) == ("settled", "excellent", "")
        assert http.get(f"/tasks/{task}/result").raise_for_status().json() == {"words": 6}
    (tmp_path / "text").write_bytes(text + b" that is the question")
    done = node.econode(
        "task", "submit", "--capability", "words", "--input", tmp_path / "text", "--wait", "--json"
    )
    (shown,) = done.document["tasks"]
    assert (done.code, shown["state"]) == (0, "settled")
    result = node.econode("task", "result", shown["id"][:12])
    assert json.loads(result.out) == {"words": 10}


def test_misbehaving_capabilities_are_graded_failures_and_no_faults_of_nodes(market):
    """Crash, hang, flood, memory: every agent that tries is graded poor and loses a tenth of its
    deposit, the task fails with its reason, the budget comes back and all processes live on."""
    pids = [node.pid for node in market.nodes]
    before = market.nodes[0].client.stake()
    start = market.nodes[0].client.status().position + 1
    tasks = {name: submit(market, name, b"x")[0] for name in MISBEHAVING}
    ended = {name: wait_ended(market, task) for name, task in tasks.items()}
    assert {name: task.state for name, task in ended.items()} == dict.fromkeys(tasks, "failed")
    assert {name: task.reason for name, task in ended.items()} == REASONS
    page = market.nodes[0].client.facts(start, 256)
    settled = [f for e in page.entries for f in e.facts if f["kind"] == "settled"]
    assert {fact["grade"] for fact in settled} == {"poor"}
    agents = {node.peer_id for node in market.nodes[1:]}
    for task in tasks.values():
        assert {f["executor"] for f in settled if f["task"] == task} == agents
    deposit = BUDGET * FAST.deposit_ppm // 1_000_000
    burned = deposit * FAST.failure_slash_ppm // 1_000_000
    after = market.nodes[0].client.stake()
    assert after.burned - before.burned == burned * len(settled)
    assert after.conserved
    assert not any(account.escrow or account.locked for account in after.accounts)
    scores = market.nodes[0].client.reputation().scores
    assert not any(score.banned for score in scores if score.peer_id in agents)
    market.check_alive(pids)


def test_a_task_whose_cheapest_agent_crashes_is_settled_by_another(market):
    pids = [node.pid for node in market.nodes]
    crashing = market.nodes[1].peer_id
    (task,) = submit(market, "flaky", b"stressed")
    ended = wait_ended(market, task)
    assert (ended.state, ended.reason) == ("settled", "")
    assert ended.executor != crashing
    assert market.nodes[0].client.result(task) == b"desserts"
    market.check_alive(pids)


def test_two_submissions_at_once_do_not_disturb_each_other(market):
    tasks: list[str] = []
    threads = [
        threading.Thread(target=lambda n=n: tasks.extend(submit(market, "words", b"a b %d" % n)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(tasks) == 4
    assert {wait_ended(market, task).state for task in tasks} == {"settled"}


def test_escrow_is_what_the_documents_say(market):
    node = market.nodes[0]
    free = node.client.stake(node.peer_id).accounts[0].free
    (task,) = submit(market, "words", b"one two three")
    ended = wait_ended(market, task)
    after = node.client.stake(node.peer_id).accounts[0]
    assert after.escrow == 0
    paid = free - after.free
    assert ended.price < paid <= compute_escrow(FAST, 5, BUDGET) + 1

"""Work without one right answer, on real processes: a panel over HTTP, and a requester's word on a
task whose first executor is killed while it works."""

import json
import shutil
import sys

import pytest

from node.config import Capability
from node.service import TaskRequest
from node.task_options import TaskOptions
from protocols.genesis import Parameters
from tests.system.network import ROOT, Network, RealNode, wait_until
from tests.system.own_service import OwnService

RULES = Parameters(
    bid_phase_ms=3_000,
    work_phase_ms=20_000,
    reveal_phase_ms=6_000,
    delivery_phase_ms=20_000,
    accept_phase_ms=60_000,
    inventory_phase_ms=10_000,
)
LIMITS = {("limits", "wall_s"): 30.0, ("agent", "workers"): 2}
BUDGET = 1_000
WAIT_S = 120.0


@pytest.fixture(scope="module")
def guild(tmp_path_factory):
    """Five members (f = 1). Node 1 is the cheapest, and slow."""
    network = Network(tmp_path_factory.mktemp("guild"), 5, parameters=RULES)
    with OwnService(ROOT / "docs" / "examples" / "poem_service.py") as service:
        for number, node in enumerate(network.nodes):
            shutil.copy(ROOT / "tests" / "system" / "slow_work.py", node.home.path)
            seconds = "25" if number == 1 else "0.5"
            work = (sys.executable, "{folder}/slow_work.py", seconds)
            poem = Capability(
                name="poem",
                kind="http",
                target=service.url,
                verification="judged",
                judge=service.url + "judge",
            )
            slow = Capability(name="slow", kind="command", target=work, verification="accepted")
            price = {("agent", "price_base"): 5 if number == 1 else 20}
            network.configure(node, LIMITS | price, [poem, slow])
        try:
            network.start()
            yield network
        finally:
            network.end()


def submit(node: RealNode, capability: str, data: bytes, options: TaskOptions) -> str:
    def is_offered():
        found = node.client.capabilities().capabilities
        return any(item.name == capability and len(item.agents) == 5 for item in found)

    wait_until(is_offered, f"{capability} offered by all", WAIT_S)
    request = TaskRequest(capability=capability, input=node.client.put_blob(data).digest)
    (task,) = node.client.submit_tasks([request], BUDGET, 200_000, options).tasks
    return task


def wait_for(node: RealNode, task: str, is_there, what: str):
    def look():
        found = node.client.task(task)
        return found if is_there(found) else None

    return wait_until(look, what, WAIT_S)


def test_a_panel_of_three_judges_over_http(guild):
    requester = guild.nodes[0]
    task = submit(requester, "poem", b"sea sun wind", TaskOptions(panel=3))
    ended = wait_for(requester, task, lambda found: found.ended_ms, "a judged poem")
    assert (ended.state, ended.verification, ended.score) == ("settled", "judged", 100)
    assert ended.grade in ("excellent", "satisfactory")
    assert len(ended.scores) == 3
    judges = {score.judge for score in ended.scores}
    assert judges == set(ended.verifiers)
    assert len(judges) == 3
    assert not judges & {ended.executor, requester.peer_id}
    assert b"O sea" in requester.client.result(task)
    shown = json.loads(requester.econode("task", "show", task, "--json").out)
    assert shown["score"] == 100


@pytest.mark.full
def test_a_killed_executor_is_replaced_and_the_requester_accepts(guild):
    requester = guild.nodes[0]
    options = TaskOptions(lease_ms=60_000, heartbeat_ms=6_000)
    opened = requester.client.status().position
    task = submit(requester, "slow", b"stressed", options)
    beating = wait_for(requester, task, lambda found: found.progress_ppm, "a heartbeat")
    slow = guild.nodes[1]
    assert beating.executor == slow.peer_id
    assert 0 < beating.progress_ppm <= 1_000_000
    early = requester.econode("task", "accept", task)
    assert early.code == 1
    assert "not time for that yet" in early.err
    slow.kill()
    delivered = wait_for(requester, task, lambda found: found.state == "delivered", "a delivery")
    assert delivered.executor not in (slow.peer_id, requester.peer_id)
    assert requester.client.result(task) == b"desserts"
    late = requester.econode("task", "cancel", task)
    assert late.code == 1
    assert "its work is done" in late.err
    done = requester.econode("task", "accept", task[:12], "--json")
    assert done.code == 0, done.err
    assert (done.document["state"], done.document["grade"]) == ("settled", "excellent")
    grades = {
        fact["executor"]: fact["grade"]
        for entry in requester.client.facts(opened, 256).entries
        for fact in entry.facts
        if fact["kind"] == "settled" and fact["task"] == task
    }
    assert grades == {slow.peer_id: "poor", delivered.executor: "excellent"}


def test_a_task_is_taken_back(guild):
    requester = guild.nodes[0]
    blob = requester.client.put_blob(b"x").digest
    request = TaskRequest(capability="slow", input=blob)
    (task,) = requester.client.submit_tasks([request], BUDGET, 200_000).tasks
    done = requester.econode("task", "cancel", task, "--json")
    if done.code == 0:
        assert done.document["state"] == "cancelled"
    else:  # the others were faster than this test
        assert "its work is done" in done.out + done.err
    assert requester.client.stake().conserved
    assert requester.econode("task", "cancel", "0" * 64).code == 1

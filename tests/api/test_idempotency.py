"""A change that is sent twice under one key is carried out once, also over a restart."""

import httpx
import pytest
import trio
import trio_asyncio

from identity import keys
from node.answer import KEY_HEADER
from node.idempotency import ANSWERS_KEPT_MAX, KEY_CHARS_MAX, KeptAnswer
from node.kept_answers import LedgerAnswers
from node.ledger import Ledger
from node.problem import Problem
from tests.system.network import Network, wait_until

OTHER = keys.compute_peer_id(keys.PrivateKey(bytes([7]) * 32).public)


async def _pay(served, key, amount=1):
    body = {"to": OTHER, "amount": amount}
    return await served.client.post("/v1/transfers", json=body, headers={KEY_HEADER: key})


async def _read_paid(served):
    stake = (await served.client.get("/v1/stake", params={"account": OTHER})).json()
    return stake["accounts"][0]["free"]


async def test_the_same_request_is_carried_out_once_and_answered_twice(served):
    first, second = await _pay(served, "a"), await _pay(served, '"a"')
    assert first.status_code == 200
    assert (second.status_code, second.content) == (200, first.content)
    assert second.headers["content-type"] == first.headers["content-type"]
    assert await _read_paid(served) == 1
    assert (await _pay(served, "b")).status_code == 200
    assert await _read_paid(served) == 2


async def test_a_key_names_one_request(served):
    await _pay(served, "a")
    other = await _pay(served, "a", amount=2)
    assert (other.status_code, other.json()["type"]) == (422, "urn:econode:problem:key-reused")
    elsewhere = await served.client.post("/v1/bonds", json={"amount": 1}, headers={KEY_HEADER: "a"})
    assert elsewhere.status_code == 422
    assert await _read_paid(served) == 1


async def test_a_refusal_is_an_answer_too(served):
    first, second = await _pay(served, "a", 10**9), await _pay(served, "a", 10**9)
    assert first.status_code == 400
    assert second.content == first.content
    assert second.headers["content-type"] == "application/problem+json"


async def test_a_request_under_way_is_not_begun_again(served, monkeypatch):
    go_on, begun, transfer = trio.Event(), trio.Event(), served.node.transfer

    async def wait(to, amount):
        begun.set()
        await go_on.wait()
        return await transfer(to, amount)

    monkeypatch.setattr(served.node, "transfer", wait)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_pay, served, "a")
        await begun.wait()
        again = await _pay(served, "a")
        assert (again.status_code, again.json()["type"]) == (409, "urn:econode:problem:in-flight")
        assert (await _pay(served, "a", amount=2)).status_code == 422
        go_on.set()
    assert (await _pay(served, "a")).status_code == 200
    assert await _read_paid(served) == 1


async def test_what_the_node_could_not_do_now_may_be_tried_again(served, monkeypatch):
    transfer, broken = served.node.transfer, True

    async def fail(to, amount):
        if broken:
            raise Problem("committee-halted", "it is halted", status=503)
        return await transfer(to, amount)

    monkeypatch.setattr(served.node, "transfer", fail)
    assert (await _pay(served, "a")).status_code == 503
    broken = False
    assert (await _pay(served, "a")).status_code == 200


async def test_a_fault_is_kept_since_it_may_have_done_something(served, monkeypatch):
    async def fail(to, amount):
        raise RuntimeError("a bug")

    monkeypatch.setattr(served.node, "transfer", fail)
    assert (await _pay(served, "a")).status_code == 500
    monkeypatch.undo()
    assert (await _pay(served, "a")).status_code == 500
    assert (await _pay(served, "b")).status_code == 200


async def test_what_a_crash_interrupted_is_not_known(served):
    kept = served.node.kept_answers
    await _pay(served, "a")
    kept.kept["a"] = KeptAnswer(kept.kept["a"].request)
    again = await _pay(served, "a")
    assert (again.status_code, again.json()["type"]) == (409, "urn:econode:problem:outcome-unknown")
    assert await _read_paid(served) == 1


@pytest.mark.parametrize("key", ["", "x" * (KEY_CHARS_MAX + 1), "a b", "é", '"'])
async def test_a_key_that_is_none_is_refused(served, key):
    answer = await served.client.post(
        "/v1/transfers", json={"to": OTHER, "amount": 1}, headers={KEY_HEADER: key.encode()}
    )
    assert answer.status_code == 400
    assert answer.json()["where"] == KEY_HEADER


async def test_every_change_takes_a_key(served):
    document = (await served.client.get("/openapi.json")).json()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            names = {each["name"] for each in operation.get("parameters", ())}
            assert (KEY_HEADER in names) is (method != "get"), (method, path)


async def test_the_ledger_keeps_the_last_answers(tmp_path):
    async with trio_asyncio.open_loop(), Ledger.open(tmp_path / "l.sqlite3", bytes(32)) as ledger:
        answers = LedgerAnswers(ledger)
        kept = KeptAnswer(bytes(32), 200, "application/json", b"{}")
        rows = [
            (f"k{i}", kept.request, 200, kept.media, kept.body) for i in range(ANSWERS_KEPT_MAX)
        ]
        await ledger.change([("INSERT INTO answers VALUES (?, ?, ?, ?, ?)", rows)])
        await answers.write("last", kept)
        assert await answers.read("last") == kept
        assert await answers.read("k1") == kept
        assert await answers.read("k0") is None
        await answers.write("last", None)
        assert await answers.read("last") is None


def test_an_answer_outlives_a_crash(tmp_path):
    network = Network(tmp_path, 1)
    node = network.nodes[0]
    try:
        node.start("--allow-single")
        first = _pay_real(node)
        node.kill()
        node.start("--allow-single")
        assert _pay_real(node) == first
        assert node.client.stake(OTHER).accounts[0].free == 5
    finally:
        network.end()


def _pay_real(node):
    wait_until(lambda: node.client.status(), "a node that answers")
    info = node.home.load_info()
    answer = httpx.post(
        f"http://127.0.0.1:{info.api_port}/v1/transfers",
        json={"to": OTHER, "amount": 5},
        headers={"authorization": f"Bearer {node.home.load_token()}", KEY_HEADER: "once"},
        trust_env=False,
        timeout=30,
    )
    assert answer.status_code == 200
    return answer.content

"""Every list comes in pages of one kind, and requests are bounded in number, rate and length."""

import json

import httpx
import pytest
import trio

from identity import keys
from node import api_guard
from node.api import Api, bind
from node.api_guard import TARGET_BYTES_MAX, Bucket, Limits
from node.pages import cut_page
from node.problem import Problem
from node.service import Stake

TOKEN = "t" * 43
LISTS = {
    "/v1/peers": "peers",
    "/v1/members": "members",
    "/v1/capabilities": "capabilities",
    "/v1/committees": "committees",
    "/v1/stake": "accounts",
    "/v1/stake/facts?account={peer}": "facts",
    "/v1/reputation": "scores",
    "/v1/directory": "cards",
    "/v1/tasks": "tasks",
    "/v1/auctions": "auctions",
    "/v1/crossings": "crossings",
    "/v1/fundings": "fundings",
    "/v1/market/prices": "prices",
    "/v1/market/halts": "halts",
    "/v1/market/screens": "evidence",
    "/v1/variables": "variables",
    "/v1/data/keys?namespace=space": "keys",
}


def test_a_page_goes_on_behind_the_one_that_the_cursor_names():
    items = list("abcdefg")
    seen, cursor = [], None
    while True:
        page, cursor = cut_page(items, str, 3, cursor)
        seen += page
        if cursor is None:
            break
    assert seen == items
    assert cut_page(items, str, 7, None) == (tuple(items), None)
    assert cut_page([], str, 7, None) == ((), None)
    with pytest.raises(Problem, match="not in this list"):
        cut_page(items, str, 3, "z")


async def test_every_list_takes_limit_and_cursor_and_tells_the_next(served):
    document = (await served.client.get("/openapi.json")).json()
    assert "cursor" in json.dumps(document["paths"]["/v1/evidence"]["get"]["parameters"])
    for path, field in LISTS.items():
        operation = document["paths"][path.split("?")[0]]["get"]
        parameters = {each["name"]: each["schema"] for each in operation["parameters"]}
        assert {"limit", "cursor"} <= set(parameters), path
        assert parameters["limit"]["minimum"] == 1
        answer = await served.client.get(path.replace("{peer}", served.node.peer_id))
        assert answer.status_code == 200, (path, answer.text)
        assert isinstance(answer.json()[field], list)
        assert "next" in answer.json(), path
        most = parameters["limit"]["maximum"]
        mark = "&" if "?" in path else "?"
        for limit in (0, most + 1):
            full = path.replace("{peer}", served.node.peer_id) + f"{mark}limit={limit}"
            assert (await served.client.get(full)).status_code == 400, full


async def test_a_client_asks_for_a_list_until_it_is_whole(served):
    """`limit` is the server's choice of a page; the answer is the same whatever it is."""
    other = keys.compute_peer_id(keys.PrivateKey(bytes([7]) * 32).public)
    sent = await served.client.post("/v1/transfers", json={"to": other, "amount": 1})
    assert sent.status_code == 200, sent.text
    with served.connect() as client:

        def ask(**params):
            return client._get_list("/v1/stake", Stake, "accounts", params)

        whole = await trio.to_thread.run_sync(ask)
        assert {each.peer_id for each in whole.accounts} >= {served.node.peer_id, other}
        assert whole.next is None
        assert await trio.to_thread.run_sync(lambda: ask(limit=1)) == whole


async def test_a_cursor_of_what_has_gone_says_so(served):
    answer = await served.client.get("/v1/peers", params={"cursor": "nobody"})
    assert (answer.status_code, answer.json()["type"]) == (409, "urn:econode:problem:cursor-gone")


def test_a_bucket_lets_its_rate_through():
    bucket = Bucket(rate=10, size=5)
    assert [bucket.take(100.0) for _ in range(6)] == [True] * 5 + [False]
    assert [bucket.take(100.25) for _ in range(3)] == [True, True, False]
    assert [bucket.take(200.0) for _ in range(6)] == [True] * 5 + [False]


async def _serve(served, nursery, limits):
    api = Api(served.node, TOKEN, limits=limits)
    port = await nursery.start(api.serve, bind("127.0.0.1", 0))
    headers = {"authorization": f"Bearer {TOKEN}"}
    return api, httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=20
    )


async def test_more_requests_a_second_than_allowed_are_refused(served, nursery):
    api, client = await _serve(served, nursery, Limits(requests_per_s=0.001, burst=3))
    async with client:
        answers = [await client.get("/v1/status") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
    assert answers[-1].json()["type"] == "urn:econode:problem:too-many-requests"
    assert answers[-1].headers["retry-after"] == str(api_guard.RETRY_AFTER_S)
    api.stop()


async def test_more_requests_at_once_than_allowed_are_refused(served, nursery, monkeypatch):
    api, client = await _serve(served, nursery, Limits(in_flight=2))
    go_on, both_begun, begun = trio.Event(), trio.Event(), []
    peers = served.node.peers

    async def wait():
        begun.append(None)
        if len(begun) == 2:
            both_begun.set()
        await go_on.wait()
        return await peers()

    monkeypatch.setattr(served.node, "peers", wait)
    async with client, trio.open_nursery() as asking:
        for _ in range(2):
            asking.start_soon(client.get, "/v1/peers")
        with trio.fail_after(20):
            await both_begun.wait()
        assert (await client.get("/v1/status")).status_code == 429
        go_on.set()
    async with httpx.AsyncClient(trust_env=False) as stranger:
        assert (await stranger.get(f"{client.base_url}/health")).status_code == 200
    api.stop()


async def test_a_path_and_query_without_end_are_refused(served):
    answer = await served.client.get("/v1/stake", params={"cursor": "x" * TARGET_BYTES_MAX})
    assert (answer.status_code, answer.json()["type"]) == (414, "urn:econode:problem:too-long")
    answer = await served.client.get("/v1/stake", params={"cursor": "x" * 2_000})
    assert answer.status_code == 400

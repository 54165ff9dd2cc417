"""The local API over real sockets: what it answers, whom it refuses, how it stops."""

import hashlib
import json
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import msgspec
import pytest
import trio

import node.api
from crdt import facts
from identity import keys
from node import service, service_views
from node.api import HEADER_BYTES_MAX, JSON_BYTES_MAX, STREAMS_MAX, bind
from node.problem import TYPE_PREFIX, Problem
from tests.api.streams import open_stream


async def _put(client, data):
    return (await client.put("/v1/blobs", content=data)).json()["digest"]


def _check_problem(response, kind, status):
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == TYPE_PREFIX + kind
    assert document["status"] == status
    assert document["detail"]
    return document


async def test_a_batch_of_blobs_becomes_tasks_with_results(served):
    inputs = [bytes([65 + number % 26]) * 100_000 + b"%d" % number for number in range(64)]
    digests = [await _put(served.client, data.lower()) for data in inputs]
    assert digests == [hashlib.sha256(data.lower()).hexdigest() for data in inputs]
    tasks = [{"capability": "upper", "input": digest} for digest in digests]
    answer = await served.client.post(
        "/v1/tasks", json={"tasks": tasks, "budget": 5, "duration_ms": 1_000}
    )
    ids = answer.json()["tasks"]
    assert len(set(ids)) == 64
    for task, data in zip(ids[:3], inputs, strict=False):
        shown = (await served.client.get(f"/v1/tasks/{task[:12]}")).json()
        assert (shown["id"], shown["state"]) == (task, "settled")
        result = await served.client.get(f"/v1/tasks/{task}/result")
        assert result.content == data.upper()


async def test_pages_of_tasks_join_without_gap(served):
    digest = await _put(served.client, b"x")
    tasks = [{"capability": "upper", "input": digest}] * 7
    body = {"tasks": tasks, "budget": 1, "duration_ms": 1}
    ids = set((await served.client.post("/v1/tasks", json=body)).json()["tasks"])
    seen, cursor = [], None
    while True:
        params = {"limit": 3, "state": "settled"} | ({"cursor": cursor} if cursor else {})
        page = (await served.client.get("/v1/tasks", params=params)).json()
        seen += [task["id"] for task in page["tasks"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == 7
    assert set(seen) == ids


async def test_every_answer_is_of_the_form_it_documents(served):
    other = keys.compute_peer_id(keys.PrivateKey.generate().public)
    paid = await served.client.post("/v1/transfers", json={"to": other, "amount": 7})
    assert msgspec.json.decode(paid.content, type=service.Executed).fact["to"] == other
    for path, kind in (("/v1/bonds", "bonded"), ("/v1/unbondings", "unbonding_began")):
        done = await served.client.post(path, json={"amount": 7})
        assert msgspec.json.decode(done.content, type=service.Executed).fact["kind"] == kind
        assert (await served.client.post(path, json={"amount": 0})).status_code == 400
    left = await served.client.post("/v1/members/leave")
    assert msgspec.json.decode(left.content, type=service.Executed).fact["kind"] == "member_left"
    joined = await served.client.post("/v1/members/join", json={"bond": 5})
    assert joined.status_code == 409
    for path, kind in (
        ("/v1/status", service.Status),
        ("/v1/peers", service.Peers),
        ("/v1/stake", service.Stake),
        ("/v1/reputation", service.Reputation),
        (f"/v1/reputation/explanation?agent={served.node.peer_id}", service_views.Explanation),
        ("/v1/directory?capability=upper", service_views.Cards),
        (f"/v1/directory/card?agent={served.node.peer_id}", service_views.Card),
        (f"/v1/stake/facts?account={served.node.peer_id}", service_views.StakeFacts),
        ("/v1/members", service.Members),
        ("/v1/capabilities", service.Capabilities),
        ("/v1/facts?from=0&limit=1", service.LogPage),
        ("/health", service.Health),
    ):
        response = await served.client.get(path)
        assert response.status_code == 200
        msgspec.json.decode(response.content, type=kind)
    stake = (await served.client.get("/v1/stake", params={"account": other})).json()
    assert [account["free"] for account in stake["accounts"]] == [7]
    assert stake["conserved"] is True
    accepted = await served.client.post("/v1/operations", content=b"\x00signed")
    assert accepted.json()["operation"] == hashlib.sha256(b"\x00signed").hexdigest()
    assert served.node.operations == [b"\x00signed"]


async def test_openapi_describes_every_route_and_resolves_every_reference(served):
    document = (await served.client.get("/openapi.json")).json()
    names = set(document["components"]["schemas"])
    text = json.dumps(document)
    references = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert references <= names
    assert {"/v1/status", "/v1/tasks", "/v1/events", "/v1/blobs"} <= set(document["paths"])


@pytest.mark.parametrize("token", [None, "wrong", "t" * 42, "t" * 44, "Ä"])
async def test_without_the_token_only_health_answers(served, token):
    headers = {} if token is None else {"authorization": f"Bearer {token}".encode()}
    async with httpx.AsyncClient(base_url=served.url, trust_env=False) as stranger:
        response = await stranger.get("/v1/status", headers=headers)
        _check_problem(response, "unauthorised", 401)
        assert (await stranger.get("/openapi.json", headers=headers)).status_code == 401
        health = await stranger.get("/health", headers=headers)
    assert health.json() == {"status": "ok", "peer_id": served.node.peer_id}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", ""])
async def test_a_page_of_another_site_is_refused_by_its_host(served, host):
    """DNS rebinding: the name resolves to this machine, but the browser sends it as Host."""
    for path in ("/v1/status", "/health"):
        response = await served.client.get(path, headers={"host": host})
        assert response.status_code in (400, 421)  # an empty host the server itself refuses


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:9"])
async def test_names_of_loopback_are_taken(served, host):
    assert (await served.client.get("/v1/status", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status"),
    [
        ("GET", "/v1/nothing", None, "not-found", 404),
        ("DELETE", "/v1/status", None, "wrong-method", 405),
        ("GET", "/v1/tasks/zz", None, "invalid-request", 400),
        ("GET", "/v1/tasks/abcd", None, "not-found", 404),
        ("GET", "/v1/tasks?state=asleep", None, "invalid-request", 400),
        ("GET", "/v1/tasks?limit=0", None, "invalid-request", 400),
        ("GET", "/v1/tasks?cursor=../etc", None, "invalid-request", 400),
        ("GET", "/v1/facts?limit=many", None, "invalid-request", 400),
        ("GET", "/v1/facts?from=-1", None, "invalid-request", 400),
        ("GET", "/v1/facts?from=99999999999999999999", None, "invalid-request", 400),
        ("GET", "/v1/stake?account=nobody", None, "invalid-request", 400),
        ("GET", "/v1/stake/facts?account=nobody", None, "invalid-request", 400),
        ("GET", "/v1/reputation?limit=0", None, "invalid-request", 400),
        ("GET", "/v1/reputation/explanation", None, "invalid-request", 400),
        ("GET", "/v1/reputation/explanation?agent=nobody", None, "invalid-request", 400),
        ("GET", "/v1/directory?score_min=-1", None, "invalid-request", 400),
        ("GET", "/v1/directory?price_max=9223372036854775808", None, "invalid-request", 400),
        ("GET", f"/v1/directory?capability={'x' * 65}", None, "invalid-request", 400),
        ("GET", "/v1/directory?limit=501", None, "invalid-request", 400),
        ("POST", "/v1/tasks", b"", "invalid-request", 400),
        ("POST", "/v1/tasks", b"[1", "invalid-request", 400),
        (
            "POST",
            "/v1/tasks",
            b'{"tasks": [], "budget": 1, "duration_ms": 1}',
            "invalid-request",
            400,
        ),
        ("POST", "/v1/transfers", b'{"to": "x", "amount": -4}', "invalid-request", 400),
        ("POST", "/v1/transfers", b'{"to": "x", "amount": 1.5}', "invalid-request", 400),
        ("POST", "/v1/transfers", b'{"to": "x", "amount": 1, "fee": 0}', "invalid-request", 400),
        ("POST", "/v1/tasks", b"x" * (JSON_BYTES_MAX + 1), "too-large", 413),
        ("GET", "/v1/status", b"a body", "too-large", 413),
    ],
)
async def test_bad_requests_say_what_is_wrong(served, method, path, body, kind, status):
    before = (await served.client.get("/v1/status")).json()["position"]
    response = await served.client.request(method, path, content=body)
    _check_problem(response, kind, status)
    assert (await served.client.get("/v1/status")).json()["position"] == before


async def test_a_body_without_a_length_is_cut_at_its_limit(served):
    async def endless():
        for _ in range(JSON_BYTES_MAX // 1_000 + 2):
            yield b"x" * 1_000

    response = await served.client.post("/v1/tasks", content=endless())
    _check_problem(response, "too-large", 413)


async def test_a_head_without_end_is_refused(served):
    stream = await trio.open_tcp_stream("127.0.0.1", served.port)
    async with stream:
        with trio.fail_after(10):
            # The server may already have closed: then it stopped reading, which is the point.
            try:
                await stream.send_all(b"GET / HTTP/1.1\r\nx: " + b"y" * (4 * HEADER_BYTES_MAX))
                answer = await stream.receive_some()
            except trio.BrokenResourceError:
                answer = b""
    assert answer == b"" or b" 4" in answer[:20]
    assert (await served.client.get("/health")).status_code == 200


async def test_problems_of_the_node_keep_their_remedy(served):
    body = {
        "tasks": [{"capability": "lower", "input": await _put(served.client, b"x")}],
        "budget": 1,
        "duration_ms": 1,
    }
    response = await served.client.post("/v1/tasks", json=body)
    document = _check_problem(response, "unknown-capability", 404)
    assert document["remedy"] == "offered now: upper"
    problem = Problem.from_document(document, 404)
    assert (problem.type, problem.remedy) == ("unknown-capability", "offered now: upper")


async def test_a_fault_of_the_node_is_a_500_and_the_server_goes_on(served, monkeypatch):
    async def fail():
        raise RuntimeError("a bug")

    monkeypatch.setattr(served.node, "peers", fail)
    _check_problem(await served.client.get("/v1/peers"), "fault", 500)
    assert (await served.client.get("/v1/status")).status_code == 200


async def test_events_come_live_and_resume_after_the_last_one_seen(served):
    other = keys.compute_peer_id(keys.PrivateKey.generate().public)
    async with open_stream(served) as (head, stream):
        assert b"200" in head
        assert b"text/event-stream" in head
        for amount in (1, 2, 3):
            await served.node.transfer(other, amount)
        seen = [await stream.read_event() for _ in range(2)]
    assert [entry[0]["amount"] for _, entry in seen] == [1, 2]
    async with open_stream(served, "/v1/events", f"last-event-id: {seen[-1][0]}") as (_, stream):
        resumed = await stream.read_event()
    assert resumed[1][0]["amount"] == 3
    async with open_stream(served, "/v1/events?from=0") as (_, stream):
        assert (await stream.read_event())[0] == 0


@pytest.mark.parametrize("last", ["", "x", "-1", "1.x", "9" * 30])
async def test_a_last_event_id_that_is_none_is_refused(served, last):
    response = await served.client.get("/v1/events", headers={"last-event-id": last})
    _check_problem(response, "invalid-request", 400)


async def test_streams_are_bounded_and_their_places_come_back(served):
    async with AsyncExitStack() as streams:
        for _ in range(STREAMS_MAX):
            _, stream = await streams.enter_async_context(open_stream(served, "/v1/events?from=0"))
            assert await stream.read_event() is not None
        _check_problem(await served.client.get("/v1/events"), "too-many-streams", 503)
    with trio.fail_after(10):
        while not await _gets_a_stream(served):
            await trio.sleep(0.01)


async def _gets_a_stream(served):
    async with open_stream(served) as (head, _):
        return b" 200 " in head


async def test_stop_ends_streams_and_server(served):
    """An event stream that waits for news does not hold the server up."""
    async with open_stream(served, "/v1/events?from=0") as (_, stream):
        await stream.read_event()
        served.api.stop()
        assert await stream.read_event() is None
    with trio.fail_after(10):
        while await _answers(served):
            await trio.sleep(0.01)


async def _answers(served):
    try:
        await served.client.get("/health")
    except httpx.TransportError:
        return False
    return True


async def test_a_port_in_use_is_named(nursery, served):
    with pytest.raises(Problem) as caught:
        bind("127.0.0.1", served.port)
    assert caught.value.type == "port-in-use"
    assert str(served.port) in caught.value.detail


def _read_sources():
    folder = Path(node.api.__file__).parent
    files = [*sorted(folder.glob("api*.py")), folder / "feeds.py"]
    return "".join(path.read_text() for path in files)


def test_every_method_of_the_protocol_is_served():
    names = {name for name in vars(service.NodeService) if not name.startswith("_")}
    text = _read_sources()
    assert {name for name in names if f"node.{name}" not in text} == set()


def test_every_method_of_a_committee_is_served():
    names = {name for name in vars(service.CommitteeService) if not name.startswith("_")}
    names |= {name for name in vars(service_views.ViewsService) if not name.startswith("_")}
    text = _read_sources()
    forms = ("self._node.at(committee).{}(", "node.{}(", "self._node.{}(")
    assert {name for name in names if not any(f.format(name) in text for f in forms)} == set()


def test_every_field_of_bytes_in_facts_is_named_as_key_or_digest():
    digests = {
        *("operation", "id", "task", "capability", "input", "commitment", "output", "seed"),
        *("offence", "root", "committee", "parent", "fact", "link", "auction", "blob"),
        *("lots", "variable", "pool", "tasks"),
    }
    found = set()
    pending = [*facts.AnyFact.__args__, facts.Move, facts.Score, facts.OfferedCapability]
    for struct in pending:
        for field in msgspec.structs.fields(struct):
            if "bytes" in str(field.type):
                found.add(field.name)
    assert found <= digests | service.PEER_FIELDS
    assert not digests & service.PEER_FIELDS


def test_a_fact_is_described_for_people():
    key = keys.PrivateKey(bytes(32)).public
    move = facts.Move(facts.COMMON, "minted", key, "free", 5)
    described = service.describe_fact(facts.Minted(account=key, moves=(move,)))
    peer = keys.compute_peer_id(key)
    assert (described["kind"], described["account"]) == ("minted", peer)
    assert described["moves"] == [
        {
            "source": "common",
            "source_bucket": "minted",
            "target": peer,
            "target_bucket": "free",
            "amount": 5,
        }
    ]

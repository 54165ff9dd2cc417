"""Event streams by topic: what comes, under which id, from where they go on, and slow readers."""

import json
import re

import msgspec
import pytest
import trio

import node.api
import node.feeds
from crdt import facts
from identity import keys
from node import service
from node.api import Api, bind
from node.feeds import Start, parse_event_id
from tests.api.streams import open_stream

TOKEN = "t" * 43
OTHER = keys.compute_peer_id(keys.PrivateKey(bytes([7]) * 32).public)
EVENT = re.compile(rb"(?:id: ([\d.]+)\n)?event: (\w+)\ndata: (.*)\n\n")


async def _read(stream, count):
    """(id, name, data) of the next `count` events."""
    found = []
    while len(found) < count:
        block = await stream.read_to(b"\n\n")
        assert block, "the stream ended"
        match = EVENT.search(block)
        if match:
            id_ = match[1].decode() if match[1] else None
            found.append((id_, match[2].decode(), json.loads(match[3])))
    return found


async def _make_tasks(served, count=1):
    digest = (await served.client.put("/v1/blobs", content=b"x")).json()["digest"]
    tasks = [{"capability": "upper", "input": digest}] * count
    body = {"tasks": tasks, "budget": 1, "duration_ms": 1}
    return (await served.client.post("/v1/tasks", json=body)).json()["tasks"]


async def test_events_of_tasks_have_ids_to_go_on_from(served):
    ids = await _make_tasks(served, 2)
    await served.node.transfer(OTHER, 1)
    path = "/v1/events?topic=tasks&from=0"
    async with open_stream(served, path) as (_, stream):
        seen = await _read(stream, 4)
    assert {name for _, name, _ in seen} == {"task"}
    assert [data["id"] for _, _, data in seen] == [ids[0], ids[0], ids[1], ids[1]]
    assert [data["fact"]["kind"] for _, _, data in seen] == ["task_opened", "task_ended"] * 2
    for id_, _, data in seen:
        assert id_ == f"{data['position']}.{data['item']}"
        msgspec.convert(data, service.FactEvent)
    for number, (id_, _, _) in enumerate(seen[:3]):
        async with open_stream(served, path, f"last-event-id: {id_}") as (_, stream):
            assert await _read(stream, 3 - number) == seen[number + 1 :]


async def test_facts_of_one_entry_go_on_between_each_other(served):
    """Two facts in one entry: after the first one the second one is not lost, nor told twice."""
    task = keys.PrivateKey(bytes(32)).public
    ends = ("failed", "settled")
    made = [facts.TaskEnded(task=task, outcome=name, output=None) for name in ends]
    position = await served.node._publish(made)
    path = f"/v1/events?topic=tasks&topic=entries&from={position}"
    async with open_stream(served, path) as (_, stream):
        seen = await _read(stream, 3)
    assert [id_ for id_, _, _ in seen] == [f"{position}.0", f"{position}.1", str(position)]
    async with open_stream(served, path, f"last-event-id: {position}.0") as (_, stream):
        assert await _read(stream, 2) == seen[1:]
    async with open_stream(served, path, f"last-event-id: {position}") as (_, stream):
        await served.node.transfer(OTHER, 1)
        assert (await _read(stream, 1))[0][0] == str(position + 1)


async def test_live_topics_begin_with_the_present_state(served, monkeypatch):
    monkeypatch.setattr(node.feeds, "PEERS_EVERY_S", 0.01)
    peer = service.Peer(
        peer_id=OTHER,
        address="/ip4/127.0.0.1/tcp/1",
        connected=False,
        rtt_ms=None,
        frames_in=0,
        frames_out=0,
        bytes_in=0,
        bytes_out=0,
        dropped=0,
        last_error="",
    )
    linked = service.Peers(peers=(peer,))

    async def peers():
        return linked

    monkeypatch.setattr(served.node, "peers", peers)
    async with open_stream(served, "/v1/events?topic=peers&topic=views") as (_, stream):
        first = await _read(stream, 2)
        assert {name for _, name, _ in first} == {"peers", "views"}
        assert {id_ for id_, _, _ in first} == {None}
        linked = service.Peers(peers=(msgspec.structs.replace(peer, frames_in=9),))
        linked = service.Peers(peers=(msgspec.structs.replace(peer, connected=True),))
        id_, name, data = (await _read(stream, 1))[0]
        assert (id_, name, data["connected"]) == (None, "peer", True)
        await served.node.transfer(OTHER, 1)
        assert (await _read(stream, 1))[0][1] == "views"


async def test_all_topics_at_once_lose_nothing(served):
    path = "/v1/events?from=0" + "".join(f"&topic={topic}" for topic in node.feeds.TOPICS)
    async with open_stream(served, path) as (_, stream):
        await _make_tasks(served, 5)
        positions = []
        while len(positions) < 11:  # the genesis of the fake node and two entries of each task
            positions += [int(id_) for id_, name, _ in await _read(stream, 1) if name == "entry"]
    assert positions == list(range(11))


async def test_an_auction_has_its_topic(served):
    order = {
        "kind": "english",
        "direction": "forward",
        "lots": [{"name": "a", "limit": 1}],
        "bid_ms": 1_000,
        "cap": 5,
        "increment": 1,
    }
    async with open_stream(served, "/v1/events?topic=auctions&from=0") as (_, stream):
        opened = (await served.client.post("/v1/auctions", json=order)).json()["auction"]
        _, name, data = (await _read(stream, 1))[0]
    assert (name, data["id"]) == ("auction", opened)


@pytest.mark.parametrize("topic", ["", "nothing", "tasks,auctions"])
async def test_an_unknown_topic_is_refused(served, topic):
    answer = await served.client.get("/v1/events", params={"topic": topic})
    assert answer.status_code == 400


def test_ids_of_events():
    assert parse_event_id("5") == Start(6, 0)
    assert parse_event_id("5.0") == Start(5, 1)
    for text in ("", ".", "5.", ".5", "5.x", "-1", "5.-1", "1.1.1", "9" * 20):
        assert parse_event_id(text) is None


async def test_a_reader_that_takes_nothing_is_given_up(served, nursery, monkeypatch):
    """Its place comes back, although its connection stays open and it never reads."""
    monkeypatch.setattr(node.api, "STALLED_MS_MAX", 300)
    api = Api(served.node, TOKEN)
    port = await nursery.start(api.serve, bind("127.0.0.1", 0))
    big = service.LogPage(
        entries=(
            service.LogEntry(
                position=0, time_ms=0, hash="", certified=True, facts=({"kind": "x" * 10**6},)
            ),
        ),
        next=0,
    )

    async def wait_facts(position, limit):
        await trio.lowlevel.checkpoint()
        return big

    monkeypatch.setattr(served.node, "wait_facts", wait_facts)
    async with await trio.open_tcp_stream("127.0.0.1", port) as socket:
        token = f"authorization: Bearer {TOKEN}"
        head = f"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n{token}\r\n\r\n"
        await socket.send_all(head.encode())
        with trio.fail_after(20):
            while not api._streams:
                await trio.sleep(0.01)
            while api._streams:
                await trio.sleep(0.01)
    api.stop()

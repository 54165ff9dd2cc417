"""Application data by the API: each author's register, watched without losing its last state."""

import base64

import msgspec
import pytest
import trio

from crdt import directory
from crdt.directory import DATA_BYTES_MAX
from crdt.items import VALUE_BYTES_MAX, Data
from identity import keys
from node import service_data as service
from node.data import CHANGES_PER_READ, LogData
from node.problem import Problem
from node.service_data import DataChange, sift_changes
from tests.ledger.peer_logs import PeerLogs

ME, A, B = (keys.PrivateKey(bytes([n]) * 32).public for n in (0, 1, 2))
PLACE = {"namespace": "chess", "key": "opening"}


async def _get(client, **params):
    answer = await client.get("/v1/data", params=PLACE | params)
    return msgspec.json.decode(answer.content, type=service.DataPage)


@pytest.mark.parametrize("value", [b"", b"e2e4", b"\xff\x00\n", bytes(VALUE_BYTES_MAX)])
async def test_a_value_comes_back_as_it_was_until_it_is_removed(served, value):
    done = await served.client.put("/v1/data", params=PLACE, content=value)
    written = msgspec.json.decode(done.content, type=service.DataWritten)
    assert (written.peer_id, written.position) == (served.node.peer_id, 0)
    (found,) = (await _get(served.client)).values
    assert base64.b64decode(found.base64) == value
    assert found.text == (value.decode() if value != b"\xff\x00\n" else None)
    assert (found.size_bytes, found.position, found.time_ms) == (len(value), 0, 7)
    assert (await _get(served.client, peer=served.node.peer_id)).values == (found,)
    assert (await _get(served.client, peer=keys.compute_peer_id(A))).values == ()
    await served.client.delete("/v1/data", params=PLACE)
    assert (await _get(served.client)).values == ()


@pytest.mark.parametrize(
    ("params", "size", "kind", "status"),
    [
        ({"namespace": "", "key": "k"}, 1, "invalid-request", 400),
        ({"namespace": "n" * 65, "key": "k"}, 1, "invalid-request", 400),
        ({"namespace": "n", "key": "k" * 65}, 1, "invalid-request", 400),
        ({"key": "k"}, 1, "invalid-request", 400),
        (PLACE, VALUE_BYTES_MAX + 1, "too-large", 413),
    ],
)
async def test_what_is_out_of_bounds_is_not_set(served, params, size, kind, status):
    answer = await served.client.put("/v1/data", params=params, content=bytes(size))
    assert answer.status_code == status
    assert answer.json()["type"].endswith(kind)
    assert (await _get(served.client)).values == ()


async def test_bad_questions_are_refused(served):
    for path in ("/v1/data", "/v1/data/keys", "/v1/data/events"):
        answer = await served.client.get(path, params=PLACE | {"peer": "nobody"})
        assert (path, answer.status_code) == (path, 400)
    answer = await served.client.get("/v1/data/keys", params=PLACE | {"cursor": "zz.1"})
    assert answer.status_code == 400
    answer = await served.client.get("/v1/data/keys", params=PLACE | {"limit": "0"})
    assert answer.status_code == 400


async def test_a_full_map_refuses_a_value_and_writes_nothing(monkeypatch):
    monkeypatch.setattr(directory, "DATA_KEYS_MAX", 2)
    data = LogData(PeerLogs(ME), ME)
    await data.set("n", "x", b"")
    await data.set("n", "y", b"")
    with pytest.raises(Problem) as caught:
        await data.set("n", "z", b"")
    assert caught.value.type == "data-full"
    assert (await data.set("n", "x", b"1")).position == 2
    await data.set("n", "y", None)
    assert (await data.set("n", "z", b"")).position == 4
    for number in range(DATA_BYTES_MAX // VALUE_BYTES_MAX):
        monkeypatch.setattr(directory, "DATA_KEYS_MAX", 1_000)
        with pytest.raises(Problem) if number == 127 else trio.CancelScope():
            await data.set("m", f"{number}", bytes(VALUE_BYTES_MAX))


async def test_pages_of_values_and_keys_join(served, monkeypatch):
    monkeypatch.setattr("node.data.VALUES_PER_PAGE_MAX", 2)
    logs, authors = PeerLogs(ME), [bytes([n]) * 32 for n in range(5)]
    authors = sorted(keys.PrivateKey(author).public for author in authors)
    for author in authors:
        logs.append(author, Data("n", "k", author), Data("n", "ü.", b""), Data("m", "k", b""))
    data = LogData(logs, ME)
    values, cursor = [], None
    while True:
        page = await data.get("n", "k", None, cursor)
        values += page.values
        cursor = page.next
        if cursor is None:
            break
    assert [base64.b64decode(value.base64) for value in values] == authors
    found, cursor = [], None
    while True:
        page = await data.list("n", None, cursor, 3)
        found += page.keys
        cursor = page.next
        if cursor is None:
            break
    expected = [(keys.compute_peer_id(a), key) for a in authors for key in ("k", "ü.")]
    assert [(each.peer_id, each.key) for each in found] == expected


async def _drain(watch):
    changes = []
    with trio.move_on_after(0):
        while True:
            changes += await watch.next()
    return changes


async def test_a_watch_begins_with_what_is_there_and_shows_each_last_state():
    logs = PeerLogs(ME)
    data = LogData(logs, ME)
    authors = [keys.PrivateKey(bytes([n]) * 32).public for n in range(CHANGES_PER_READ + 5)]
    for author in authors:
        logs.append(author, Data("n", "k", author))
    with data.watch("n", "k", None) as watch:
        first = []
        while not first or not first[-1].ready:
            first += await watch.next()
        assert {base64.b64decode(change.value.base64) for change in first[:-1]} == set(authors)
        logs.append(A, Data("n", "other", b"1"))
        logs.append(A, Data("n", "k", b"1"))
        logs.append(A, Data("n", "k", b"2"))
        logs.append(B, Data("n", "k", b"3"))
        logs.append(B, Data("n", "k", None))
        told = {c.peer_id: c.value and c.value.text for c in await watch.next()}
        assert told == {keys.compute_peer_id(A): "2", keys.compute_peer_id(B): None}
        logs.append(B, Data("n", "k", None))
        logs.freeze(A, 1)
        (change,) = await watch.next()
        assert base64.b64decode(change.value.base64) == A
        assert change.value.frozen
        async with trio.open_nursery() as nursery:
            got = []

            async def read():
                got.extend(await watch.next())

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            assert got == []
            logs.append(B, Data("n", "k", b"4"))
        assert [change.value.text for change in got] == ["4"]


async def test_a_watch_of_one_peer_hears_of_no_other():
    logs = PeerLogs(ME)
    data = LogData(logs, ME)
    with data.watch("n", "k", keys.compute_peer_id(A)) as watch:
        assert await watch.next() == (DataChange(ready=True),)
        logs.append(B, Data("n", "k", b"b"))
        logs.append(A, Data("n", "k", b"a"))
        assert [change.value.text for change in await watch.next()] == ["a"]


async def test_a_read_that_is_cancelled_loses_no_change():
    logs = PeerLogs(ME)
    data = LogData(logs, ME)
    with data.watch("n", "k", None) as watch:
        await watch.next()
        with trio.CancelScope() as scope:
            scope.cancel()
            logs.append(A, Data("n", "k", b"a"))
            await watch.next()
        assert [change.value.text for change in await watch.next()] == ["a"]


def _make_value(text, position):
    return service.DataValue(
        peer_id="p",
        namespace="n",
        key="k",
        base64=base64.b64encode(text.encode()).decode(),
        text=text,
        size_bytes=len(text),
        position=position,
        time_ms=0,
        frozen=False,
    )


def test_after_a_broken_connection_only_what_changed_is_told():
    one, two, ready = _make_value("1", 0), _make_value("2", 1), DataChange(ready=True)
    shown = {}
    begin = [DataChange(peer_id=p, value=one) for p in "abc"]
    assert list(sift_changes([*begin, ready], shown)) == [*begin, ready]
    again = [begin[0], DataChange(peer_id="b", value=two), ready, DataChange(peer_id="a")]
    assert list(sift_changes(again, shown)) == [
        DataChange(peer_id="b", value=two),
        DataChange(peer_id="c"),
        ready,
        DataChange(peer_id="a"),
    ]
    assert shown == {"b": two}


async def test_the_client_hears_of_each_change(served):
    with served.connect() as client, trio.fail_after(20):
        changes = client.watch_data("chess", "opening")

        async def read():
            return await trio.to_thread.run_sync(next, changes)

        assert (await read()).ready
        await served.client.put("/v1/data", params=PLACE, content=b"e2e4")
        assert (await read()).value.text == "e2e4"
        await served.client.delete("/v1/data", params=PLACE)
        assert (await read()).value is None
        changes.close()

"""The document follows ledger and logs; a Yjs client that applies its updates holds the same."""

from contextlib import asynccontextmanager

import pytest
import trio
import trio_asyncio
from pycrdt import Doc, Map

from crdt.facts import OfferedCapability
from crdt.items import Card, Data
from identity import keys
from node import views
from node.ledger import Ledger
from node.ledger_verify import make_chain
from node.views import Views
from tests.ledger.network import CAPABILITY, Network
from tests.ledger.peer_logs import PeerLogs

A, B, C = sorted(keys.PrivateKey(bytes([n]) * 32).public for n in (1, 2, 3))
ROOTS = ("stake", "reputation", "tasks", "directory", "data")


def make_card(price: int) -> Card:
    offered = OfferedCapability(CAPABILITY, "count", "1")
    return Card((offered,), ("/ip4/192.0.2.1/tcp/1",), price, 9_999)


class Client:
    """Any Yjs client: it knows nothing but updates."""

    def __init__(self) -> None:
        self._doc: Doc = Doc()

    def apply(self, updates) -> None:
        for update in updates:
            self._doc.apply_update(update)

    def read(self) -> dict:
        return {name: self._doc.get(name, type=Map).to_py() for name in ROOTS}


class Rig:
    """A network of transfers and tasks, its ledger, and peers' logs."""

    def __init__(self, ledger: Ledger, network: Network) -> None:
        self.ledger, self.network, self.logs = ledger, network, PeerLogs()
        self.views = self.make_views()

    def make_views(self) -> Views:
        network = self.network

        def make():
            return make_chain(network.founding, network.committee)

        return Views(make, self.ledger, self.logs)

    def append(self, *batches) -> None:
        for batch in batches:
            self.ledger.append(batch)
        self.views.announce()


@pytest.fixture
async def rig(tmp_path):
    network = Network()
    async with (
        trio_asyncio.open_loop(),
        Ledger.open(tmp_path / "ledger.sqlite3", network.id) as ledger,
    ):
        made = Rig(ledger, network)
        made.append(network.make_genesis_batch())
        await ledger.flush()
        yield made


@asynccontextmanager
async def watched(rig):
    """A client that has applied what there is, and a function that waits for more."""
    client = Client()
    with rig.views.watch() as watch, trio.fail_after(20):

        async def follow():
            position, updates = await watch.next()
            client.apply(updates)
            return position

        await follow()
        yield client, follow


async def read_anew(rig) -> dict:
    client = Client()
    _, snapshot = await rig.make_views().read()
    client.apply([snapshot])
    return client.read()


async def test_a_client_that_applies_deltas_holds_what_a_snapshot_holds(rig):
    async with watched(rig) as (client, follow):
        assert client.read() == await read_anew(rig)
        rig.append(rig.network.make_batch())
        assert await follow() == 1
        rig.append(*rig.network.make_task_batches())
        await follow()
        rig.logs.append(B, make_card(5), Data("chess", "opening", b"e2e4"))
        rig.logs.append(A, make_card(7), Data("chess", "board", bytes(5_000)))
        await follow()
        assert client.read()["data"] == {
            A.hex(): {"chess": {"board": "5000"}},
            B.hex(): {"chess": {"opening": b"e2e4"}},
        }
        assert client.read()["directory"][A.hex()]["price_hint"] == "7"
        rig.logs.append(B, Data("chess", "opening", None), Data("go", "opening", b"\xff"))
        rig.logs.freeze(A, 0)
        await follow()
        assert client.read()["data"] == {B.hex(): {"go": {"opening": b"\xff"}}}
        assert set(client.read()["directory"]) == {B.hex()}
        assert client.read() == await read_anew(rig)


async def test_two_rebuilds_are_equal_to_the_byte_and_to_what_grew_live_in_content(rig):
    await rig.views.read()  # from here on the logs are folded as they come: C before A
    for author in (C, B, A):
        rig.logs.append(author, make_card(3), Data("n", "y", author), Data("n", "x", b"1"))
        await rig.views.read()
    rig.append(rig.network.make_batch())
    await rig.ledger.flush()
    one, other = [await rig.make_views().read() for _ in range(2)]
    assert one == other
    client = Client()
    client.apply([(await rig.views.read())[1]])
    assert client.read() == await read_anew(rig)


async def test_a_watcher_that_lags_gets_the_whole_again(rig, monkeypatch):
    monkeypatch.setattr(views, "WATCH_BYTES_MAX", 2_000)
    async with watched(rig) as (client, follow):
        for number in range(20):
            rig.logs.append(A, Data("n", f"{number}", bytes(300)))
            await rig.views.read()
        await follow()
        assert client.read() == await read_anew(rig)
        rig.logs.append(A, Data("n", "1", b"again"))
        await follow()
        assert client.read()["data"][A.hex()]["n"]["1"] == b"again"


async def test_changes_beyond_the_bound_are_found_by_looking_at_all(rig, monkeypatch):
    monkeypatch.setattr(views, "TOUCHED_MAX", 5)
    rig.logs.append(A, *(Data("n", f"{number}", b"1") for number in range(4)))
    await rig.views.read()
    rig.logs.append(A, *(Data("n", f"{number}", None) for number in range(4)))
    rig.logs.append(B, make_card(1), *(Data("n", f"{number}", b"2") for number in range(4)))
    client = Client()
    client.apply([(await rig.views.read())[1]])
    assert set(client.read()["data"]) == {B.hex()}
    assert client.read() == await read_anew(rig)


async def test_a_read_that_is_cancelled_loses_no_update(rig):
    client = Client()
    with rig.views.watch() as watch, trio.fail_after(20):
        client.apply((await watch.next())[1])
        for number in range(5):
            rig.logs.append(A, Data("n", f"{number}", b"1"))
            with trio.CancelScope() as scope:
                scope.cancel()
                client.apply((await watch.next())[1])
        client.apply((await watch.next())[1])
    assert client.read() == await read_anew(rig)


async def test_two_watchers_hear_the_same_and_one_may_leave(rig):
    async with watched(rig) as (one, follow_one):
        async with watched(rig) as (other, follow_other):
            rig.append(rig.network.make_batch())
            await follow_one()
            await follow_other()
            assert one.read() == other.read()
        rig.append(rig.network.make_batch())
        await follow_one()
    assert one.read() == await read_anew(rig)

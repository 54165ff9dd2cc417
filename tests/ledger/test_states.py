"""Certified states in the ledger: kept, begun from, proven, and what a gap in the log means."""

import random
import shutil
import sqlite3
from pathlib import Path

import pytest
import trio
import trio_asyncio

from identity.errors import EconodeError
from node.explain import Explainer
from node.ledger import Ledger, LedgerError
from node.ledger_file import read_log
from node.ledger_states import SNAPSHOTS_OWN_MAX
from node.ledger_verify import Report, make_chain, verify_ledger
from node.problem import Problem
from node.replay import replay
from node.serving import Serving
from node.stake_facts import StakeFactsReader
from node.views import Views
from protocols.economy.chain import Chain
from protocols.messages import Batches, GiveState, OfferState
from protocols.state_tree import STATE_CHUNK_BYTES, is_chunk
from protocols.step import ServeBatches, ServeChunks, ServeOffer
from tests.ledger.network import MEMBERS, Network
from tests.ledger.peer_logs import PeerLogs as NoPeers
from tests.ledger.test_verify import FLIPS_PER_COLUMN, change_one

COLUMNS = {
    "snapshots": ("committee", "position", "kind", "certificate", "size", "root", "leaves"),
    "chunks": ("committee", "position", "item", "data"),
    "records": ("hash", "data"),
    "entries": ("previous", "hash"),
    "balances": ("amount",),
    "tasks": ("state", "budget"),
}
GAP = (3, 7)


async def write(path: Path, network: Network) -> None:
    """Genesis and two batches; then the state at 7; then three batches and an own state at 9."""
    tasks = network.make_task_batches
    async with trio_asyncio.open_loop(), Ledger.open(path, network.id) as ledger:
        for batch in (network.make_genesis_batch(), network.make_batch(), network.make_batch()):
            ledger.append(batch)
        missed = [network.make_batch(), *tasks(), *(network.make_batch() for _ in range(2))]
        assert [batch.position for batch in missed] == list(range(3, 8))
        begun, chunks, transferred = network.make_transfer()
        await ledger.keep_state(begun)
        for chunk in chunks:
            await ledger.keep_state(chunk)
        await ledger.begin(transferred)
        ledger.put_certificate(network.committee.id, 7, network.certify(missed[-1].entry))
        for _ in range(2):
            batch = network.make_batch()
            ledger.append(batch)
            ledger.put_certificate(batch.committee, batch.position, network.certify(batch.entry))
        await ledger.keep_state(network.make_snapshot())
        ledger.append(network.make_batch(0))


@pytest.fixture(scope="module")
def network() -> Network:
    return Network()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, network: Network) -> Path:
    found = tmp_path_factory.mktemp("ledger") / "ledger.sqlite3"
    trio.run(write, found, network)
    return found


def verify(path: Path, network: Network) -> Report:
    return verify_ledger(path, network.genesis)


def make_fresh(network: Network) -> Chain:
    return make_chain(network.genesis, network.committee)


async def open_and_replay(path: Path, network: Network) -> tuple[Chain, int | None]:
    chain = make_fresh(network)
    async with trio_asyncio.open_loop(), Ledger.open(path, network.id) as ledger:
        start = (await replay(ledger, path, chain)).start
    return chain, None if start is None else start.position


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(sql)
    connection.commit()
    connection.close()


def test_both_stretches_are_proven(path: Path, network: Network) -> None:
    report = verify(path, network)
    assert report.findings == []
    assert report.is_valid
    assert report.held == [(0, 2), (8, 10)]
    assert (report.position, report.head) == (10, network.chain.get_head())
    assert report.describe()["held"] == [[0, 2], [8, 10]]


def test_the_log_says_what_is_not_held(path: Path, network: Network) -> None:
    page = read_log(path, network.committee.id, 0, 50)
    assert [entry.position for entry in page.entries] == [0, 1, 2, 8, 9, 10]
    assert [(gap.start, gap.end) for gap in page.not_held] == [GAP]
    assert read_log(path, network.committee.id, 0, 2).not_held == ()
    assert read_log(path, network.committee.id, 5, 1).not_held == page.not_held
    assert read_log(path, network.committee.id, 9, 50).not_held == ()


@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table in COLUMNS for column in COLUMNS[table]]
)
def test_a_flipped_byte_is_found(
    path: Path, network: Network, tmp_path: Path, table: str, column: str
) -> None:
    source = random.Random(f"{table}.{column}")
    for number in range(FLIPS_PER_COLUMN):
        copy = tmp_path / str(number)
        shutil.copy(path, copy)
        changed = change_one(copy, table, column, source)
        if changed is not None:
            assert not verify(copy, network).is_valid, changed


def test_a_start_begins_from_the_newest_state_that_proves_good(
    path: Path, network: Network, tmp_path: Path
) -> None:
    chain, start = trio.run(open_and_replay, path, network)
    assert (chain.get_head(), start) == (network.chain.get_head(), 9)
    assert chain.dump_state() == network.chain.dump_state()
    copy = tmp_path / "l"
    shutil.copy(path, copy)
    change(copy, "UPDATE chunks SET data = zeroblob(length(data)) WHERE position = 9")
    chain, start = trio.run(open_and_replay, copy, network)
    assert (chain.get_head(), start) == (network.chain.get_head(), 7)
    change(copy, "UPDATE chunks SET data = zeroblob(length(data)) WHERE position = 7")

    async def fail() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(copy, network.id) as ledger:
            with pytest.raises(EconodeError, match="behind which the batches begin, is damaged"):
                await replay(ledger, copy, make_fresh(network))

    trio.run(fail)


def test_without_states_it_begins_at_the_genesis(network: Network, tmp_path: Path) -> None:
    other = Network()
    batches = [other.make_genesis_batch(), *(other.make_batch() for _ in range(4))]

    async def write_whole() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(tmp_path / "l", other.id) as ledger:
            for batch in batches:
                ledger.append(batch)

    trio.run(write_whole)
    chain, start = trio.run(open_and_replay, tmp_path / "l", other)
    assert (chain.get_head(), start) == (other.chain.get_head(), None)


def test_a_fetched_state_outlives_a_restart_before_any_batch(tmp_path: Path) -> None:
    """Power was lost right behind it: the log goes on from its head, the records from its
    digest."""
    network = Network()

    async def run() -> None:
        async with trio_asyncio.open_loop():
            async with Ledger.open(tmp_path / "l", network.id) as ledger:
                ledger.append(network.make_genesis_batch())
                for _ in range(3):
                    network.make_batch()
                begun, chunks, transferred = network.make_transfer()
                await ledger.keep_state(begun)
                for chunk in chunks:
                    await ledger.keep_state(chunk)
                await ledger.flush()
                coming = await ledger.get_coming(network.committee.id)
                assert coming is not None
                assert coming.position == 3
                await ledger.begin(transferred)
            async with Ledger.open(tmp_path / "l", network.id) as ledger:
                place = (network.committee.id, 3)
                assert await ledger.get_last(place[0]) == (3, network.chain.get_head())
                assert await ledger.get_coming(place[0]) is None
                with pytest.raises(LedgerError, match="does not follow"):
                    await ledger.begin(transferred)
                ledger.append(network.make_batch())

    trio.run(run)
    report = verify(tmp_path / "l", network)
    assert report.findings == []
    assert report.held == [(0, 0), (4, 4)]


def test_only_the_newest_own_states_are_kept(tmp_path: Path) -> None:
    network = Network()

    async def run() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(tmp_path / "l", network.id) as ledger:
            ledger.append(network.make_genesis_batch())
            for _ in range(5):
                ledger.append(network.make_batch())
                await ledger.keep_state(network.make_snapshot())
            await ledger.flush()
            held = await ledger.read_snapshots(network.committee.id)
            assert [state.position for state in held] == [5, 4]
            assert len(held) == SNAPSHOTS_OWN_MAX
            assert await ledger.read_chunks(network.committee.id, 3) == {}

    trio.run(run)
    assert verify(tmp_path / "l", network).is_valid


def test_a_new_transfer_takes_the_place_of_an_unfinished_one(tmp_path: Path) -> None:
    network = Network()

    async def run() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(tmp_path / "l", network.id) as ledger:
            ledger.append(network.make_genesis_batch())
            for _ in range(2):
                network.make_batch()
                begun, chunks, _ = network.make_transfer()
                await ledger.keep_state(begun)
                await ledger.keep_state(chunks[0])
            await ledger.flush()
            coming = await ledger.get_coming(network.committee.id)
            assert coming is not None
            assert coming.position == 2
            assert await ledger.read_chunks(network.committee.id, 1) == {}
            assert await ledger.read_snapshots(network.committee.id) == []

    trio.run(run)


def test_peers_are_served_what_is_held_and_nothing_else(path: Path, network: Network) -> None:
    committee, peer = network.committee.id, bytes(32)

    async def run() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(path, network.id) as ledger:
            serving = Serving(ledger)
            for start, positions in ((1, [1, 2]), (4, []), (7, []), (8, [8, 9, 10]), (11, [])):
                (answer,) = await serving.answer(ServeBatches(committee, peer, start))
                assert isinstance(answer, Batches)
                assert [batch.seq for batch in answer.batches] == positions
            (offer,) = await serving.answer(ServeOffer(committee, peer, 3))
            assert isinstance(offer, OfferState)
            assert await serving.answer(ServeOffer(committee, peer, 9)) == []
            given = await serving.answer(ServeChunks(committee, peer, 9, (0, 5)))
            assert [isinstance(give, GiveState) for give in given] == [True, True]
            first, absent = given
            assert isinstance(first, GiveState)
            assert isinstance(absent, GiveState)
            assert len(first.data) == offer.size < STATE_CHUNK_BYTES
            assert is_chunk(first.data, 0, first.path, offer.size, offer.root)
            assert absent.data == b""
            (gone,) = await serving.answer(ServeChunks(committee, peer, 4, (0,)))
            assert isinstance(gone, GiveState)
            assert gone.data == b""

    trio.run(run)


def test_the_views_go_on_behind_a_gap(path: Path, network: Network) -> None:
    async def run() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(path, network.id) as ledger:
            views = Views(lambda: make_fresh(network), ledger, NoPeers())
            position, update = await views.read()
            assert position == 10
            assert update
            shown = views._document.to_dict()
            stake, tasks = shown["stake"], shown["tasks"]
            assert isinstance(stake, dict)
            assert isinstance(tasks, dict)
            for account, bucket, amount in network.chain.list_balances():
                name = "common" if not any(account) else account.hex()
                assert stake[name][bucket] == str(amount)
            assert set(tasks) == {row.task.hex() for row in network.chain.list_tasks()}

    trio.run(run)


def test_of_what_a_gap_hides_nothing_is_claimed(path: Path, network: Network) -> None:
    """No score is explained across it, and no fact before it proven by a certificate behind it."""
    account, committee = MEMBERS[0].public, network.committee.id

    async def run() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(path, network.id) as ledger:
            with pytest.raises(Problem) as caught:
                await Explainer(ledger, committee).explain(account, 5)
            assert caught.value.type == "not-held"
            page = await StakeFactsReader(ledger, committee).read(account, 100, None)
            assert page.not_held == (GAP,)
            certified = {fact.position: fact.certified for fact in page.facts}
            assert {p: c for p, c in certified.items() if p < GAP[0]} == {0: None, 1: None, 2: None}
            assert {p: c for p, c in certified.items() if p > GAP[1]} == {8: 8, 9: 9}

    trio.run(run)

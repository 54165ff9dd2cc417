"""Pruning: what may go goes, the rest is proven from the certified state on, also after a crash."""

import contextlib
import os
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio_asyncio

from node import cli, ledger_prune
from node.blob_store import BlobStore
from node.config_file import load_config, render_config
from node.home import Home
from node.ledger import Ledger
from node.ledger_prune import find_hindrance, find_target, open_chains, prune
from node.ledger_states import SNAPSHOTS_OWN_MAX
from node.ledger_verify import verify_ledger
from node.problem import Problem
from node.prune_home import prune_home
from node.pruner import Pruner
from node.replay import replay
from node.views import Views
from protocols.economy.operations import Transfer
from tests.economy.village import ALICE, BOB, Place, form, make_main
from tests.ledger.network import CREATED_MS, Network
from tests.ledger.peer_logs import PeerLogs as NoPeers
from tests.ledger.test_crossing_prove import change_members, make, renew, send, take, write
from tests.ledger.test_states import make_fresh

SNAPSHOTS = (6, 9)
LAST = 12


@pytest.fixture
def network() -> Network:
    return Network()


@pytest.fixture
def path(tmp_path: Path, network: Network) -> Path:
    """Transfers, tasks that are open across the states, own states at 6 and 9, twelve batches."""

    async def fill() -> None:
        async with (
            trio_asyncio.open_loop(),
            Ledger.open(tmp_path / "ledger.sqlite3", network.id) as ledger,
        ):
            ledger.append(network.make_genesis_batch())
            batches = [network.make_batch(), *network.make_task_batches()]
            while len(batches) < LAST:
                for batch in batches[-1:] if len(batches) > 3 else batches:
                    ledger.append(batch)
                    certificate = network.certify(batch.entry)
                    ledger.put_certificate(batch.committee, batch.position, certificate)
                if batch.position in SNAPSHOTS:
                    await ledger.keep_state(network.make_snapshot())
                batches.append(network.make_batch(len(batches) % 3))
            ledger.append(batches[-1])

    trio.run(fill)
    return tmp_path / "ledger.sqlite3"


@contextlib.asynccontextmanager
async def opened(path: Path, network: Network, **named: int):
    async with trio_asyncio.open_loop(), Ledger.open(path, network.id, **named) as ledger:
        yield ledger


async def prune_before(path: Path, network: Network, before: int) -> int | None:
    """Prune as the command does; the position of the state, None where nothing may go."""
    async with opened(path, network) as ledger:
        target = await find_target(ledger, network.committee.id, before=before, until_ms=None)
        if target is None:
            return None
        chains = await open_chains(ledger, path, network.genesis)
        states = {id_: chain.state for id_, chain in chains.items()}
        assert await find_hindrance(ledger, states, network.committee.id, target.position) == ""
        return (await prune(ledger, target)).position


def check_sound(path: Path, network: Network, held: list[tuple[int, int]]) -> None:
    report = verify_ledger(path, network.genesis)
    assert report.findings == []
    assert report.is_valid
    assert report.held == held
    assert (report.position, report.head) == (LAST, network.chain.get_head())


@pytest.mark.parametrize("slice_", [1, 4, ledger_prune.PRUNE_POSITIONS])
def test_what_is_left_is_proven_from_the_state_on(
    path: Path, network: Network, monkeypatch: pytest.MonkeyPatch, slice_: int
) -> None:
    check_sound(path, network, [(0, LAST)])
    monkeypatch.setattr(ledger_prune, "PRUNE_POSITIONS", slice_)
    assert trio.run(prune_before, path, network, 8) == 6
    check_sound(path, network, [(0, 0), (7, LAST)])
    assert trio.run(prune_before, path, network, 8) is None
    assert trio.run(prune_before, path, network, LAST) == 9
    check_sound(path, network, [(0, 0), (10, LAST)])


def test_it_goes_on_behind_the_state(path: Path, network: Network) -> None:
    trio.run(prune_before, path, network, 9)

    async def go_on() -> None:
        async with opened(path, network) as ledger:
            chain = make_fresh(network)
            replayed = await replay(ledger, path, chain)
            assert replayed.start is not None
            assert replayed.start.position == 9
            assert chain.get_head() == network.chain.get_head()
            views = Views(lambda: make_fresh(network), ledger, NoPeers())
            assert (await views.read())[0] == LAST
            ledger.append(network.make_batch())

    trio.run(go_on)
    report = verify_ledger(path, network.genesis)
    assert report.is_valid
    assert report.position == LAST + 1


def test_a_crash_on_the_way_leaves_a_sound_ledger(
    path: Path, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_prune, "PRUNE_POSITIONS", 2)
    change, calls = Ledger.change, []

    async def fail_later(ledger: Ledger, statements: object) -> None:
        calls.append(statements)
        if len(calls) > 2:
            raise KeyboardInterrupt
        await change(ledger, statements)  # type: ignore[arg-type]

    monkeypatch.setattr(Ledger, "change", fail_later)
    with pytest.raises(BaseException):  # noqa: B017, PT011 - a group of it, on the way out of trio
        trio.run(prune_before, path, network, 9)
    check_sound(path, network, [(0, 7), (10, LAST)])
    monkeypatch.setattr(Ledger, "change", change)
    assert trio.run(prune_before, path, network, 9) == 9
    check_sound(path, network, [(0, 0), (10, LAST)])


def test_nothing_goes_that_no_state_stands_for(path: Path, network: Network) -> None:
    assert trio.run(prune_before, path, network, 5) is None
    with contextlib.closing(sqlite3.connect(path)) as ledger:
        for table in ("batches", "entries", "records", "certificates"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                ledger.execute(f"DELETE FROM {table} WHERE position = 3")
            ledger.rollback()
    trio.run(prune_before, path, network, 9)
    with contextlib.closing(sqlite3.connect(path)) as ledger:
        for position in (0, 10):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                ledger.execute("DELETE FROM entries WHERE position = ?", (position,))


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE chain_starts SET hash = zeroblob(32)",
        "DELETE FROM chain_starts",
        "INSERT INTO chain_starts SELECT committee, 11, hash FROM chain_starts",
        "UPDATE chunks SET data = zeroblob(length(data))",
    ],
)
def test_what_is_changed_afterwards_is_found(path: Path, network: Network, sql: str) -> None:
    trio.run(prune_before, path, network, 9)
    with contextlib.closing(sqlite3.connect(path)) as ledger:
        ledger.execute(sql)
        ledger.commit()
    assert not verify_ledger(path, network.genesis).is_valid


def test_a_time_chooses_the_state(path: Path, network: Network) -> None:
    async def find(until_ms: int) -> int | None:
        async with opened(path, network) as ledger:
            target = await find_target(ledger, network.committee.id, before=None, until_ms=until_ms)
            return None if target is None else target.position

    assert trio.run(find, CREATED_MS + 5_500) is None
    assert trio.run(find, CREATED_MS + 6_000) == 6
    assert trio.run(find, CREATED_MS + 8_999) == 6
    assert trio.run(find, CREATED_MS + 60_000) == 9


def test_with_a_retention_older_states_are_kept_apart(tmp_path: Path, network: Network) -> None:
    """One for each quarter of it, besides the newest."""

    async def run() -> list[int]:
        async with opened(tmp_path / "l", network, retention_ms=16_000) as ledger:
            ledger.append(network.make_genesis_batch())
            for _ in range(20):
                ledger.append(network.make_batch(1))
                await ledger.keep_state(network.make_snapshot())
            await ledger.flush()
            return [s.position for s in await ledger.read_snapshots(network.committee.id)]

    held = trio.run(run)
    assert held[:SNAPSHOTS_OWN_MAX] == [20, 19]
    times = [(CREATED_MS + 1_000 * position) // 4_000 for position in held[SNAPSHOTS_OWN_MAX:]]
    assert len(set(times)) == len(times) >= 4
    assert verify_ledger(tmp_path / "l", network.genesis).is_valid


# --- what neighbours need


async def ask(path: Path, main: Place, work: Place, position: int) -> str:
    states = {main.id: main.state, work.id: work.state}
    async with trio_asyncio.open_loop(), Ledger.open(path, main.first.network) as ledger:
        return await find_hindrance(ledger, states, main.id, position)


def test_transfers_that_were_not_carried_keep_their_rows(tmp_path: Path) -> None:
    main = make_main()
    work = form(main)
    send(main, work)
    sent = len(main.entries) - 1
    main.run((ALICE, Transfer(BOB, 1)))
    path = write(tmp_path / "l", main)
    assert "wait to be carried" in trio.run(ask, path, main, work, sent)
    assert trio.run(ask, path, main, work, sent - 1) == ""
    take(work, make(path, main, work))
    assert trio.run(ask, path, main, work, sent) == ""


def test_an_epoch_that_a_neighbour_was_not_shown_keeps_its_rows(tmp_path: Path) -> None:
    main = make_main()
    work = form(main)
    change_members(main, 1)
    began = len(main.entries) - 1
    main.run((ALICE, Transfer(BOB, 1)))
    path = write(tmp_path / "l", main)
    assert "was not shown the epoch" in trio.run(ask, path, main, work, began)
    assert trio.run(ask, path, main, work, began - 1) == ""
    take(work, renew(path, main, work))
    assert trio.run(ask, path, main, work, began) == ""


# --- the command


@pytest.fixture
def home(path: Path, network: Network) -> Home:
    """A stopped node's home around the ledger."""
    home = Home(path.parent)
    home.write_genesis(network.genesis)
    home.config_path.write_text(render_config())
    return home


def test_the_command_prunes_and_says_from_where_the_rest_is_proven(
    home: Home, network: Network
) -> None:
    arguments = ("ledger", "prune", "--home", str(home.path), "--json")
    assert cli.run([*arguments, "--before", "10"]) == 0
    check_sound(home.ledger_path, network, [(0, 0), (10, LAST)])
    assert cli.run([*arguments, "--before", "10"]) == 1  # nothing is left to prune
    assert cli.run([*arguments, "--keep", "1d", "--before", "9"]) == 2
    assert cli.run([*arguments, "--keep", "soon"]) == 2
    with home.lock():
        assert cli.run([*arguments, "--before", "10"]) == 1


def test_it_names_the_states_there_are(home: Home) -> None:
    with pytest.raises(Problem) as caught:
        prune_home(
            home,
            home.load_genesis().make_committee().id,
            keep_ms=None,
            before=5,
            with_blobs=False,
            give_up_proofs=False,
        )
    assert "positions: 6, 9;" in caught.value.remedy


def test_old_blobs_go_but_for_those_of_open_tasks(home: Home, network: Network) -> None:
    store = BlobStore(home.blobs_path, bytes_max=1 << 20)
    needed, old, new = (store.put(data) for data in (b"input", b"old", b"new"))
    for digest in (needed, old):
        os.utime(home.blobs_path / digest.hex()[:2] / digest.hex(), (1, 1))
    done = prune_home(
        home,
        network.committee.id,
        keep_ms=24 * 3_600_000,
        before=None,
        with_blobs=True,
        give_up_proofs=False,
    )
    assert (done["verified_from"], done["blobs"]) == (9, 1)
    kept = BlobStore(home.blobs_path, bytes_max=1 << 20)
    assert [kept.has(digest) for digest in (needed, old, new)] == [True, False, True]


async def test_a_running_node_prunes_what_is_older_than_its_retention(
    home: Home, network: Network
) -> None:
    config = load_config(home.config_path, environment={}, flags=["ledger.retention_hours=1"])
    async with opened(home.ledger_path, network) as ledger, trio.open_nursery() as nursery:
        chains = await open_chains(ledger, home.ledger_path, network.genesis)
        places = {id_: SimpleNamespace(chain=chain) for id_, chain in chains.items()}
        node: Any = SimpleNamespace(config=config, ledger=ledger, places=places)
        nursery.start_soon(Pruner(node).run)
        while await ledger.count_batches(network.committee.id, 1, 9):
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    check_sound(home.ledger_path, network, [(0, 0), (10, LAST)])

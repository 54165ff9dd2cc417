"""A backup of a running member under load, put back on another machine: nothing is lost up to the
backup, and no slot is voted in twice."""

import contextlib
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.problem import Problem
from protocols.genesis import Parameters
from protocols.pbft.memory import BEYOND_MAX
from tests.system.network import Network, RealNode, wait_until
from tests.system.test_forgotten_votes import (
    Votes,
    check_nobody_slashed,
    get_newest,
    pay,
    read_votes,
)

CHECKPOINT_BATCHES = 10
VOTED_AFTER = 25
"""Slots that the member votes in after its backup."""


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Network]:
    network = Network(tmp_path, 4, parameters=Parameters(checkpoint_batches=CHECKPOINT_BATCHES))
    network.start()
    yield network
    network.end()


class Load:
    """Transfers one after the other, from a thread of its own, until the block ends."""

    def __init__(self, network: Network) -> None:
        self.done = 0
        self._network, self._ending = network, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._ending.is_set():
            pay(self._network, 1)
            self.done += 1

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()


def read_batches(path: Path, last: int) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as ledger:
        return ledger.execute(
            "SELECT b.position, b.digest, e.hash FROM batches b JOIN entries e "
            "USING (committee, position) WHERE position <= ? ORDER BY position",
            (last,),
        ).fetchall()


def restore_elsewhere(member: RealNode, backup: Path, folder: Path) -> RealNode:
    """The home on "another machine", which has nothing but the backup and the key file."""
    kept = shutil.copy(member.home.key_path, folder / "kept.key")
    node = RealNode(folder / "elsewhere" / "home")
    node.home.path.parent.mkdir()
    done = node.econode("ledger", "restore", backup, "--key", kept, "--json")
    assert done.code == 0, done.err
    assert done.document["observes"]
    return node


@pytest.mark.parametrize(
    "is_long",
    [False, pytest.param(True, marks=[pytest.mark.full, pytest.mark.timeout(300)])],
    ids=["it_observes", "it_votes_again"],
)
def test_a_backup_under_load_is_restored_elsewhere(
    four: Network, tmp_path: Path, is_long: bool
) -> None:
    member = four.nodes[3]
    with Load(four) as load:
        wait_until(lambda: load.done >= 20, "some load")
        acknowledged = member.client.status().certified_position
        done = member.econode("ledger", "backup", tmp_path / "b.backup", "--json")
        assert done.code == 0, done.err
        at_backup = load.done
        wait_until(lambda: get_newest(member) >= acknowledged + VOTED_AFTER, "votes after it")
    assert load.done > at_backup
    (tip,) = done.document["committees"]
    assert tip["position"] >= acknowledged
    four.wait_equal()
    voted = read_votes(member.home.votes_path)
    signed = get_newest(member)
    member.kill()

    node = restore_elsewhere(member, tmp_path / "b.backup", tmp_path)
    held = read_batches(node.home.ledger_path, tip["position"])
    assert held == read_batches(four.nodes[0].home.ledger_path, tip["position"])
    assert held[-1][0] == tip["position"]
    report = node.verify()
    assert report["valid"]
    assert (report["position"], report["head"]) == (tip["position"], tip["head"])
    before = read_votes(node.home.votes_path)

    four.nodes[3] = node
    node.start()
    four.wait_linked()
    assert "observing" in node.client.status().roles
    pay(four, 5)
    four.wait_equal()
    assert "observing" in node.client.status().roles
    assert read_votes(node.home.votes_path).items() <= before.items()  # it signed nothing
    check_nobody_slashed(four)

    if is_long:
        check_it_votes_again(four, node, voted, signed)
    assert node.verify()["valid"]


def check_it_votes_again(four: Network, node: RealNode, voted: Votes, signed: int) -> None:
    """Once the others have gone beyond what it may have signed, and nowhere before."""
    before = read_votes(node.home.votes_path)
    while node.client.status().position <= signed + BEYOND_MAX:
        pay(four, 5)
    wait_until(lambda: "observing" not in node.client.status().roles, "it is past its old slots")
    newest = get_newest(node)
    while get_newest(node) <= newest:
        pay(four, 1)  # until it votes again
    four.wait_equal()
    now = read_votes(node.home.votes_path)
    assert all(voted[slot] == now[slot] for slot in voted.keys() & now.keys())
    assert min(seq for _, _, seq in now.keys() - before.keys()) > signed
    check_nobody_slashed(four)


def test_a_restore_never_takes_the_place_of_a_home(four: Network, tmp_path: Path) -> None:
    member = four.nodes[3]
    pay(four, 3)
    backup = tmp_path / "b.backup"
    assert member.econode("ledger", "backup", backup, "--with-key", "--json").code == 0
    running = member.econode("ledger", "restore", backup, "--json")
    assert (running.code, running.document["error"]["title"]) == (1, "home in use")
    member.stop()
    stopped = member.econode("ledger", "restore", backup, "--json")
    assert (stopped.code, stopped.document["error"]["title"]) == (1, "home exists")
    with pytest.raises(Problem):
        member.client.status()

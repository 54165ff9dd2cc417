"""A home put back from a backup, and one that was copied and started twice: no double vote."""

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from identity import envelope, schema
from protocols.genesis import Parameters
from protocols.messages import PrePrepare, Propose
from protocols.pbft.slot import PreparedRow
from tests.system.network import BOND, Network, RealNode, read_place, wait_until

ROW_BYTES_MAX = 4 << 20
CHECKPOINT_BATCHES = 10
WINDOW = 2 * CHECKPOINT_BATCHES
Votes = dict[tuple[str, int, int], bytes]


@pytest.fixture
def four(tmp_path):
    network = Network(tmp_path, 4, parameters=Parameters(checkpoint_batches=CHECKPOINT_BATCHES))
    network.start()
    yield network
    network.end()


def pay(network: Network, count: int) -> None:
    payer, other = network.nodes[0], network.nodes[1]
    for _ in range(count):
        payer.client.transfer(other.peer_id, 1)


def read_votes(path: Path) -> Votes:
    """The digests that a vote log says were voted for: by (kind of row, view, seq), "accepted" for
    the PREPARE and "prepared" for the COMMIT."""
    with contextlib.closing(sqlite3.connect(path)) as votes:
        rows = votes.execute("SELECT kind, data FROM rows").fetchall()
    found: Votes = {}
    for kind, data in rows:
        if kind == "accepted":
            hop = schema.decode(data, Propose, size_max=ROW_BYTES_MAX)
            statement = envelope.parse(hop.pre_prepare, size_max=ROW_BYTES_MAX)
            said = schema.decode(statement.payload, PrePrepare, size_max=ROW_BYTES_MAX)
            found[kind, said.view, said.seq] = said.digest
        elif kind == "prepared":
            proof = schema.decode(data, PreparedRow, size_max=ROW_BYTES_MAX).proof
            found[kind, proof.view, proof.seq] = proof.digest
    return found


def get_newest(node: RealNode) -> int:
    """The highest position that its vote log knows a vote at; 0 right after a checkpoint."""
    return max((seq for _, _, seq in read_votes(node.home.votes_path)), default=0)


def check_nobody_slashed(network: Network) -> None:
    """Whoever sees two votes of a member in one slot orders them, and its bond burns."""
    accounts = network.nodes[0].client.stake().accounts
    members = {node.peer_id for node in network.nodes}
    assert {account.bonded for account in accounts if account.peer_id in members} == {BOND}


@pytest.mark.parametrize(
    "missing",
    [3, pytest.param(WINDOW + 5, marks=pytest.mark.full)],
    ids=["within_the_window", "beyond_it"],
)
def test_a_home_put_back_from_a_backup_only_observes(four, missing):
    """However old the backup is: an hour ago everybody was at positions that the others have long
    forgotten the votes of."""
    member = four.nodes[3]
    pay(four, 3)
    four.wait_equal()
    member.stop()
    backup = member.home.path.with_name("backup")
    shutil.copytree(member.home.path, backup)
    known = read_votes(member.home.votes_path)
    newest = get_newest(member)
    member.start()
    four.wait_linked()
    while get_newest(member) < newest + missing:
        pay(four, 1)  # until it has voted anew, and not only caught up
    four.wait_equal()
    member.stop()
    signed = newest + missing
    shutil.rmtree(member.home.path)
    shutil.copytree(backup, member.home.path)
    member.start()
    four.wait_linked()
    wait_until(lambda: "observing" in member.client.status().roles, "it finds that it forgot")
    pay(four, 3)
    four.wait_equal()
    assert "observing" in member.client.status().roles
    assert member.client.status().position > signed
    assert read_votes(member.home.votes_path).items() <= known.items()  # it signed nothing at all
    check_nobody_slashed(four)
    assert member.verify()["valid"]


@pytest.mark.full
def test_a_home_copied_and_started_twice_never_splits_the_others(four, tmp_path):
    member = four.nodes[3]
    pay(four, 3)
    four.wait_equal()
    member.stop()
    shutil.copytree(member.home.path, tmp_path / "twin")
    member.start()
    four.wait_linked()
    pay(four, 3)
    twin = RealNode(tmp_path / "twin")
    twin.start("--listen", "/ip4/127.0.0.1/tcp/0")
    try:
        pay(four, 6)
        honest = four.nodes[:3]
        wait_until(lambda: len(set(map(read_place, honest))) == 1, "the others agree")
        for node in honest:
            assert node.verify()["valid"]
        check_nobody_slashed(four)
    finally:
        twin.end()
    mine, its = read_votes(member.home.votes_path), read_votes(twin.home.votes_path)
    assert mine
    assert its
    assert all(mine[slot] == its[slot] for slot in mine.keys() & its.keys())

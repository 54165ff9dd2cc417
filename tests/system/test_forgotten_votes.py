"""A home put back from a backup, and one that was copied and started twice: no double vote."""

import shutil
import sqlite3

import pytest

from identity import schema
from protocols.pbft.slot import PreparedRow
from tests.system.network import Network, RealNode, read_place, wait_until

ROW_BYTES_MAX = 4 << 20


@pytest.fixture
def four(tmp_path):
    network = Network(tmp_path, 4)
    network.start()
    yield network
    network.end()


def pay(network: Network, count: int) -> None:
    payer, other = network.nodes[0], network.nodes[1]
    for _ in range(count):
        payer.client.transfer(other.peer_id, 1)


def read_votes(node: RealNode) -> dict[tuple[int, int], bytes]:
    """The digest of each (view, seq) that the node's vote log holds a prepared certificate for."""
    with sqlite3.connect(node.home.votes_path) as votes:
        rows = votes.execute("SELECT data FROM rows WHERE kind = 'prepared'").fetchall()
    proofs = [schema.decode(row[0], PreparedRow, size_max=ROW_BYTES_MAX).proof for row in rows]
    return {(proof.view, proof.seq): proof.digest for proof in proofs}


def check_no_double_vote(before: dict[tuple[int, int], bytes], node: RealNode) -> None:
    after = read_votes(node)
    assert all(after[slot] == before[slot] for slot in before.keys() & after.keys())


def test_a_home_put_back_from_a_backup_only_observes(four):
    member = four.nodes[3]
    pay(four, 3)
    four.wait_equal()
    member.stop()
    backup = member.home.path.with_name("backup")
    shutil.copytree(member.home.path, backup)
    known = max(read_votes(member))
    member.start()
    four.wait_linked()
    while max(read_votes(member)) < (known[0], known[1] + 3):
        pay(four, 1)  # until it has voted anew, and not only caught up
    four.wait_equal()
    member.stop()
    signed = read_votes(member)
    shutil.rmtree(member.home.path)
    shutil.copytree(backup, member.home.path)
    member.start()
    four.wait_linked()
    wait_until(lambda: "observing" in member.client.status().roles, "it finds that it forgot")
    pay(four, 3)
    four.wait_equal()
    assert "observing" in member.client.status().roles
    check_no_double_vote(signed, member)
    assert member.verify()["valid"]


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
    finally:
        twin.end()
    shared = read_votes(member).items() ^ read_votes(twin).items()
    digests: dict[tuple[int, int], set[bytes]] = {}
    for slot, digest in shared:
        digests.setdefault(slot, set()).add(digest)
    assert all(len(found) == 1 for found in digests.values())

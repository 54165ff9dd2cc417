"""Logs of real nodes, exported while they run, verified offline and imported elsewhere."""

import shutil

import pytest

from identity.keys import PrivateKey
from tests.system.network import Network, RealNode, econode, wait_until

NODES = 3


@pytest.fixture
def three(tmp_path):
    """Three members: two are enough to order (f = 0, q = 2)."""
    network = Network(tmp_path, NODES)
    try:
        network.start()
        yield network
    finally:
        network.end()


def run(node: RealNode, *arguments: object) -> dict:
    done = node.econode("ledger", *arguments, "--json")
    assert done.code == 0, done.out + done.err
    return done.document


@pytest.mark.full
def test_a_member_that_was_away_imports_what_it_missed(three, tmp_path):
    one, other, away = three.nodes
    one.client.transfer(other.peer_id, 5)
    three.wait_equal()
    away.stop()
    before = run(away, "verify")
    for _ in range(3):
        position = one.client.transfer(other.peer_id, 7).position
    one.read_operations(position)
    file, genesis = tmp_path / "logs.econode", tmp_path / "genesis.json"
    shutil.copy(one.home.genesis_path, genesis)
    exported = run(one, "export", file)
    assert exported["batches"] > position
    proven = econode("ledger", "verify", file, "--genesis", genesis, "--json")
    assert (proven.code, proven.document["valid"]) == (0, True)
    refused = one.econode("ledger", "import", file, "--json")
    assert refused.document["error"]["type"].endswith("home-in-use")
    done = run(away, "import", file)
    assert done["batches"] == exported["batches"] - before["batches"]
    assert run(away, "verify")["position"] >= position
    assert run(away, "import", file)["batches"] == 0
    away.start()
    three.wait_linked()
    three.check_alive([node.pid for node in three.nodes])
    assert run(away, "verify")["valid"]


def test_a_new_home_starts_from_a_file_and_a_spoilt_one_changes_nothing(three, tmp_path):
    one, other, _ = three.nodes
    position = one.client.transfer(other.peer_id, 5).position
    one.read_operations(position)
    file = tmp_path / "logs.econode"
    run(one, "export", file)
    fresh = RealNode(tmp_path / "fresh")
    fresh.home.make_folder()
    fresh.home.write_key(PrivateKey.generate(), None)
    fresh.home.write_token()
    fresh.home.write_genesis(three.genesis)
    shutil.copy(one.home.config_path, fresh.home.config_path)
    spoilt = tmp_path / "spoilt.econode"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    spoilt.write_bytes(data)
    assert fresh.econode("ledger", "verify", spoilt).code == 1
    assert fresh.econode("ledger", "import", spoilt).code == 1
    assert not fresh.home.ledger_path.exists()
    run(fresh, "import", file)
    for node in three.nodes:
        node.stop()
    try:
        fresh.start()
        status = wait_until(lambda: fresh.client.status(), f"{fresh.log_path}")
        assert status.position >= position
    finally:
        fresh.end()

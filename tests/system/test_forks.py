"""What forks cost, among real processes: a committee halts, a copied home is frozen."""

import contextlib
import shutil
import sqlite3

import pytest

from devnet.manifest import choose_ports
from identity.keys import compute_peer_id
from node.config_file import render_config
from node.files import write_atomic
from node.home import Home
from node.problem import Problem
from tests.system.network import Network, RealNode, econode, wait_until
from tests.system.test_evidence import (
    FELLOWS,
    LIAR,
    TELLER,
    make_certificates,
    refuse,
    run,
    write,
)


@pytest.fixture
def lonely(tmp_path):
    """One node of four members: the tests hold the keys of a quorum beside it."""
    network = Network(tmp_path, 1, outsiders=[LIAR, *FELLOWS])
    yield network
    network.end()


def test_two_certified_heads_halt_the_committee_for_good(lonely, tmp_path):
    (node,) = lonely.nodes
    node.start()
    wait_until(lambda: node.client.status(), f"{node.log_path}")
    assert node.client.status().alarms == ()
    signers = [LIAR, *FELLOWS]
    too_few = make_certificates(lonely, signers[:2], 7)
    assert refuse(node, too_few, lonely.id) == "no-evidence"
    path = write(tmp_path, lonely, make_certificates(lonely, signers, 7))
    genesis = node.home.genesis_path
    verified = econode("evidence", "verify", path, "--genesis", genesis, "--json").document
    assert sorted(verified["double_signers"]) == sorted(
        compute_peer_id(key.public) for key in signers
    )
    code, item = run(node, "submit", path)
    assert (code, item["halted"], item["kind"]) == (0, True, "committee")
    for _ in range(2):
        (alarm,) = node.client.status().alarms
        assert "two heads at position 7" in alarm
        with pytest.raises(Problem) as halted:
            node.client.transfer(compute_peer_id(LIAR.public), 1)
        assert halted.value.type == "committee-halted"
        node.kill()
        node.start()
        wait_until(lambda: node.client.status(), f"{node.log_path}")
    assert "ALARM" in node.econode("status").out


@pytest.fixture
def copied(tmp_path):
    """Two members, and an account's node whose home exists twice."""
    network = Network(tmp_path, 2, accounts=[TELLER])
    (port,) = choose_ports(1)
    original = RealNode(tmp_path / "original")
    original.home.make_folder()
    original.home.write_key(TELLER, None)
    original.home.write_token()
    original.home.write_genesis(network.genesis)
    text = render_config({("network", "listen"): (f"/ip4/127.0.0.1/tcp/{port}",)})
    write_atomic(original.home.config_path, text.encode())
    copy = RealNode(tmp_path / "copy")
    yield network, original, copy
    for node in (original, copy):
        node.end()
    network.end()


def count_entries(home: Home, author: bytes) -> int:
    """Entries of the author's log in the ledger file."""
    with contextlib.closing(
        sqlite3.connect(f"{home.ledger_path.as_uri()}?mode=ro", uri=True)
    ) as db:
        sql = "SELECT count(*) FROM log_entries WHERE author = ?"
        return int(db.execute(sql, (author,)).fetchone()[0])


@pytest.mark.full
def test_a_copied_home_that_writes_two_logs_is_frozen_where_they_part(copied):
    network, original, copy = copied
    one, other = network.nodes
    one.start()
    other.start()
    original.start()
    wait_until(lambda: one.count_connected() and original.count_connected() == 2, "links")
    one.client.transfer(other.peer_id, 1)
    author = TELLER.public

    def hold(count: int, *nodes: RealNode) -> None:
        for node in nodes:
            wait_until(
                lambda node=node: count_entries(node.home, author) >= count, f"{node.log_path}"
            )

    hold(1, one, other, original)
    original.stop()
    one.client.transfer(other.peer_id, 1)  # what both copies have still to execute
    shutil.copytree(original.home.path, copy.home.path)
    other.stop()
    original.start("--set", "agent.price_base=111")
    hold(2, one)
    original.stop()
    one.stop()
    other.start()
    copy.start("--set", "agent.price_base=222")
    hold(2, other)
    one.start()

    def is_frozen(node: RealNode) -> bool:
        found = node.client.list_evidence().evidence
        return any(item.kind == "log" and item.punished[0].position == 1 for item in found)

    for node in (one, other, copy):
        wait_until(lambda node=node: is_frozen(node), f"{node.log_path}")
    wait_until(
        lambda: len({node.client.status().logs_root for node in (one, other, copy)}) == 1,
        "one root of all logs",
    )
    assert any("own log is frozen" in alarm for alarm in copy.client.status().alarms)
    assert not one.client.status().alarms
    for node in (one, other, copy):
        assert node.verify()["valid"]

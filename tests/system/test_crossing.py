"""Eight real nodes, two overlapping committees, and credits that cross between them."""

import pytest

from devnet.invariants import check_crossing
from devnet.ledger_files import read_history
from protocols.genesis import Parameters
from tests.system.network import RealNode, wait_until
from tests.system.town import Town, form

QUICK = Parameters(bid_phase_ms=1_500, work_phase_ms=4_000, reveal_phase_ms=1_500)
MEMBERS, OUTSIDE = 5, 3
"""Nodes 0 to 4 are `main`, nodes 3 to 7 are `work`."""
BOND, FREE = 2_000, 50_000


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    town = Town(tmp_path_factory.mktemp("crossing"), MEMBERS, OUTSIDE, parameters=QUICK)
    town.configure(town.nodes[0], {("committees", "follow"): ("work",)})
    try:
        town.start()
        form(list_work(town), "work", BOND, FREE)
        wait_until(lambda: town.nodes[0].client.at("work").status(), "node 0 follows work")
        yield town
    finally:
        town.end()


def list_work(town: Town) -> list[RealNode]:
    return [*town.nodes[3:], *town.outside]


def get_free(node: RealNode, committee: str, of: RealNode | None = None) -> int:
    peer = (of or node).peer_id
    return node.client.at(committee).stake(peer).accounts[0].free


def check_conservation(town: Town) -> None:
    """Over both, in the ledger of a node that belongs to both."""
    node = town.nodes[3]
    ids = [node.client.at(name).status().committee for name in ("main", "work")]
    parent, child = (
        read_history(node.home.ledger_path, "node 3", bytes.fromhex(id_)) for id_ in ids
    )
    assert not list(check_crossing(parent, child))


def test_credits_cross_and_come_back(town):
    node, other = town.nodes[0], town.outside[0]
    before = get_free(node, "main")
    there = ("stake", "transfer", node.peer_id, 500, "--to-committee", "work")
    done = node.econode(*there, "--json")
    assert done.code == 0, done.err
    assert done.document["state"] == "imported"
    assert get_free(node, "work") == 500
    back = ("stake", "transfer", other.peer_id, 200, "--committee", "work")
    done = node.econode(*back, "--to-committee", "main")
    assert done.code == 0, done.err
    assert "position in main" in done.out
    assert get_free(node, "work") == 300 - 1
    assert get_free(node, "main") == before - 500 - 2  # the fees of the export and of an import
    check_conservation(town)

"""A node that was down for long fetches a certified state, and is whole in every other respect."""

import pytest

from devnet.bench.recovery import WAYS, measure_recovery
from protocols.genesis import Parameters
from protocols.messages import BATCHES_MAX
from tests.system.network import Network, RealNode, wait_until

CHECKPOINT_BATCHES = 10
FAR = 8 * CHECKPOINT_BATCHES
"""Batches behind which the state is fetched."""


@pytest.fixture
def network(tmp_path):
    found = Network(tmp_path, 4, parameters=Parameters(checkpoint_batches=CHECKPOINT_BATCHES))
    try:
        found.start()
        yield found
    finally:
        found.end()


def order(network: Network, payer: int, to: int, batches: int) -> None:
    """Pay until so many batches more are executed."""
    target = network.nodes[payer].client.status().position + batches
    while network.nodes[payer].client.status().position < target:
        network.nodes[payer].client.transfer(network.nodes[to].peer_id, 1)


def find_gap(node: RealNode, position: int) -> dict:
    """The one gap of the node's log from `position` on."""
    while True:
        page = node.econode("ledger", "log", "--from", position, "--json").document
        if page["not_held"]:
            (gap,) = page["not_held"]
            return gap
        assert page["entries"], "the log has no gap"
        position = page["next"]


@pytest.mark.full
def test_a_node_that_was_down_fetches_the_state_and_serves_on(network):
    sleeper, *others = reversed(network.nodes)
    order(network, 1, 0, 5)
    network.wait_equal()
    left = sleeper.client.status().position
    sleeper.kill()
    # A peer's status of before may bring one answer with batches first: go beyond that.
    order(network, 1, 0, BATCHES_MAX + FAR + 6 * CHECKPOINT_BATCHES)
    sleeper.start()
    network.wait_linked()
    network.wait_equal()
    assert "goes on from the certified state" in sleeper.read_log()
    gap = find_gap(sleeper, left)
    assert gap["start"] > left
    assert (gap["end"] - 5 * CHECKPOINT_BATCHES) % (5 * CHECKPOINT_BATCHES) == 0
    assert "not held" in sleeper.econode("ledger", "log", "--from", gap["start"]).out
    # It pays, it survives kill -9, and it starts from its state.
    assert sleeper.client.transfer(others[0].peer_id, 3).position > gap["end"]
    sleeper.kill()
    sleeper.start()
    network.wait_linked()
    network.check_alive([node.pid for node in network.nodes])
    stakes = [node.client.stake().accounts for node in network.nodes]
    assert stakes.count(stakes[0]) == len(stakes)
    for node in network.nodes:
        assert node.stop() == 0
    reports = [node.verify() for node in network.nodes]
    assert all(report["valid"] for report in reports), reports
    assert len({report["head"] for report in reports}) == 1
    assert [len(report["held"]) for report in reports] == [1, 1, 1, 2]


@pytest.mark.full
def test_a_new_follower_begins_with_the_state(network):
    """A node without a ledger that is far behind: its log has the genesis and what follows the
    state."""
    order(network, 1, 0, FAR + 6 * CHECKPOINT_BATCHES)
    sleeper = network.nodes[-1]
    sleeper.kill()
    for path in sleeper.home.path.glob("ledger.sqlite3*"):
        path.unlink()
    sleeper.start()
    network.wait_linked()
    wait_until(lambda: sleeper.client.status().position >= FAR, "the state")
    network.wait_equal()
    held = sleeper.verify()["held"]
    assert held[0][0] == 0
    assert len(held) == 2


@pytest.mark.full
@pytest.mark.timeout(1_200)
def test_ten_thousand_operations_are_made_good_either_way(tmp_path):
    report = measure_recovery(10_000, 8, 4, tmp_path)
    for way in WAYS:
        assert report.get(f"{way}_backlog") > 0
    assert report.get("usual_transfers") == (report.get("usual_backlog") > 800)
    assert report.get("batches_transfers") == 0

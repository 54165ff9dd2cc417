"""Borders of committees that order nothing: nodes renew them before they grow stale."""

import pytest

from protocols.genesis import Parameters
from tests.system.network import Network, RealNode, wait_until
from tests.system.town import form

UNBONDING_MS = 24_000
"""Renewed after a third of that."""


@pytest.fixture
def network(tmp_path):
    network = Network(tmp_path, 4, parameters=Parameters(unbonding_ms=UNBONDING_MS))
    try:
        network.start()
        yield network
    finally:
        network.end()


def get_border(node: RealNode, committee: str):
    (border,) = node.client.at(committee).crossings().borders
    return border


@pytest.mark.full
def test_idle_borders_are_renewed_before_they_are_stale(network):
    node = network.nodes[0]
    form(network.nodes, "work", 2_000, 5_000)
    first = {name: get_border(node, name).stale_ms for name in ("main", "work")}
    for name, other in (("main", "work"), ("work", "main")):
        wait_until(lambda name=name: get_border(node, name).stale_ms > first[name], f"{name} knows")
        done = node.client.at(name).export(node.peer_id, 5, other)
        where = node.client.at(name)
        wait_until(
            lambda where=where, done=done: where.crossing(done.operation).state == "imported",
            f"from {name} to {other}",
        )

"""What a real network finds unusual: nothing of honest agents, and a member that is not there."""

import pytest

from identity.keys import compute_peer_id
from tests.system.conftest import INSIDER
from tests.system.network import wait_until
from tests.system.test_telemetry import find, read_metrics

BATCHES = 70
QUIET = {"drains", "price_jump", "fails_often", "withholds_bids", "never_disagrees", "view_changes"}


@pytest.mark.full
def test_a_member_that_nobody_runs_is_named_and_nobody_else(village):
    node, other = village.nodes[:2]
    for _ in range(BATCHES):
        node.client.transfer(other.peer_id, 1)
    found = wait_until(lambda: node.client.market.anomalies(), "a first look")
    absent = [each for each in found.anomalies if each.kind == "seldom_votes"]
    named = {subject for each in absent for subject in each.subjects}
    assert compute_peer_id(INSIDER.public) in named
    assert all(each.observed == 0 and each.count >= 64 for each in absent)
    assert not QUIET & {each.kind for each in found.anomalies}
    place = {"committee": "main", "kind": "seldom_votes"}
    assert find(read_metrics(node), "econode_anomalies", **place) == len(absent)
    done = node.econode("anomalies", "--json")
    assert done.code == 0
    assert "anomaly" in node.home.log_path.read_text()

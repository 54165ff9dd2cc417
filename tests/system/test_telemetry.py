"""What a machine that watches a real network is told."""

import httpx
from prometheus_client.parser import text_string_to_metric_families

from node.telemetry import COMMIT_LATENCY, METRICS
from tests.system.network import wait_until


def read_metrics(node):
    """{(name, labels): value} of a scrape."""
    info = node.home.load_info()
    headers = {"authorization": f"Bearer {node.home.load_token()}"}
    url = f"http://127.0.0.1:{info.api_port}"
    answer = httpx.get(f"{url}/metrics", headers=headers, trust_env=False)
    assert answer.status_code == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def find(metrics, name, **labels):
    return metrics[name, frozenset(labels.items())]


def is_ready(node):
    url = f"http://127.0.0.1:{node.home.load_info().api_port}/ready"
    return httpx.get(url, trust_env=False).status_code == 200


def test_metrics_say_what_the_api_says(village):
    node, other = village.nodes[:2]
    wait_until(lambda: is_ready(node), "the node is ready")
    before = read_metrics(node)
    done = node.client.transfer(other.peer_id, 5)
    metrics = read_metrics(node)
    main = {"committee": "main"}
    assert find(metrics, "econode_consensus_position", **main) >= done.position
    assert find(metrics, "econode_consensus_view", **main) == node.client.status().view
    paid = {"kind": "paid", **main}
    assert find(metrics, "econode_facts_total", **paid) >= 1
    count = f"{COMMIT_LATENCY}_count"
    assert find(metrics, count) >= find(before, count) + 1
    peer = {"peer": other.peer_id}
    assert find(metrics, "econode_link_up", **peer) == 1
    told = {name for name, _ in metrics}
    quiet = {"econode_tasks_open", "econode_tasks_settled_total"}
    assert {metric.name for metric in METRICS} - quiet <= told


def test_a_node_without_a_quorum_is_not_ready(village):
    node, *others = village.nodes
    wait_until(lambda: is_ready(node), "the node is ready")
    for other in others:
        other.kill()
    try:
        wait_until(lambda: not is_ready(node), "nobody is linked")
    finally:
        for other in others:
            other.start()
        village.wait_linked()
    wait_until(lambda: is_ready(node), "the node is ready again")

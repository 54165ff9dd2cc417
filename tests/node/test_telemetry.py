"""Metrics: documented names, and nothing watches a metric that does not exist."""

import json
import re
from pathlib import Path

import pytest

from node.telemetry import COMMIT_LATENCY, METRICS

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"
UNITS = ("_seconds", "_bytes", "_total", "_ratio", "_credits", "_info", "_position", "_up")
COUNTS = {
    *("econode_consensus_view", "econode_consensus_epoch", "econode_consensus_members"),
    *("econode_consensus_is_leader", "econode_consensus_is_observing", "econode_alarms"),
    *("econode_consensus_pending_operations", "econode_account_pending_operations"),
    "econode_tasks_open",
    "econode_anomalies",
}
"""Numbers without a unit."""


def test_every_name_is_used_once_and_ends_with_its_unit():
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert {n for n in names if not n.endswith(UNITS)} == COUNTS
    assert {m.name for m in METRICS if m.name.endswith("_total")} == {
        m.name for m in METRICS if m.kind == "counter"
    }


@pytest.mark.parametrize("file", ["alerts.yml", "grafana.json"])
def test_what_is_watched_exists(file):
    text = (DOCS / file).read_text()
    known = {metric.name for metric in METRICS} | {f"{COMMIT_LATENCY}_bucket"}
    used = set(re.findall(r"\beconode_[a-z_]+", text))
    assert used - known == set()
    assert len(used) >= 7


def test_every_alert_is_tested_with_its_own_words():
    rules, tests = ((DOCS / name).read_text() for name in ("alerts.yml", "alerts.test.yml"))
    names = re.findall(r"- alert: (\w+)", rules)
    firing = re.findall(r"alertname: (\w+)\n +exp_alerts:", tests)
    assert sorted(firing) == sorted(names)
    metric = re.compile(r"\beconode_[a-z_]+")
    assert set(metric.findall(tests)) >= set(metric.findall(rules))
    assert all(remedy in tests for remedy in re.findall(r"remedy: (\".*\")", rules))


def test_the_dashboard_file_is_json_with_a_query_in_every_panel():
    panels = json.loads((DOCS / "grafana.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert all(target["expr"] for panel in panels for target in panel["targets"])

"""Each benchmark runs for a moment and reports sane figures; nothing is asserted about speed."""

import json
import math

import pytest

from devnet.bench.cli import app
from devnet.bench.consensus import PHASES, compute_signature_ceiling, evaluate, measure_consensus
from devnet.bench.data import measure_data
from devnet.bench.endurance import compute_slope, measure_endurance
from devnet.bench.failover import evaluate as evaluate_failover
from devnet.bench.failover import measure_failover
from devnet.bench.limits import measure_limits
from devnet.bench.member_protocol import Event, Reading
from devnet.bench.report import Recorder, Report, render
from devnet.bench.simulator import measure_simulator
from protocols.genesis import Parameters

CHECKPOINT_BATCHES_DEFAULT = Parameters().checkpoint_batches


def check_figures(report: Report) -> None:
    names = [figure.name for figure in report.figures]
    assert len(set(names)) == len(names)
    for figure in report.figures:
        assert math.isfinite(figure.value)
        assert figure.value >= 0
        assert min(figure.repetitions) <= figure.value <= max(figure.repetitions)
    assert all(
        figure.name in line
        for figure, line in zip(report.figures, render(report)[1:], strict=False)
    )


def test_limits(tmp_path):
    report = measure_limits(0.6, tmp_path)
    check_figures(report)
    assert report.get("link_one_way") > 0
    assert report.machine.cpus >= 1
    assert list(tmp_path.iterdir()) == []


def test_replicated_data():
    report = measure_data(60, 3)
    check_figures(report)
    for name in ("cold", "different", "one_entry", "equal"):
        assert report.get(f"{name}_ticks") >= 1
    assert report.get("cold_bytes") > report.get("different_bytes") > report.get("equal_bytes")
    assert report.get("one_entry_overhead") < report.get("plain_heads")


def test_the_simulator_orders_one_operation_a_second():
    report = measure_simulator(2, 1, lambda _: None)
    check_figures(report)
    assert report.get("single_speed") > 0
    assert 0.9 < report.get("single_commits") < 1.2


def test_a_real_committee_orders_the_load(tmp_path):
    report = measure_consensus(4, 3.0, tmp_path, repetitions=1)
    check_figures(report)
    for phase in PHASES:
        assert report.get(f"{phase}_throughput") > 0
        assert report.get(f"{phase}_cpu_per_operation") > 0
        assert report.get(f"{phase}_faults_and_drops") == 0
    assert report.get("single_operations_per_batch") <= 1
    assert report.get("saturated_operations_per_batch") > 1
    assert 0 < report.get("saturated_over_ceiling") < 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_a_killed_primary_is_replaced_and_all_agree_again(tmp_path):
    report = measure_failover(4, 2, tmp_path, rest_seconds=0.0)
    check_figures(report)
    recovery = next(figure for figure in report.figures if figure.name == "recovery")
    assert len(recovery.repetitions) == 2
    assert min(recovery.repetitions) > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_many_operations_leave_files_and_queues_bounded(tmp_path):
    report = measure_endurance(4, 2_000, tmp_path)
    names = [figure.name for figure in report.figures]
    assert len(set(names)) == len(names)
    assert report.get("throughput") > 0
    assert report.get("ledger_growth") > 0
    slots = next(figure for figure in report.figures if figure.name == "queue_slots")
    assert max(slots.repetitions) <= 2 * CHECKPOINT_BATCHES_DEFAULT
    assert list(tmp_path.iterdir()) == []


def test_the_phases_of_a_failover_follow_one_another():
    events = [
        Event("link_lost", 9.0, "primary"),  # before the kill
        Event("link_lost", 10.1, "another"),
        Event("link_lost", 10.2, "primary"),
        Event("view_left", 10.5, "1"),
        Event("view_begun", 10.6, "1"),
        Event("view_left", 20.0, "2"),
    ]
    phases = evaluate_failover(10.0, 11.0, events, "primary")
    expected = {
        "recovery": 1_000,
        "until_link_lost": 200,
        "until_view_left": 300,
        "until_view_begun": 100,
        "until_executed": 400,
    }
    assert phases == pytest.approx(expected)


def test_the_slope_is_the_lines():
    assert compute_slope([0, 1, 2, 3], [5.0, 7.0, 9.0, 11.0]) == pytest.approx(2.0)
    assert compute_slope([1], [5.0]) == 0.0


def read(at_s: float, operations: int, cpu_s: float, *latencies_ms: float) -> Reading:
    return Reading(
        at_s=at_s,
        cpu_s=cpu_s,
        rss_bytes=1,
        frames_out=2 * operations,
        bytes_out=100 * operations,
        drops=0,
        faults=0,
        batches=operations // 5,
        operations=operations,
        connected=3,
        view=0,
        position=operations // 5,
        head="",
        transfers=0,
        longest_gap_s=(at_s, at_s),
        queues={"slots": 1},
        events=(),
        latencies_ms=latencies_ms,
    )


def test_a_phase_is_the_difference_of_two_readings():
    before = [read(10.0, 100, 1.0) for _ in range(4)]
    after = [read(12.0, 200, 1.5, *map(float, range(100))) for _ in range(4)]
    figures = {name: value for (name, _), value in evaluate(before, after).items()}
    assert figures["throughput"] == 50
    assert figures["latency_p50"] == 50
    assert figures["latency_p99"] == 99
    assert figures["operations_per_batch"] == 5
    assert figures["messages_per_operation"] == 8
    assert figures["bytes_per_operation"] == 400
    assert figures["cpu_per_operation"] == pytest.approx(20_000)
    assert figures["cpu_per_operation_primary"] == pytest.approx(5_000)


def test_the_ceiling_counts_one_signature_and_a_check_by_each_other_member():
    one = compute_signature_ceiling(4, 20.0, 40.0)
    assert compute_signature_ceiling(7, 20.0, 40.0) == pytest.approx(one * 140 / 260)


def test_a_report_is_one_json_document(monkeypatch, capsys):
    recorder = Recorder("limits", {"seconds": 1.0})
    recorder.add("something", "us", [3.0, 1.0, 2.0])
    monkeypatch.setattr("devnet.bench.limits.measure_limits", lambda *_: recorder.finish())
    app(["limits", "--json"], standalone_mode=False)
    document = json.loads(capsys.readouterr().out)
    assert document["bench"] == "limits"
    assert document["figures"][0]["value"] == 2.0
    assert document["figures"][0]["repetitions"] == [3.0, 1.0, 2.0]
    assert len(document["machine"]["load_after"]) == 3

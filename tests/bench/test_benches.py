"""Each benchmark runs for a moment and reports sane figures; nothing is asserted about speed."""

import json
import math

import pytest

from devnet.bench.cli import app
from devnet.bench.consensus import PHASES, compute_signature_ceiling, evaluate, measure_consensus
from devnet.bench.limits import measure_limits
from devnet.bench.member_protocol import Reading
from devnet.bench.report import Recorder, Report, render


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
        longest_gap_s=(at_s, at_s),
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

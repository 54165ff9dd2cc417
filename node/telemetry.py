"""Metrics in Prometheus' text format: what a node counts, and what it reads when it is asked.

Nothing is sampled between two questions: gauges are read from the running parts at each scrape,
counters and the histogram count as things happen. `METRICS` is the whole list, and
docs/reference-metrics.md is written from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import trio
from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from crdt.reputation import PPM
from identity.keys import compute_peer_id
from node.anomaly_rules import RULES
from node.version import get_version
from protocols.step import Certified, Executed, Transferred

if TYPE_CHECKING:
    from node.node import Node
    from node.place import Place

LATENCY_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
COMMIT_LATENCY = "econode_commit_latency_seconds"
COMMIT_LATENCY_HELP = "From an operation's submission by this node until it is executed here."


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: Prometheus' name (with its unit), kind, labels, and what it says."""

    name: str
    kind: Literal["gauge", "counter"]
    labels: tuple[str, ...]
    help: str


_PLACE = ("committee",)
_PEER = ("peer",)
METRICS = (
    Metric(
        "econode_node_info", "gauge", ("version", "peer", "network"), "1, with who this node is."
    ),
    Metric("econode_consensus_view", "gauge", _PLACE, "The view of the committee's PBFT."),
    Metric("econode_consensus_epoch", "gauge", _PLACE, "Changes of the committee's members."),
    Metric("econode_consensus_members", "gauge", _PLACE, "Members of the epoch (n)."),
    Metric("econode_consensus_is_leader", "gauge", _PLACE, "1 while this node leads the view."),
    Metric(
        "econode_consensus_is_observing",
        "gauge",
        _PLACE,
        "1 while this node signs nothing: it follows only, or has forgotten what it signed.",
    ),
    Metric("econode_consensus_position", "gauge", _PLACE, "The last executed position."),
    Metric(
        "econode_consensus_certified_position",
        "gauge",
        _PLACE,
        "Up to here a quorum's certificate is held.",
    ),
    Metric("econode_consensus_checkpoint_position", "gauge", _PLACE, "The last stable checkpoint."),
    Metric(
        "econode_consensus_pending_operations",
        "gauge",
        _PLACE,
        "Operations that wait to be ordered.",
    ),
    Metric("econode_consensus_time_seconds", "gauge", _PLACE, "Agreed time, since 1970."),
    Metric(
        "econode_batches_executed_total", "counter", _PLACE, "Batches executed since the start."
    ),
    Metric(
        "econode_operations_executed_total",
        "counter",
        _PLACE,
        "Operations executed since the start.",
    ),
    Metric(
        "econode_facts_total",
        "counter",
        ("committee", "kind"),
        "Facts since the start, by kind: docs/protocol-operations.md tells each.",
    ),
    Metric(
        "econode_tasks_settled_total",
        "counter",
        ("committee", "grade"),
        "Agreements graded since the start.",
    ),
    Metric(
        "econode_tasks_open", "gauge", ("committee", "stage"), "Tasks under way by their stage."
    ),
    Metric(
        "econode_account_credits",
        "gauge",
        ("committee", "bucket"),
        "Credits of this node's account.",
    ),
    Metric("econode_account_score_ratio", "gauge", _PLACE, "Its reputation, from 0 to 1."),
    Metric(
        "econode_account_pending_operations",
        "gauge",
        _PLACE,
        "Operations of this node that are signed and not executed.",
    ),
    Metric(
        "econode_supply_credits",
        "gauge",
        ("committee", "bucket"),
        "Credits of the whole committee by bucket; they add up to `minted`.",
    ),
    Metric("econode_link_up", "gauge", _PEER, "1 while the link to a peer stands."),
    Metric("econode_link_rtt_seconds", "gauge", _PEER, "Round trip of the last ping."),
    Metric("econode_link_frames_total", "counter", ("peer", "direction"), "Frames in and out."),
    Metric("econode_link_bytes_total", "counter", ("peer", "direction"), "Bytes in and out."),
    Metric(
        "econode_link_drops_total",
        "counter",
        _PEER,
        "Frames that were not sent because a queue was full.",
    ),
    Metric("econode_link_queued_bytes", "gauge", _PEER, "Bytes that wait to be sent."),
    Metric("econode_gossip_drops_total", "counter", ("reason",), "Gossip lost on this side."),
    Metric("econode_faults_total", "counter", (), "Messages refused that no honest peer sends."),
    Metric("econode_alarms", "gauge", (), "Alarms that `econode status` shows."),
    Metric(
        "econode_anomalies",
        "gauge",
        ("committee", "kind"),
        "Anomalies as of the last look, every 30 s: docs/anomalies.md tells each.",
    ),
    Metric("econode_blobs_bytes", "gauge", (), "Bytes of blobs that are stored."),
)
_BY_NAME = {metric.name: metric for metric in METRICS}

Sample = tuple[str, tuple[str, ...], float]
"""Metric, values of its labels in their order, value."""


class PlaceMeter:
    """Counts what happens in one committee. A driver's listener."""

    def __init__(self) -> None:
        self.batches = 0
        self.operations = 0
        self.facts: dict[str, int] = {}
        self.grades: dict[str, int] = {}

    def on_executed(self, executed: Executed) -> None:
        self.batches += 1
        self.operations += len(executed.operation_digests)
        for fact in executed.facts:
            kind = str(fact.__struct_config__.tag)
            self.facts[kind] = self.facts.get(kind, 0) + 1
            grade = getattr(fact, "grade", None)
            if grade is not None:
                self.grades[grade] = self.grades.get(grade, 0) + 1

    def on_certified(self, certified: Certified) -> None:
        """`econode_consensus_certified_position` is read when asked for."""

    def on_transferred(self, transferred: Transferred) -> None:
        """What happened in the batches that were not seen is not counted."""


class Telemetry:
    """The metrics of one node; `render` gives them as text. All in the node's own task."""

    def __init__(self, node: "Node") -> None:
        self._node = node
        self._meters: dict[bytes, PlaceMeter] = {}
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._latency = Histogram(
            COMMIT_LATENCY, COMMIT_LATENCY_HELP, buckets=LATENCY_BUCKETS_S, registry=self._registry
        )

    def meter(self, place: "Place") -> PlaceMeter:
        """The meter of a place, to be told what happens there."""
        return self._meters.setdefault(place.id, PlaceMeter())

    def observe_commit(self, submitted_at: float) -> None:
        """An own operation, submitted at this trio time, was executed."""
        self._latency.observe(max(0.0, trio.current_time() - submitted_at))

    def render(self) -> bytes:
        return generate_latest(self._registry)

    def describe(self) -> list[Any]:
        """For the registry, which would otherwise collect to learn the names."""
        return []

    def collect(self) -> Iterator[Any]:
        families: dict[str, Any] = {}
        for name, labels, value in self._read():
            metric = _BY_NAME[name]
            if name not in families:
                kind = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
                families[name] = kind(name, metric.help, labels=metric.labels)
            families[name].add_metric(labels, value)
        yield from families.values()

    def _read(self) -> Iterator[Sample]:
        node = self._node
        me = compute_peer_id(node.key.public)
        yield "econode_node_info", (get_version(), me, node.network.hex()), 1
        for place in node.places.values():
            yield from _read_consensus(place)
            yield from _read_account(place)
            counts = place.anomalies.count()
            for kind in RULES:
                yield "econode_anomalies", (place.name, kind), counts[kind]
            yield from _read_meter(place.name, self._meters.get(place.id))
        yield from _read_links(node)
        yield "econode_faults_total", (), node.transport.faults.total
        yield "econode_alarms", (), len(node.docket.list_alarms())
        yield "econode_blobs_bytes", (), node.blobs.store.store.bytes_used


def _read_consensus(place: "Place") -> Iterator[Sample]:
    core, committee, label = place.seat.core, place.committee, (place.name,)
    is_leader = core.is_member and committee.get_primary(core.view) == core.me
    is_observing = core.memory.is_observing() or not core.is_member
    yield "econode_consensus_view", label, core.view
    yield "econode_consensus_epoch", label, committee.epoch
    yield "econode_consensus_members", label, committee.n
    yield "econode_consensus_is_leader", label, is_leader
    yield "econode_consensus_is_observing", label, is_observing
    yield "econode_consensus_position", label, core.executed
    yield "econode_consensus_certified_position", label, core.heads.certified
    yield "econode_consensus_checkpoint_position", label, core.checkpoints.low
    yield "econode_consensus_pending_operations", label, len(core.pool)
    yield "econode_consensus_time_seconds", label, place.chain.get_time_ms() / 1000
    stages: dict[str, int] = {}
    for task in place.chain.state.tasks():
        stages[task.stage] = stages.get(task.stage, 0) + 1
    for stage, count in sorted(stages.items()):
        yield "econode_tasks_open", (place.name, stage), count


def _read_account(place: "Place") -> Iterator[Sample]:
    state, me = place.chain.state, place.node.key.public
    for bucket in ("free", "bonded", "locked", "escrow"):
        yield "econode_account_credits", (place.name, bucket), state.stake.get(me, bucket)
    score = state.reputation.score_ppm(me) / PPM
    yield "econode_account_score_ratio", (place.name,), score
    yield "econode_account_pending_operations", (place.name,), len(place.account)
    for bucket, credits_ in sorted(state.stake.totals().items()):
        yield "econode_supply_credits", (place.name, bucket), credits_


def _read_meter(name: str, meter: PlaceMeter | None) -> Iterator[Sample]:
    if meter is None:
        return
    yield "econode_batches_executed_total", (name,), meter.batches
    yield "econode_operations_executed_total", (name,), meter.operations
    for kind, count in sorted(meter.facts.items()):
        yield "econode_facts_total", (name, kind), count
    for grade, count in sorted(meter.grades.items()):
        yield "econode_tasks_settled_total", (name, grade), count


def _read_links(node: "Node") -> Iterator[Sample]:
    for link in node.transport.links():
        peer = compute_peer_id(link.peer)
        yield "econode_link_up", (peer,), link.connected
        if link.rtt_ms is not None:
            yield "econode_link_rtt_seconds", (peer,), link.rtt_ms / 1000
        yield "econode_link_frames_total", (peer, "in"), link.frames_in
        yield "econode_link_frames_total", (peer, "out"), link.frames_out
        yield "econode_link_bytes_total", (peer, "in"), link.bytes_in
        yield "econode_link_bytes_total", (peer, "out"), link.bytes_out
        yield "econode_link_drops_total", (peer,), link.drops
        yield "econode_link_queued_bytes", (peer,), link.queued_bytes
    for reason, count in sorted(node.transport.gossip_drops().items()):
        yield "econode_gossip_drops_total", (reason,), count

"""The end of a devnet run: what happened, as numbers, and whether all of it was as it must be.

Everything counted here comes from the nodes' ledger files, read and replayed by the devnet; only
memory, messages and state roots come from what the nodes said of themselves.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from crdt import facts
from devnet import invariants
from devnet.history import History
from devnet.invariants import Violation
from devnet.phases import Latency, measure_phases
from identity.keys import compute_peer_id
from node import file_stats

LARGEST_SHOWN = 10
VIOLATIONS_MAX = 100


class Seconds(msgspec.Struct, frozen=True, kw_only=True):
    """setup: from the first process to a network that is ready; job: from reading the first file
    to the end of the last task; plain: the same computing in one process without a network."""

    setup: float
    job: float
    plain: float


class Restarted(msgspec.Struct, frozen=True, kw_only=True):
    """The node that was killed on purpose; `caught_up_s` counts from the kill, None if never."""

    node: str
    was: str
    position: int
    caught_up_s: float | None = None


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """One JSON document. `ok` says whether the run was as it must be; `invariants` why not."""

    ok: bool
    nodes: int
    byzantine: int
    seed: int | None
    tasks: int
    settled: int
    failed: int
    wrong_results_accepted: int
    conserved: bool
    roots_equal: bool
    invariants: tuple[str, ...]
    slashed: tuple[str, ...]
    liars: tuple[str, ...]
    banned: tuple[str, ...]
    seconds: Seconds
    tasks_per_second: float
    phases: dict[str, Latency]
    phase_times: str = "agreed time of the records"
    operations: int
    batches: int
    messages: int
    rss_bytes: dict[str, int]
    grades: dict[str, int]
    scores: dict[str, int]
    restarted: Restarted | None
    folder: str | None
    """Where the homes are, None once they were removed."""


@dataclass(slots=True)
class Observed:
    """What the devnet saw of one run. Keys: task ids, node names, file names."""

    nodes: int
    seed: int | None
    liars: Collection[bytes]
    files: Mapping[bytes, str]
    """File name by task."""
    plain: Mapping[str, bytes]
    """Output by file name: the plain run's."""
    seconds: Seconds
    results: dict[bytes, bytes] = field(default_factory=dict)
    """Output by task, as the requester's API gave it."""
    histories: Sequence[History] = ()
    violations: list[Violation] = field(default_factory=list)
    """What the proof of the ledger files found."""
    heads: Mapping[str, Mapping[int, bytes]] = field(default_factory=dict)
    roots: Mapping[str, Mapping[int, bytes]] = field(default_factory=dict)
    banned: Collection[str] = ()
    messages: int = 0
    rss_bytes: Mapping[str, int] = field(default_factory=dict)
    restarted: Restarted | None = None
    faults: list[str] = field(default_factory=list)
    """What else did not go as it should, in words."""
    folder: str = ""


def summarise(seen: Observed) -> Summary:
    """Judge a run. Empty histories make it a failed one."""
    longest = max(seen.histories, key=lambda item: len(item.entries), default=None)
    if longest is None:
        longest = History("none", b"", ())
        seen.faults.append("no ledger could be read")
    violations = list(_list_violations(seen))
    ends = _collect_ends(longest, seen.files)
    settled = [task for task, end in ends.items() if end.outcome == "settled"]
    wrong = _count_wrong(seen, longest)
    slashed = invariants.list_slashed(longest)
    roots_equal = not any(item.invariant[:2] in ("S1", "S5", "L3") for item in violations)
    breaches = [str(item) for item in violations] + seen.faults
    return Summary(
        ok=not breaches
        and len(settled) == len(seen.files) > 0
        and wrong == 0
        and slashed == set(seen.liars),
        nodes=seen.nodes,
        byzantine=len(seen.liars),
        seed=seen.seed,
        tasks=len(seen.files),
        settled=len(settled),
        failed=len(ends) - len(settled),
        wrong_results_accepted=wrong,
        conserved=len(seen.histories) == seen.nodes
        and not any(item.invariant[:2] in ("C1", "C2") for item in violations),
        roots_equal=bool(seen.histories) and roots_equal,
        invariants=tuple(breaches[:VIOLATIONS_MAX]),
        slashed=_name_all(slashed),
        liars=_name_all(seen.liars),
        banned=tuple(sorted(seen.banned)),
        seconds=seen.seconds,
        tasks_per_second=round(len(ends) / seen.seconds.job, 3) if seen.seconds.job else 0.0,
        phases=measure_phases(longest, seen.files.keys()),
        operations=sum(len(entry.operations) for entry in longest.entries),
        batches=sum(entry.position > 0 for entry in longest.entries),
        messages=seen.messages,
        rss_bytes=dict(seen.rss_bytes),
        grades=_count_grades(longest, seen.files),
        scores=_read_scores(longest),
        restarted=seen.restarted,
        folder=seen.folder,
    )


def _list_violations(seen: Observed) -> Iterator[Violation]:
    yield from seen.violations
    yield from invariants.check_all(seen.histories, seen.liars)
    yield from invariants.check_roots(seen.roots)
    yield from invariants.check_equal_ends(seen.histories)
    for history in seen.histories:
        yield from invariants.check_kept(seen.heads.get(history.node, {}), history)


def _collect_ends(history: History, tasks: Collection[bytes]) -> dict[bytes, facts.TaskEnded]:
    return {
        fact.task: fact
        for _, fact in history.facts()
        if isinstance(fact, facts.TaskEnded) and fact.task in tasks
    }


def _count_wrong(seen: Observed, longest: History) -> int:
    """Tasks whose accepted digest (in any ledger) or whose delivered bytes are not the plain
    run's."""
    wrong = {
        task for task, output in seen.results.items() if seen.plain.get(seen.files[task]) != output
    }
    for history in (longest, *seen.histories):
        for task, end in _collect_ends(history, seen.files).items():
            expected = hashlib.sha256(seen.plain[seen.files[task]]).digest()
            if end.output is not None and end.output != expected:
                wrong.add(task)
    return len(wrong)


def _count_grades(history: History, tasks: Collection[bytes]) -> dict[str, int]:
    grades = Counter(
        fact.grade
        for _, fact in history.facts()
        if isinstance(fact, facts.Settled) and fact.task in tasks
    )
    return {grade: grades[grade] for grade in ("excellent", "satisfactory", "poor", "byzantine")}


def _read_scores(history: History) -> dict[str, int]:
    """The last snapshot's scores in ppm, by PeerId."""
    scores: dict[str, int] = {}
    for _, fact in history.facts():
        if isinstance(fact, facts.Snapshot):
            scores = {compute_peer_id(item.agent): item.score_ppm for item in fact.scores}
    return scores


def _name_all(keys: Iterable[bytes]) -> tuple[str, ...]:
    return tuple(sorted(compute_peer_id(key) for key in keys))


def render_summary(summary: Summary, results: Mapping[str, bytes]) -> list[str]:
    """The summary for people: what the job gave, then what the network did, in 80 columns.

    `results` holds outputs by file name.
    """
    return [*_render_results(results), "", *_render_run(summary), "", *_render_verdict(summary)]


def _render_results(results: Mapping[str, bytes]) -> list[str]:
    found = file_stats.summarise(results, LARGEST_SHOWN)
    lines = [f"{'the largest files':<40} {'bytes':>9} {'lines':>7} {'words':>7} {'distinct':>8}"]
    for name, row in found.largest:
        lines.append(
            f"{_cut(name, 40):<40} {row.size_bytes:>9} {row.lines:>7} {row.words:>7} "
            f"{row.distinct:>8}"
        )
    total = f"all {found.files} files"
    lines.append(f"{total:<40} {found.size_bytes:>9} {found.lines:>7} {found.words:>7}")
    return lines


def _render_run(summary: Summary) -> list[str]:
    seconds = summary.seconds
    grades = ", ".join(f"{count} {name}" for name, count in summary.grades.items() if count)
    rows = [
        ("network", f"{summary.nodes} nodes, {summary.byzantine} of them lying"),
        ("tasks", f"{summary.settled} of {summary.tasks} settled, {summary.failed} failed"),
        ("grades", grades or "none"),
        ("results", f"{summary.wrong_results_accepted} wrong ones accepted"),
        ("time", f"set-up {seconds.setup:.1f} s, job {seconds.job:.1f} s"),
        ("", f"{summary.tasks_per_second:.2f} tasks a second (one process: {seconds.plain:.2f} s)"),
        ("ordered", f"{summary.operations} operations in {summary.batches} batches"),
        ("messages", f"{summary.messages} frames between nodes"),
        ("memory", f"{max(summary.rss_bytes.values(), default=0) / (1 << 20):.0f} MiB a node"),
    ]
    for name, latency in summary.phases.items():
        if latency.count:
            rows.append((name, f"p50 {latency.p50_ms} ms, p99 {latency.p99_ms} ms"))
    if summary.restarted:
        rows.append(("restarted", _describe_restart(summary.restarted)))
    return [f"{name:<14}{text}" for name, text in rows]


def _render_verdict(summary: Summary) -> list[str]:
    lines = []
    for peer in summary.slashed:
        lied = "lied" if peer in summary.liars else "HONEST"
        banned = ", banned" if peer in summary.banned else ""
        score = summary.scores.get(peer)
        told = "" if score is None else f", score {score / 1_000_000:.3f}"
        lines.append(f"slashed       …{peer[-8:]} ({lied}{banned}{told})")
    if summary.slashed != summary.liars:
        missed = len(set(summary.liars) - set(summary.slashed))
        lines.append(f"liars         {missed} of {len(summary.liars)} were not slashed")
    lines.append(f"credits       {'conserved' if summary.conserved else 'NOT CONSERVED'}")
    lines.append(f"state roots   {'equal on all nodes' if summary.roots_equal else 'DIFFER'}")
    lines += [f"violation     {text}" for text in summary.invariants]
    lines.append("all is well" if summary.ok else "FAILED")
    return lines


def _describe_restart(restarted: Restarted) -> str:
    caught_up = restarted.caught_up_s
    end = "never caught up" if caught_up is None else f"caught up after {caught_up:.1f} s"
    return f"{restarted.node} ({restarted.was}) killed at position {restarted.position}, {end}"


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else "…" + text[1 - size :]

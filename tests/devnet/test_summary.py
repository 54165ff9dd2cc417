"""The verdict: good only when everything is, and each number counted from the ledgers."""

import hashlib
from dataclasses import replace

import msgspec
import pytest

from crdt import facts
from devnet import roles
from devnet.phases import compute_percentile, measure_phases
from devnet.summary import Observed, Restarted, Seconds, Summary, render_summary, summarise
from identity.keys import compute_peer_id
from node import file_stats
from tests.devnet.stories import Once, bend, get_liar, record, tell

edit = msgspec.structs.replace
SECONDS = Seconds(setup=1.0, job=2.0, plain=0.1)
DATA = b"the truth\n"
TRUTH = file_stats.stats(DATA)


def tell_about_files(node="node-1"):
    """The story with the real output's digest as what was accepted."""
    digest = hashlib.sha256(TRUTH).digest()

    def name(fact):
        if isinstance(fact, facts.Accepted | facts.TaskEnded):
            return edit(fact, output=digest)
        return fact

    return bend(tell(node), name)


def observe(**changes) -> Observed:
    opened = [f.task for _, f in tell().facts() if isinstance(f, facts.TaskOpened)]
    files = {task: f"file-{number}" for number, task in enumerate(opened)}
    seen = Observed(
        nodes=2,
        seed=1,
        liars={get_liar()},
        files=files,
        plain=dict.fromkeys(files.values(), TRUTH),
        seconds=SECONDS,
        results=dict.fromkeys(files, TRUTH),
        histories=[tell_about_files("node-1"), tell_about_files("node-2")],
        banned=[compute_peer_id(get_liar())],
        messages=5,
        rss_bytes={"node-1": 1 << 20},
    )
    return replace(seen, **changes)


def test_a_good_run():
    summary = summarise(observe())
    assert summary.invariants == ()
    assert summary.ok
    assert (summary.tasks, summary.settled, summary.failed) == (3, 3, 0)
    assert summary.conserved
    assert summary.roots_equal
    assert summary.slashed == summary.liars == (compute_peer_id(get_liar()),)
    assert summary.tasks_per_second == 1.5
    assert summary.batches == len(record().entries) - 1
    assert summary.operations == sum(len(entry.operations) for entry in record().entries)
    assert sum(summary.grades.values()) == 3
    assert summary.phases["total"].count == 3
    decoded = msgspec.json.decode(msgspec.json.encode(summary), type=Summary)
    assert decoded == summary


def test_a_result_that_is_not_the_plain_runs():
    seen = observe()
    task = next(iter(seen.files))
    seen.results[task] = roles.lying_file_stats(DATA)
    summary = summarise(seen)
    assert (summary.ok, summary.wrong_results_accepted) == (False, 1)


def test_a_wrong_digest_in_one_ledger_alone():
    def lie(fact):
        return edit(fact, output=hashlib.sha256(b"lie").digest())

    bent = bend(tell_about_files("node-2"), Once(facts.TaskEnded, lie))
    summary = summarise(observe(histories=[tell_about_files("node-1"), bent]))
    assert (summary.ok, summary.wrong_results_accepted) == (False, 1)


@pytest.mark.parametrize("liars", [set(), {get_liar(), record().keys["m4"]}])
def test_who_is_slashed_must_be_exactly_who_lied(liars):
    assert not summarise(observe(liars=liars)).ok


def test_a_task_that_did_not_end():
    unended = {**observe().files, b"x" * 32: "file-9"}
    plain = dict.fromkeys(unended.values(), TRUTH)
    summary = summarise(observe(files=unended, plain=plain))
    assert (summary.ok, summary.tasks, summary.settled) == (False, 4, 3)


def test_faults_missing_ledgers_and_stragglers_fail_a_run():
    assert not summarise(observe(faults=["node-1 ended with exit code 3"])).ok
    nothing = summarise(observe(histories=[]))
    assert (nothing.ok, nothing.conserved, nothing.roots_equal) == (False, False, False)
    half = summarise(observe(histories=[tell_about_files()], faults=["node-2: no file"]))
    assert (half.ok, half.conserved) == (False, False)
    late = tell_about_files("node-2")
    late = replace(late, entries=late.entries[:-1])
    summary = summarise(observe(histories=[tell_about_files(), late]))
    assert (summary.ok, summary.roots_equal) == (False, False)


def test_lost_heads_and_other_roots_fail_a_run():
    assert not summarise(observe(heads={"node-1": {1: bytes(32)}})).ok
    summary = summarise(observe(roots={"node-1": {1: b"a"}, "node-2": {1: b"b"}}))
    assert (summary.ok, summary.roots_equal) == (False, False)


def test_the_text_says_what_happened_in_80_columns():
    restarted = Restarted(node="node-3", was="backup", position=7, caught_up_s=1.5)
    summary = summarise(observe(restarted=restarted))
    lines = render_summary(summary, {"a/rather/long/path/" * 4 + "file.py": TRUTH})
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    for words in ("3 of 3 settled", "(lied, banned", "node-3 (backup)", "all is well"):
        assert words in text
    bad = render_summary(summarise(observe(liars=set())), {})
    assert "HONEST" in "\n".join(bad)
    assert bad[-1] == "FAILED"


def test_phases_add_up_to_what_the_records_say():
    history = tell()
    tasks = {f.task for _, f in history.facts() if isinstance(f, facts.TaskOpened)}
    phases = measure_phases(history, tasks)
    assert {name: latency.count for name, latency in phases.items()} == dict.fromkeys(phases, 3)
    assert all(0 <= p.p50_ms <= p.p99_ms <= phases["total"].p99_ms for p in phases.values())
    assert measure_phases(history, set())["total"].p50_ms is None


def test_percentiles_are_nearest_rank():
    assert compute_percentile([], 50) is None
    assert compute_percentile([7], 99) == 7
    assert [compute_percentile(range(1, 101), p) for p in (50, 99)] == [50, 99]
    assert compute_percentile([3, 1, 2], 50) == 2

"""econode trace: a task's way through the ledgers of several nodes."""

import shutil
import sqlite3

from tests.system.network import wait_until


def run_task(village, tmp_path):
    """The id of a task that has ended, once every ledger file holds its end."""
    file = tmp_path / "input.txt"
    file.write_text("three small words")
    node = village.nodes[0]
    what = ["task", "submit", "--capability", "words", "--input", file, "--budget", 1_000]
    done = node.econode(*what, "--wait", "--json")
    assert done.code == 0, done.out + done.err
    task = done.document["tasks"][0]["id"]

    def is_whole():
        found = node.econode("trace", task[:12], *also(village.nodes[1:]), "--json")
        return found.code == 0 and not found.document["behind"]

    wait_until(is_whole, "every ledger holds the task's end")
    return task


def also(nodes):
    return [part for node in nodes for part in ("--also", node.home.path)]


def test_every_ledger_tells_the_same_story(village, tmp_path):
    task = run_task(village, tmp_path)
    found = village.nodes[1].econode("trace", task, *also(village.nodes[2:]), "--json").document
    kinds = [each["fact"]["kind"] for each in found["facts"]]
    assert (kinds[0], kinds[-1]) == ("task_opened", "task_ended")
    assert kinds.index("awarded") < kinds.index("accepted") < kinds.index("settled")
    elapsed = [each["elapsed_ms"] for each in found["facts"]]
    assert elapsed[0] == 0
    assert elapsed == sorted(elapsed)
    assert all(len(each["held_by"]) == 3 for each in found["facts"])
    text = village.nodes[1].econode("trace", task[:8])
    assert text.code == 0
    assert "task_opened" in text.out
    logged = village.nodes[1].econode("trace", task, *also(village.nodes[2:]), "--logs", "--json")
    by = {(line["node"], line["event"]) for line in logged.document["log"]}
    assert {(node.home.path.name, "settled") for node in village.nodes[1:]} <= by
    times = [line["ts"] for line in logged.document["log"]]
    assert times == sorted(times)


def test_a_ledger_that_was_changed_is_named(village, tmp_path):
    task = run_task(village, tmp_path)
    honest = village.nodes[0].home.path
    copied = tmp_path / "changed"
    copied.mkdir(mode=0o700)
    for name in ("config.toml", "genesis.json"):
        shutil.copy(honest / name, copied / name)
    target = f"file:{honest}/ledger.sqlite3?mode=ro"
    with (
        sqlite3.connect(target, uri=True) as source,
        sqlite3.connect(copied / "ledger.sqlite3") as other,
    ):
        source.backup(other)
        for (name,) in other.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            other.execute(f"DROP TRIGGER {name}")  # it is append-only for honest programs
        id_ = bytes.fromhex(task)
        later = "UPDATE entries SET time_ms = time_ms + 1 WHERE position = "
        other.execute(later + "(SELECT max(position) FROM records WHERE task = ?)", (id_,))
    source.close()
    other.close()
    done = village.nodes[0].econode("trace", task, "--also", copied, "--json")
    assert done.code == 1
    assert done.document["differing"] == ["changed"]


def test_what_nobody_knows_is_said(village):
    done = village.nodes[0].econode("trace", "abcdef0123", "--json")
    assert done.code == 1
    assert done.document["error"]["type"].endswith("not-found")

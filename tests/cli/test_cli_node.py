"""The verbs that ask a running node, against the real API of a fake one."""

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest
from people import ROOT, make_environment

from identity import keys

OTHER = keys.compute_peer_id(keys.PrivateKey(bytes(31) + b"\1").public)


@pytest.mark.parametrize(
    "verb",
    [
        ["status"],
        ["peers"],
        ["stake", "show"],
        ["reputation", "show"],
        ["reputation", "top"],
        ["reputation", "explain", OTHER],
        ["directory", "find"],
        ["directory", "show", OTHER],
        ["data", "set", "chess", "opening", "e2e4"],
        ["data", "get", "chess", "opening"],
        ["data", "list", "chess"],
        ["data", "watch", "chess", "opening"],
        ["data", "remove", "chess", "opening"],
        ["task", "list"],
        ["task", "show", "abcd"],
        ["task", "result", "abcd"],
        ["market", "prices"],
        ["market", "halts"],
        ["market", "screens"],
        ["anomalies"],
        ["variable", "open", "rate", "--initial", "1", "--high", "9"],
        ["variable", "list"],
        ["variable", "show", "rate"],
        ["variable", "set", "rate", "2"],
        ["variable", "report", "rate", "1"],
        ["variable", "history", "rate"],
        ["stake", "transfer", OTHER, "1"],
        ["committee", "list"],
        ["committee", "show", "work"],
        ["committee", "consent", "work"],
        ["committee", "form", "work", "--member", OTHER],
    ],
)
def test_without_a_running_node_each_verb_says_how_to_start_it(founder, verb):
    error = founder.fail("not-running", *verb)
    assert error["remedy"] == f"start it: econode start --home {founder.home}"


def test_what_a_crash_left_in_node_json_is_not_believed(running):
    stale = (running.home / "node.json").read_text()
    running.node.send_signal(signal.SIGKILL)
    running.node.wait()
    assert (running.home / "node.json").exists()
    running.fail("not-running", "status")
    # The process number has come round to a living process, the port to nobody.
    document = json.loads(stale) | {"pid": os.getpid()}
    (running.home / "node.json").write_text(json.dumps(document))
    running.fail("not-running", "status")


def test_the_token_goes_to_no_other_node(running):
    document = json.loads((running.home / "node.json").read_text())
    (running.home / "node.json").write_text(json.dumps(document | {"peer_id": OTHER}))
    running.fail("not-running", "status")


def test_status_peers_stake_and_reputation(running):
    me = running.do("id")["peer_id"]
    status = running.do("status")
    assert (status["peer_id"], status["network"], status["f"]) == (me, "village", 0)
    assert "survives no fault" in running.run("status").out
    assert running.do("peers") == {"peers": [], "next": None}
    paid = running.do("stake", "transfer", OTHER, "250")
    assert paid["fact"]["amount"] == 250
    free = {
        account["peer_id"]: account["free"] for account in running.do("stake", "show")["accounts"]
    }
    assert free == {me: 9_750, OTHER: 250}
    assert running.do("stake", "show", OTHER)["accounts"][0]["free"] == 250
    assert running.do("reputation", "show")["scores"][0]["peer_id"] == me
    running.fail("insufficient-credits", "stake", "transfer", OTHER, "1000000")
    assert running.do("stake", "bond", "40")["fact"]["amount"] == 40
    assert running.do("stake", "unbond", "40")["fact"]["kind"] == "unbonding_began"
    assert "1970-01-01" in running.run("stake", "unbond", "1").out
    running.fail("insufficient-bond", "stake", "unbond", "1000000000")
    running.fail("usage", "stake", "transfer", OTHER, "-4", code=2)


def test_scores_are_explained_and_agents_found(running):
    me = running.do("id")["peer_id"]
    assert running.do("reputation", "top", "--limit", "1")["scores"][0]["peer_id"] == me
    told = running.run("reputation", "explain", me).out
    assert "G = 0*63//64 + 500000 = 500000" in told
    assert "score = 10^6*G // (G + B + 10^6) = 333333" in told
    assert "handed out 4000000 to all and may hand out 2000000: 500000 ppm of each count" in told
    assert running.do("reputation", "explain", me)["periods"][0]["receipts"][0]["position"] == 3
    running.fail("invalid-request", "reputation", "explain", "nobody")
    assert running.do("directory", "find", "--capability", "upper")["found"] == 1
    assert me in running.run("directory", "find", "--min-score", "800000").out
    assert running.run("directory", "find", "--min-score", "800001").out == "no agent\n"
    assert running.do("directory", "find", "--min-stake", "10001")["cards"] == []
    assert running.do("directory", "find", "--max-price", "4")["cards"] == []
    running.fail("usage", "directory", "find", "--max-price", "-1", code=2)
    assert "2255-03-14" in running.run("directory", "show", me).out
    running.fail("not-found", "directory", "show", OTHER)


def test_the_facts_behind_an_accounts_credits_are_shown(running):
    me = running.do("id")["peer_id"]
    shown = running.do("stake", "show", me, "--certificates")
    assert shown["proven"]["certificates"] == {"0": "00"}
    assert "5 minted to free" in running.run("stake", "show", me, "--certificates").out
    running.fail("usage", "stake", "show", "--certificates", code=2)


def test_data_is_set_shown_and_removed(running, tmp_path):
    me = running.do("id")["peer_id"]
    assert running.do("data", "set", "chess", "opening", "e2e4")["position"] == 0
    (found,) = running.do("data", "get", "chess", "opening")["values"]
    assert (found["peer_id"], found["text"], found["position"]) == (me, "e2e4", 0)
    nasty = b"\x1b[31mred\n\\ \xff" + "ü".encode()
    (tmp_path / "value").write_bytes(nasty)
    running.do("data", "set", "chess", "opening", "--file", tmp_path / "value")
    shown = running.run("data", "get", "chess", "opening").out
    assert r"\x1b[31mred\n\\ \xffü" in shown
    out = tmp_path / "out"
    running.do("data", "get", "chess", "opening", "--peer", me, "--out", out)
    assert out.read_bytes() == nasty
    assert [key["key"] for key in running.do("data", "list", "chess")["keys"]] == ["opening"]
    running.do("data", "remove", "chess", "opening")
    assert running.run("data", "get", "chess", "opening").out == "no value\n"
    assert running.run("data", "list", "chess").out == "no keys\n"
    running.fail("not-found", "data", "get", "chess", "opening", "--peer", me)
    running.fail("invalid-request", "data", "get", "chess", "opening", "--peer", "x")
    running.fail("usage", "data", "set", "chess", "opening", code=2)
    running.fail("usage", "data", "get", "chess", "opening", "--out", out, code=2)
    running.fail("usage", "data", "set", "chess", "o", "v", "--file", out, code=2)
    (tmp_path / "large").write_bytes(bytes(65_537))
    running.fail("too-large", "data", "set", "chess", "o", "--file", tmp_path / "large")
    running.fail("system", "data", "set", "chess", "o", "--file", tmp_path / "absent")
    running.fail("usage", "data", "get", b"\xff".decode("utf-8", "surrogateescape"), "k", code=2)


def test_a_watch_prints_changes_until_ctrl_c(running):
    me = running.do("id")["peer_id"]
    running.do("data", "set", "chess", "opening", "e2e4")
    command = [sys.executable, "-m", "node.cli", "data", "watch", "chess", "opening", "--json"]
    with subprocess.Popen(
        [*command, "--home", str(running.home)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=make_environment(),
        cwd=ROOT,
    ) as watch:
        assert json.loads(watch.stdout.readline())["value"]["text"] == "e2e4"
        running.do("data", "set", "chess", "opening", "d2d4")
        assert json.loads(watch.stdout.readline())["value"]["text"] == "d2d4"
        running.do("data", "remove", "chess", "opening")
        assert json.loads(watch.stdout.readline()) == {
            "peer_id": me,
            "value": None,
            "ready": False,
        }
        watch.send_signal(signal.SIGINT)
        assert watch.wait(timeout=20) == 130
        assert watch.stderr.read() == b""
    running.do("data", "set", "chess", "opening", "c4")
    told = running.run("data", "watch", "chess", "opening", "--count", "1").out
    assert told == f"{me[:16]}  3  c4\n"


def test_a_folder_of_files_becomes_tasks_and_results(running, tmp_path):
    folder = tmp_path / "job"
    (folder / "below").mkdir(parents=True)
    contents = {f"{number:03}.txt": b"text %d" % number for number in range(70)}
    contents["below/x.txt"] = b"below \xff"
    for name, data in contents.items():
        (folder / name).write_bytes(data)
    submit = ["task", "submit", "--capability", "upper", "--dir", folder, "--budget", "3", "--wait"]
    done = running.do(*submit)["tasks"]
    assert len(done) == 71
    assert {task["state"] for task in done} == {"settled"}
    task = next(task for task in done if task["file"].endswith("x.txt"))
    assert task["input"] == hashlib.sha256(b"below \xff").hexdigest()
    assert running.run("task", "result", task["id"][:10]).bytes == b"BELOW \xff"
    document = running.do("task", "result", task["id"])
    assert base64.b64decode(document["base64"]) == b"BELOW \xff"
    output = tmp_path / "result"
    running.do("task", "result", task["id"], "--output", output)
    assert output.read_bytes() == b"BELOW \xff"
    assert running.do("task", "show", task["id"][:8])["id"] == task["id"]
    page = running.do("task", "list", "--limit", "50")
    rest = running.do("task", "list", "--limit", "50", "--cursor", page["next"])
    assert (len(page["tasks"]), len(rest["tasks"]), rest["next"]) == (50, 21, None)


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (["--input", "absent"], "no-file", 1),
        (["--dir", "absent"], "no-file", 1),
        ([], "usage", 2),
        (["--input", "README", "--budget", "-1"], "usage", 2),
        (["--input", "README", "--budget", "0"], "usage", 2),
        (["--input", "README", "--deadline", "soon"], "usage", 2),
        (["--input", "README", "--deadline", "0s"], "usage", 2),
        (["--input", "README", "--budget", "99999"], "insufficient-credits", 1),
        (["--input", "README", "--capability", "nonsense"], "unknown-capability", 1),
    ],
)
def test_a_bad_submission_says_why_and_submits_nothing(running, tmp_path, arguments, kind, code):
    readme = tmp_path / "README"
    readme.write_text("x")
    given = [str(readme) if item == "README" else item for item in arguments]
    base = [] if "--capability" in given else ["--capability", "upper"]
    running.fail(kind, "task", "submit", *base, *given, code=code)
    assert running.do("task", "list")["tasks"] == []


def test_an_unknown_task_and_a_file_that_cannot_be_written(running, tmp_path):
    running.fail("not-found", "task", "show", "abcd")
    running.fail("invalid-request", "task", "show", "zz")
    running.fail("invalid-request", "task", "show", "../stake")
    (tmp_path / "in").write_bytes(b"x")
    task = running.do("task", "submit", "--capability", "upper", "--input", tmp_path / "in")
    name = task["tasks"][0]["id"]
    where = tmp_path / "no" / "folder"
    assert running.fail("unwritable", "task", "result", name, "--output", where)["where"] == str(
        where
    )


def test_narrow_terminals_get_blocks_instead_of_tables(running):
    text = running.run("stake", "show", COLUMNS="60").out
    assert re.search(r"^account  12D3Koo\w+$", text, re.MULTILINE)
    assert re.search(r"^free     10000$", text, re.MULTILINE)


def test_a_reader_that_goes_away_is_no_error(running):
    command = f"{sys.executable} -m node.cli genesis show --home {running.home} | head -c 1"
    done = subprocess.run(
        ["bash", "-c", command], env=make_environment(), cwd=ROOT, capture_output=True
    )
    assert b"Traceback" not in done.stderr
    assert b"BrokenPipe" not in done.stderr


def test_sigterm_ends_a_node_with_an_open_stream(running):
    with subprocess.Popen(
        [sys.executable, "-c", READ_EVENTS, str(running.home)],
        stdout=subprocess.PIPE,
        env=make_environment(),
        cwd=ROOT,
    ) as reader:
        assert reader.stdout.readline() == b"0\n"
        running.node.send_signal(signal.SIGTERM)
        assert running.node.wait() == 0
        assert reader.wait(timeout=20) == 0
    assert not (running.home / "node.json").exists()


READ_EVENTS = """
import sys
from pathlib import Path
from node.client import connect
from node.home import Home
from node.problem import Problem
try:
    for entry in connect(Home(Path(sys.argv[1]))).events(0):
        print(entry.position, flush=True)
except Problem as problem:
    assert problem.type == "not-running", problem.type
"""


def test_the_ledger_is_read_from_its_file(founder):
    founder.fail("no-ledger", "ledger", "log")
    founder.fail("no-ledger", "ledger", "verify")
    (founder.home / "ledger.sqlite3").write_bytes(b"this is no database" * 100)
    founder.fail("damaged-ledger", "ledger", "log")
    founder.fail("damaged-ledger", "start", "--allow-single")

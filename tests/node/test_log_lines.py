"""Log lines: one line each, whatever strangers put into them, and no floods."""

import ast
import json
import logging
import sys
from pathlib import Path

import pytest

from node.config import Log
from node.fact_lines import SUBJECTS, TOLD
from node.home import Home
from node.log_file import keep_log
from node.log_filter import OwnRecords
from node.log_lines import JsonLines, TextLines, about

NODE = Path(__file__).resolve().parent.parent.parent / "node"
HOSTILE = 'x\n{"event": "ready"}\r\x1b[2J\u202e\u2028"'
TASK = bytes(range(32))


def make(message="", args=(), level=logging.INFO, error=False, **extra):
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        caught = sys.exc_info() if error else None
    record = logging.LogRecord("econode.x", level, "f", 1, message, args, caught)
    record.__dict__.update(extra)
    return record


def test_a_json_line_tells_time_level_event_node_and_ids():
    record = make("task %s: lost", ("it",), **about("lost", task=TASK, peers=["a", "b"], gone=None))
    record.created = 1_700_000_000.25
    assert json.loads(JsonLines("12D3").format(record)) == {
        "ts": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "event": "lost",
        "node": "12D3",
        "task": TASK.hex(),
        "peers": ["a", "b"],
        "message": "task it: lost",
    }


def test_the_text_has_the_same_ids():
    line = TextLines().format(make("lost", **about("lost", task=TASK, reason="no room")))
    assert line.split(" ", 1)[1] == f'INFO lost lost task={TASK.hex()} reason="no room"'


@pytest.mark.parametrize("formatter", [JsonLines("n"), TextLines()])
def test_hostile_texts_stay_in_their_line(formatter):
    record = make("got %s", (HOSTILE,), **about("got", text=HOSTILE, name="event=ready"))
    line = formatter.format(record)
    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_fields_cannot_take_the_place_of_what_the_node_says_itself():
    line = json.loads(JsonLines("me").format(make(**about("got", node="you", level="none"))))
    assert (line["node"], line["level"]) == ("me", "info")


def test_a_traceback_stays_in_its_json_line():
    line = JsonLines("n").format(make("failed", error=True))
    assert len(line.splitlines()) == 1
    assert "ValueError" in json.loads(line)["traceback"]


def test_long_texts_and_lists_are_cut():
    record = make("y" * 100_000, **about("long", text="z" * 100_000, tasks=[TASK] * 1_000))
    line = JsonLines("n").format(record)
    assert len(line) < 6_000
    assert json.loads(line)["tasks"][-1] == "and 984 more"


def test_what_repeats_is_counted_and_told_with_the_next():
    now = [0.0]
    bound = OwnRecords(10, lambda: now[0])
    passed = [bound.filter(make(**about("again"))) for _ in range(100)]
    assert passed == [True] * 10 + [False] * 90
    assert bound.filter(make(**about("another")))
    now[0] = 61.0
    record = make(**about("again"))
    assert bound.filter(record)
    assert bound.filter(record)
    assert json.loads(JsonLines("n").format(record))["dropped"] == 90
    unbounded = OwnRecords(0)
    assert all(unbounded.filter(make(**about("again"))) for _ in range(5_000))


def test_level_and_format_are_the_configuration_s(tmp_path):
    home = Home(tmp_path)
    home.load_peer_id = lambda: "12D3"
    logger = logging.getLogger("econode.test")
    try:
        with keep_log(home, Log(level="warning", format="json")):
            logger.info("quiet", extra=about("quiet"))
            logger.warning("loud", extra=about("loud"))
        with keep_log(home, Log(level="debug")):
            logger.debug("whisper", extra=about("whisper"))
            logging.getLogger("trio").debug("noise")
    finally:
        logging.getLogger("econode").setLevel(logging.NOTSET)
        logging.getLogger().setLevel(logging.WARNING)
    first, second = home.log_path.read_text().splitlines()
    assert json.loads(first)["event"] == "loud"
    assert second.endswith("DEBUG whisper whisper")
    assert home.log_path.stat().st_mode & 0o777 == 0o600


def list_log_calls():
    for path in sorted(NODE.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            is_method = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
            if is_method and ast.unparse(call.func.value) == "logger":
                yield f"{path.name}:{call.lineno}", call


def test_every_line_of_the_node_names_its_event():
    bare = []
    for where, call in list_log_calls():
        extra = next((word.value for word in call.keywords if word.arg == "extra"), None)
        is_named = isinstance(extra, ast.Name) or "about(" in ast.unparse(extra or call.func)
        if call.func.attr != "isEnabledFor" and not is_named:
            bare.append(where)
    assert bare == []


def test_no_field_of_facts_that_is_told_is_sealed():
    assert not {"salt", "seed", "commitment", "detail", "proof"} & {*SUBJECTS, *TOLD}

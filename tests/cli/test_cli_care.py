"""econode config, doctor, debug dump: what they say, and what they never tell."""

import base64
import socket
import sqlite3
import tarfile
from contextlib import closing

import pytest
import trio
import trio_asyncio
from people import Person

from node import migrations
from node.config import Config
from node.config_file import load_settings
from node.home import Home
from node.ledger import Ledger
from node.vote_log import VoteLog

PASSPHRASE = "open sesame, please"
SECRETS = ("--api-key=hunter2hunter2", "user-of-mine", "word-of-mine", "token=abcdef012345")
CAPABILITIES = """
[[capability]]
name = "words"
kind = "command"
target = ["words", "--api-key=hunter2hunter2"]

[[capability]]
name = "far"
kind = "http"
target = "http://user-of-mine:word-of-mine@127.0.0.1:8000/run?token=abcdef012345"
"""


def run_once(person: Person) -> None:
    """What a first start leaves behind."""
    home = Home(person.home)
    network = home.load_genesis().compute_network_id()

    async def open_ledger() -> None:
        async with trio_asyncio.open_loop(), Ledger.open(home.ledger_path, network):
            pass

    trio.run(open_ledger)
    VoteLog(home.votes_path, network, home.load_public_key()).close()


def fail_doctor(person: Person, **extra: str) -> dict:
    """What it finds; ends with 1."""
    done = person.run("doctor", "--json", **extra)
    assert done.code == 1
    assert not done.document["healthy"]
    return done.document


def get_findings(document: dict, check: str) -> list[dict]:
    return [finding for finding in document["findings"] if finding["check"] == check]


# --- config


def test_every_value_names_where_it_comes_from(founder: Person) -> None:
    document = founder.do(*("config", "show", "--set", "limits.cpu_s=9"), ECONODE_AGENT_WORKERS="3")
    found = {item["name"]: item for item in document["settings"]}
    assert found["limits.cpu_s"]["origin"] == "flag --set limits.cpu_s=9"
    assert found["agent.workers"]["value"] == 3
    assert found["agent.workers"]["origin"] == "environment variable ECONODE_AGENT_WORKERS"
    assert found["network.listen"]["origin"].startswith("file, line ")
    assert all(item["reason"] for item in found.values())
    line = int(found["network.listen"]["origin"].rpartition(" ")[2])
    assert Home(founder.home).config_path.read_text().splitlines()[line - 1].startswith("listen = ")


def test_what_the_file_does_not_say_is_a_default(founder: Person) -> None:
    Home(founder.home).config_path.write_text("[agent]\nworkers = 2\n")
    found = load_settings(Home(founder.home).config_path, environment={})
    assert {item.name: item.origin for item in found if item.origin != "default"} == {
        "agent.workers": "file, line 2"
    }
    sections = [item.name.partition(".")[0] for item in found]
    assert set(sections) == set(Config.__struct_fields__) - {"capability", "want", "sell"}


@pytest.mark.parametrize(
    ("text", "environment", "where", "meant"),
    [
        ("[agent]\nworker = 1\n", {}, "line 2", "'workers'"),
        ("[agnet]\nworkers = 1\n", {}, "line 1", "'agent'"),
        ("", {"ECONODE_LEDGER_RETENTION_HOUR": "1"}, "RETENTION_HOUR", "'retention_hours'"),
        ("", {"ECONODE_NETWROK_LISTEN": "x"}, "ECONODE_NETWROK_LISTEN", "ECONODE_NETWORK_"),
    ],
)
def test_unknown_keys_are_refused_with_the_nearest_known_one(
    founder: Person, text: str, environment: dict, where: str, meant: str
) -> None:
    Home(founder.home).config_path.write_text(text)
    error = founder.fail("invalid-config", "config", "check", **environment)
    assert where in error["where"]
    assert meant in error["remedy"]


def test_check_and_show_what_was_changed(founder: Person) -> None:
    assert founder.do("config", "check")["changed"] == ["network.listen"]
    shown = founder.do("config", "show", "--changed")["settings"]
    assert [item["name"] for item in shown] == ["network.listen"]
    assert founder.do("config", "show", "ledger")["settings"][0]["default"] == 0
    error = founder.fail("unknown-key", "config", "show", "ledgr")
    assert error["remedy"] == "did you mean 'ledger'?"


# --- doctor


def test_a_good_home_has_nothing_that_fails(founder: Person) -> None:
    run_once(founder)
    document = founder.do("doctor")
    assert document["healthy"]
    assert {finding["check"] for finding in document["findings"]} >= {
        *("permissions", "config", "genesis", "versions", "disk", "databases", "ports"),
        *("reachable", "clock", "peers"),
    }
    assert all(f["remedy"] for f in document["findings"] if f["level"] != "ok")


def test_each_fault_is_found_with_its_remedy(founder: Person) -> None:
    run_once(founder)
    home = Home(founder.home)
    home.key_path.chmod(0o644)
    with closing(sqlite3.connect(home.ledger_path)) as ledger:
        ledger.execute("PRAGMA user_version = 99")
    size = home.votes_path.stat().st_size
    with open(home.votes_path, "r+b") as votes:
        votes.seek(100)
        votes.write(bytes(size - 100))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f"/ip4/127.0.0.1/tcp/{port}"
        document = fail_doctor(founder, ECONODE_NETWORK_LISTEN=listen)
    failed = {f["check"]: f for f in document["findings"] if f["level"] == "fail"}
    assert "chmod 600" in failed["permissions"]["remedy"]
    assert "another program listens there" in failed["ports"]["message"]
    messages = [f["message"] for f in get_findings(document, "databases")]
    assert any("schema 99" in message for message in messages)
    assert any("votes.sqlite3" in message for message in messages)


def test_an_old_schema_and_a_restored_home_are_said(founder: Person) -> None:
    run_once(founder)
    with closing(sqlite3.connect(Home(founder.home).votes_path)) as votes:
        votes.execute("INSERT INTO restored VALUES (1, 2)")
        votes.commit()
    with closing(sqlite3.connect(Home(founder.home).ledger_path)) as ledger:
        ledger.execute(f"PRAGMA user_version = {migrations.LEDGER.version - 1}")
    levels = {f["message"]: f["level"] for f in founder.do("doctor")["findings"]}
    assert any("the next start migrates it" in text for text in levels)
    assert any("put back from a backup" in text for text in levels)


def test_an_invalid_configuration_is_a_finding_not_the_end(founder: Person) -> None:
    Home(founder.home).config_path.write_text("[agent]\nworker = 1\n")
    document = fail_doctor(founder)
    (finding,) = get_findings(document, "config")
    assert finding["level"] == "fail"
    assert "'workers'" in finding["remedy"]
    assert get_findings(document, "disk")


def test_of_a_running_node_peers_and_clock_are_looked_at(running: Person) -> None:
    document = running.run("doctor", "--json").document
    assert "does not run" not in get_findings(document, "clock")[0]["message"]
    assert get_findings(document, "peers")[0]["level"] in ("ok", "warn", "fail")


# --- debug dump


def read_bundle(path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {m.name.rpartition("/")[2]: tar.extractfile(m).read() for m in tar.getmembers()}


def test_no_secret_occurs_in_a_support_bundle(person: Person, tmp_path) -> None:
    """Not even where one has got into the log."""
    person.do("init", "--seal", ECONODE_PASSPHRASE=PASSPHRASE)
    person.do("genesis", "new", "village")
    run_once(person)
    home = Home(person.home)
    seed = home.load_key(lambda: PASSPHRASE).seed
    token, key_text = home.load_token(), home.key_path.read_text()
    with home.config_path.open("a") as config:
        config.write(CAPABILITIES)
    body = [line for line in key_text.splitlines() if not line.startswith("-----")]
    secrets = [
        *SECRETS,
        *(token, PASSPHRASE, seed.hex(), base64.b64encode(seed).decode()),
        *body,
    ]
    home.log_path.write_text("".join(f"2026-01-01 INFO x: {text} and on\n" for text in secrets))
    target = tmp_path / "support.tar.gz"
    person.do("debug", "dump", target, ECONODE_PASSPHRASE=PASSPHRASE)
    parts = read_bundle(target)
    assert set(parts) == {
        *("about.json", "config.json", "databases.json", "doctor.json", "genesis.json"),
        *("node.json", "node.log"),
    }
    for secret in [*(text.encode() for text in secrets), seed]:
        assert not [name for name, data in parts.items() if secret in data]
    assert parts["node.log"].count(b"[removed]") == len(secrets)
    assert b"2026-01-01" in parts["node.log"]
    assert b'"words"' in parts["config.json"]
    assert target.stat().st_mode & 0o077 == 0


def test_a_bundle_of_a_running_node_holds_its_status(running: Person, tmp_path) -> None:
    running.do("debug", "dump", tmp_path / "b.tar.gz")
    parts = read_bundle(tmp_path / "b.tar.gz")
    assert b'"running": true' in parts["node.json"]
    assert b'"position"' in parts["node.json"]
    error = running.fail("file-exists", "debug", "dump", tmp_path / "b.tar.gz")
    assert error["remedy"] == "give a new name"

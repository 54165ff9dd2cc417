"""init, id, genesis, start: founding by hand, and every way it can be refused."""

import os
import re
import signal
import stat
import subprocess
import sys

import pytest
from people import ROOT, Person, make_environment, run, run_forked

from identity import keys
from node.home import Home
from node.problem import Problem

OTHER = keys.compute_peer_id(keys.PrivateKey(bytes(31) + b"\1").public)


def test_two_people_found_a_network_by_hand(tmp_path):
    ann, bob = Person(tmp_path / "ann"), Person(tmp_path / "bob")
    ann.do("init", "--listen", "/ip4/127.0.0.1/tcp/4710")
    bob.do("init", "--listen", "/ip4/127.0.0.1/tcp/4711")
    ann.do("genesis", "new", "village", "--bond", "5", "--free", "7", "--add-account", f"{OTHER}=9")
    line = bob.run("id").out.strip()
    made = ann.do("genesis", "add", line, "--bond", "10", "--free", "20")
    taken = bob.do("init", "--genesis", ann.home / "genesis.json")
    assert taken["member"] is True
    shown = bob.do("genesis", "show")
    assert shown["network_id"] == made["network_id"] == taken["network_id"]
    assert (shown["n"], shown["f"], shown["q"]) == (2, 0, 2)
    assert [(m["address"], m["bond"], m["free"]) for m in shown["members"]] == [
        ("/ip4/127.0.0.1/tcp/4710", 5, 7),
        ("/ip4/127.0.0.1/tcp/4711", 10, 20),
    ]
    assert shown["accounts"] == [{"peer": OTHER, "free": 9}]
    assert "f = 0" in bob.run("genesis", "show").err


def test_secrets_are_for_their_owner_alone(founder):
    for name in ("node.key", "api.token"):
        assert stat.S_IMODE((founder.home / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(founder.home.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["node.key", "api.token"])
def test_a_secret_that_others_can_read_is_refused(running, name):
    path = running.home / name
    path.chmod(0o640)
    verb = "id" if name == "node.key" else "status"
    error = running.fail("readable-secret", verb)
    assert error["where"] == str(path)
    assert error["remedy"] == f"chmod 600 {path}"


def test_a_sealed_key_needs_its_pass_phrase_to_sign_but_not_to_be_shown(person):
    person.fail("passphrase", "init", "--seal")
    made = person.do("init", "--seal", ECONODE_PASSPHRASE="open sesame")
    assert person.do("id")["peer_id"] == made["peer_id"]
    home = Home(person.home)
    with pytest.raises(Problem, match="ECONODE_PASSPHRASE"):
        home.load_key(lambda: None)
    with pytest.raises(Problem, match="does not open"):
        home.load_key(lambda: "open barley")
    assert keys.compute_peer_id(home.load_key(lambda: "open sesame").public) == made["peer_id"]


def test_init_does_not_touch_a_home_that_is_there(founder):
    before = founder.list_files()
    founder.fail("already-initialised", "init")
    founder.fail("already-initialised", "init", "--listen", "/ip4/127.0.0.1/tcp/1")
    assert founder.list_files() == before


def test_a_bad_init_leaves_nothing_behind(person, tmp_path):
    person.fail("invalid-address", "init", "--listen", "4710")
    person.fail("unreadable", "init", "--genesis", tmp_path / "absent.json")
    (tmp_path / "bad.json").write_text('{"name": "x", "members": 3}')
    error = person.fail("invalid-genesis", "init", "--genesis", tmp_path / "bad.json")
    assert "members" in error["detail"] or "created_ms" in error["detail"]
    assert person.list_files() == {}


# Every call that changes the disk during init; the process is killed right before one of them.
KILLER = """
import os, signal, sys
count = int(sys.argv.pop(1))
def guard(name):
    call = getattr(os, name)
    def step(*arguments, **options):
        global count
        count -= 1
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    setattr(os, name, step)
from node import cli
for name in ("replace", "fsync", "mkdir", "unlink"):
    guard(name)
cli.main()
"""


def test_an_init_killed_anywhere_can_be_run_again(tmp_path):
    killed = 0
    for step in range(40):
        person = Person(tmp_path / str(step))
        command = [sys.executable, "-c", KILLER, str(step), "init", "--home", str(person.home)]
        ended = subprocess.run(command, env=make_environment(), cwd=ROOT, capture_output=True)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
        killed += 1
        key = person.home / "node.key"
        kept = key.read_text() if key.exists() else None
        if (person.home / "config.toml").exists():  # written last, so nothing is missing
            person.fail("already-initialised", "init")
        else:
            person.do("init")
        assert kept is None or key.read_text() == kept
        assert person.do("id")["peer_id"] == Home(person.home).load_peer_id()
        assert Home(person.home).load_token()
        assert not list(person.home.glob(".*new"))
    assert killed >= 6


@pytest.mark.parametrize(
    ("change", "key", "line_of"),
    [
        (("port = 0", 'port = "a"'), "api.port", 'port = "a"'),
        (("port = 0", "prot = 0"), "api.prot", "prot = 0"),
        (("workers = 1", "workers = 0"), "agent.workers", "workers = 0"),
        (("[agent]", "[agnet]"), "agnet", "[agnet]"),
        (
            ('listen = ["/ip4/127.0.0.1/tcp/4710"]', "listen = [\n  7]"),
            "network.listen",
            "listen = [",
        ),
        (
            ("[network.peers]", '[network.peers]\nnobody = "/ip4/1.2.3.4/tcp/1"'),
            "network.peers",
            "nobody",
        ),
        (("port = 0", "port = "), "TOML", "port = "),
    ],
)
def test_a_corrupt_configuration_is_named_by_file_key_and_line(founder, change, key, line_of):
    path = founder.home / "config.toml"
    text = path.read_text()
    assert change[0] in text
    text = text.replace(*change)
    path.write_text(text)
    lines = text.splitlines()
    line = next(number for number, item in enumerate(lines, 1) if item.startswith(line_of))
    error = founder.fail("invalid-config", "start")
    assert error["where"] == f"{path}, line {line}"
    assert key in error["detail"]
    assert error["remedy"]


def test_an_unknown_key_comes_with_the_nearest_known_one(founder):
    error = founder.fail("invalid-config", "start", "--set", "agent.worker=2")
    assert "did you mean 'workers'" in error["remedy"]
    error = founder.fail("invalid-config", "start", ECONODE_API_PROT="1")
    assert error["where"] == "environment variable ECONODE_API_PROT"


def test_a_second_process_on_one_home_is_told_who_has_it(founder):
    with Home(founder.home).lock():
        for verb in (["start", "--allow-single"], ["genesis", "new", "x"], ["init"]):
            error = founder.fail("home-in-use", *verb)
            assert str(os.getpid()) in error["detail"]
    founder.fail("genesis-exists", "genesis", "new", "x")


def test_a_network_of_one_has_to_be_asked_for(founder):
    error = founder.fail("single-member", "start")
    assert "--allow-single" in error["remedy"]


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (["nobody"], "invalid-peer"),
        ([OTHER], "invalid-address"),
        ([f"{OTHER}@/ip4/1.2.3/tcp/1"], "invalid-address"),
        ([f"{OTHER}@/ip4/1.2.3.4/tcp/99999"], "invalid-address"),
        ([f"{OTHER}@/ip4/1.2.3.4/tcp/1", "--address", "/ip4/1.2.3.4/tcp/2"], "invalid-address"),
        ([f"{OTHER}@/ip4/1.2.3.4/tcp/1", "--free", str((1 << 63) - 1)], "invalid-genesis"),
    ],
)
def test_a_member_that_cannot_be_is_refused_and_nothing_is_written(founder, arguments, kind):
    before = founder.list_files()
    founder.fail(kind, "genesis", "add", *arguments)
    founder.fail("usage", "genesis", "add", OTHER, "--bond", "-1", code=2)
    assert founder.list_files() == before


def test_a_genesis_is_settled_once_the_node_has_run(founder, tmp_path):
    other = Person(tmp_path / "other")
    other.do("init", "--listen", "/ip4/127.0.0.1/tcp/4712")
    other.do("genesis", "new", "elsewhere")
    founder.home.joinpath("votes.sqlite3").write_bytes(b"")
    before = founder.list_files()
    line = f"{OTHER}@/ip4/127.0.0.1/tcp/1"
    founder.fail("genesis-settled", "genesis", "add", line)
    founder.fail("genesis-settled", "init", "--genesis", other.home / "genesis.json")
    founder.do("init", "--genesis", founder.home / "genesis.json")
    assert founder.list_files() == before


def test_help_has_an_example_for_every_verb_and_fits_narrow_terminals():
    root = run("--help", COLUMNS="40").out
    assert max(map(len, root.splitlines())) <= 40
    for verb in _list_verbs(root):
        text = run_forked(verb, "--help").out
        for path in [[verb, child] for child in _list_verbs(text)] or [[verb]]:
            assert "Example:" in run_forked(*path, "--help").out, path


def _list_verbs(text):
    _, _, commands = text.partition("Commands:")
    return re.findall(r"^  ([a-z]+) ", commands, re.MULTILINE)


def test_help_is_whole_on_a_narrow_terminal():
    done = run("--help", COLUMNS="60")
    assert done.code == 0
    assert "..." not in done.out.replace("[ARGS]...", "")
    assert all(len(line) <= 60 for line in done.out.splitlines())


def test_help_imports_nothing_heavy():
    code = "import sys; from node import cli; cli.run(['-h']); print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=make_environment(), cwd=ROOT, capture_output=True)
    loaded = set(done.stderr.decode().split())
    heavy = {"libp2p", "trio", "fastapi", "hypercorn", "httpx", "nacl", "sqlite3", "rich"}
    assert "typer" in loaded
    assert not loaded & heavy


def test_wrong_usage_ends_with_2():
    for arguments in ([], ["nonsense"], ["start", "--nonsense"], ["task", "submit"]):
        done = run(*arguments)
        assert (done.code, done.out) == (2, "")
        assert done.err
    assert run("nonsense", "--json").document["error"]["type"].endswith(":usage")


def test_verbs_of_other_packages_join_and_broken_ones_hurt_nobody(tmp_path):
    info = tmp_path / "extra-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[econode.commands]\nextra = extra_verbs:app\nbroken = absent_module:app\n"
    )
    (tmp_path / "extra_verbs.py").write_text(
        "import typer\napp = typer.Typer(help='Further verbs.')\n"
        "@app.command()\ndef hello():\n    'Say hello.'\n    print('hello')\n"
        "@app.command()\ndef stop():\n    raise KeyboardInterrupt\n"
    )
    path = f"{ROOT}:{tmp_path}"
    assert "extra" in run("--help", PYTHONPATH=path).out
    assert run("extra", "hello", PYTHONPATH=path).out == "hello\n"
    interrupted = run("extra", "stop", PYTHONPATH=path)
    assert (interrupted.code, interrupted.out, interrupted.err) == (130, "", "")
    broken = run("broken", PYTHONPATH=path)
    assert broken.code == 1
    assert "absent_module" in broken.err


def test_the_reference_is_current():
    command = [sys.executable, "docs/generate.py", "--check"]
    done = subprocess.run(command, env=make_environment(COLUMNS="50"), cwd=ROOT)
    assert done.returncode == 0, "run python docs/generate.py"

"""The repository keeps its own rules, and each rule refuses what it is there to refuse."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest

from tests import tidy_rules as rules

ROOT = Path(__file__).resolve().parent.parent
RULE_FILES = {"tests/tidy_rules.py", "tests/test_tidy.py"}  # they spell out what they forbid
# Listed by hand, so that a virtual environment of any name is left out.
PYTHON_FILES = sorted(
    path.relative_to(ROOT)
    for folder in (*rules.LAYERS, "tests")
    for path in (ROOT / folder).rglob("*.py")
)
INDEX_FILES = sorted(
    path.relative_to(ROOT)
    for pattern in (
        *("pyproject.toml", "Makefile", ".ci/*", "requirements/*"),
        *("**/Dockerfile*", "**/*.yml", "**/*.yaml", "**/*.sh"),
    )
    for path in ROOT.glob(pattern)
    if path.is_file() and ".venv" not in path.parts
)


def _read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_every_python_file_keeps_the_rules():
    found = []
    for path in PYTHON_FILES:
        text = _read(path)
        for rule in rules.PYTHON_RULES:
            if rule is not rules.check_unfinished or str(path) not in RULE_FILES:
                found += rule(PurePosixPath(path), text)
    assert found == []


def test_no_index_or_host_is_named():
    assert PurePosixPath("requirements/requirements.lock") in map(PurePosixPath, INDEX_FILES)
    found = [line for path in INDEX_FILES for line in rules.check_no_index(path, _read(path))]
    assert found == []


BAD = [
    (rules.check_arrows, "identity/x.py", "from crdt import log"),
    (rules.check_arrows, "protocols/pbft/x.py", "def f():\n    import node.host"),
    (rules.check_arrows, "node/x.py", "from devnet.cli import app"),
    (rules.check_relative_imports, "node/x.py", "from . import host"),
    (rules.check_purity, "crdt/x.py", "import time"),
    (rules.check_purity, "protocols/x.py", "from os import path"),
    (rules.check_purity, "node/router.py", "import trio.lowlevel"),
    (rules.check_purity, "identity/keys.py", "import os\nos.getcwd()"),
    (rules.check_purity, "identity/keys.py", "from os import environ"),
    (rules.check_purity, "identity/cbor.py", "import os\nos.urandom(1)"),
    (rules.check_broad_except, "node/x.py", "try:\n    f()\nexcept Exception:\n    g()"),
    (rules.check_broad_except, "node/x.py", "try:\n    f()\nexcept:\n    raise"),
    (rules.check_broad_except, "a.py", "try:\n    f()\nexcept (OSError, BaseException):\n    g()"),
    (rules.check_broad_except, "a.py", "try:\n    f()\nexcept Exception:\n    g('# no')"),
    (rules.check_broad_except, "a.py", "with contextlib.suppress(Exception):\n    f()"),
    (rules.check_unfinished, "node/x.py", "# TODO: later"),
    (rules.check_unfinished, "node/x.py", "raise NotImplementedError"),
    (rules.check_sleeps, "tests/x.py", "time.sleep(delay)"),
    (rules.check_sleeps, "tests/x.py", "async def f():\n    await trio.sleep(0.5)"),
    (rules.check_print, "node/host.py", "print('x')"),
    (rules.check_sizes, "node/x.py", "x = 1\n" * (rules.FILE_LINES_MAX + 1)),
    (rules.check_sizes, "x.py", "def f():\n" + "    x = 1\n" * rules.FUNCTION_LINES_MAX),
    (rules.check_docstring, "node/x.py", "x = 1"),
    (rules.check_integers, "protocols/economy/x.py", "x = 0.5"),
    (rules.check_integers, "crdt/x.py", "x = 1 / 2"),
    (rules.check_integers, "crdt/x.py", "x /= 2"),
    (rules.check_integers, "protocols/economy/x.py", "x = float(1)"),
    (rules.check_no_index, "requirements/x.lock", "--index-url https://127.0.0.1/simple"),
    (rules.check_no_index, "Makefile", "curl https://packages.example.org/simple"),
]
GOOD = [
    (rules.check_arrows, "devnet/x.py", "from node import host\nimport identity"),
    (rules.check_purity, "identity/keys.py", "import os\nos.urandom(32)"),
    (rules.check_purity, "node/links.py", "import trio, time, os"),
    (rules.check_broad_except, "a.py", "try:\n    f()\nexcept Exception:  # why\n    g()"),
    (rules.check_broad_except, "a.py", "try:\n    f()\nexcept Exception:\n    # why\n    g()"),
    (rules.check_broad_except, "a.py", "try:\n    f()\nexcept OSError:\n    g()"),
    (rules.check_broad_except, "a.py", "try:\n    f()\nexcept sqlite3.Error:\n    g()"),
    (rules.check_sleeps, "tests/x.py", "while not done():\n    time.sleep(0.01)"),
    (rules.check_sleeps, "tests/x.py", "async def f():\n    await trio.sleep(0)"),
    (rules.check_sleeps, "node/x.py", "async def f():\n    await trio.sleep(0.5)"),
    (rules.check_print, "node/cli.py", "print('x')"),
    (rules.check_print, "devnet/live.py", "print('x')"),
    (rules.check_docstring, "node/__init__.py", ""),
    (rules.check_integers, "protocols/economy/x.py", "x = 7 // 2"),
    (rules.check_integers, "node/x.py", "x = 0.5"),
    (rules.check_no_index, "Makefile", "curl http://127.0.0.1:80/ # a pip index-url"),
]


@pytest.mark.parametrize(("rule", "path", "text"), BAD)
def test_a_rule_refuses(rule, path, text):
    assert len(rule(PurePosixPath(path), text)) == 1


@pytest.mark.parametrize(("rule", "path", "text"), GOOD)
def test_a_rule_allows(rule, path, text):
    assert rule(PurePosixPath(path), text) == []


def test_every_rule_is_shown_to_refuse_something():
    assert {*rules.PYTHON_RULES, rules.check_no_index} == {rule for rule, _, _ in BAD}


def test_size_exceptions_are_still_needed():
    names = {name.split("::")[0] for name in rules.SIZE_EXCEPTIONS}
    assert names <= {str(path) for path in PYTHON_FILES}


@pytest.mark.parametrize("module", ["identity", "crdt", "protocols", "node.router"])
def test_pure_code_loads_no_io_library(module):
    """Not by a detour either: the simulator runs these without trio, libp2p and SQLite."""
    files = [path for path in PYTHON_FILES if path.parts[0] == module]
    names = [".".join(path.with_suffix("").parts) for path in files] or [module]
    code = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name.removesuffix('.__init__'))\n"
        "print(*{'trio', 'libp2p', 'sqlite3', 'aiosqlite', 'asyncio'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []


def _pyproject() -> dict:
    return tomllib.loads(_read(Path("pyproject.toml")))


def test_package_list_equals_the_folders():
    listed = _pyproject()["tool"]["setuptools"]["packages"]
    folders = {
        ".".join(path.parent.parts)
        for path in PYTHON_FILES
        if path.name == "__init__.py" and path.parts[0] != "tests"
    }
    assert sorted(listed) == sorted(folders)
    strays = {
        path.parts[0]
        for path in (found.relative_to(ROOT) for found in ROOT.glob("*/__init__.py"))
        if path.parts[0] not in (*rules.LAYERS, "tests")
    }
    assert strays == set()


def test_every_folder_with_python_is_a_package():
    folders = {path.parent for path in PYTHON_FILES if path.parts[0] != "tests"}
    assert {folder for folder in folders if not (ROOT / folder / "__init__.py").exists()} == set()


def _pins(name: str) -> set[str]:
    """The `name==version` lines of an input file, as they are written."""
    lines = _read(Path("requirements") / name).splitlines()
    return {line for line in lines if "==" in line and not line.startswith(("#", " ", "-"))}


def _locked(name: str) -> dict[str, str]:
    """Normalised name -> version, of a lock."""
    found = re.findall(r"^([a-z0-9-]+)==([^\s;]+)", _read(Path("requirements") / name), re.M)
    return dict(found)


def test_dependencies_agree_with_the_input_file():
    assert _pins("requirements.in") == set(_pyproject()["project"]["dependencies"])
    assert _pins("build.in") == set(_pyproject()["build-system"]["requires"])


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "build", "lock-tool"])
def test_locks_hold_the_pins_with_hashes(name):
    locked = _locked(f"{name}.lock")
    for pin in _pins(f"{name}.in"):
        package, version = re.fullmatch(r"([\w-]+)(?:\[\w+\])?==(\S+)", pin).groups()
        assert locked[package.lower()] == version
    entries = re.split(r"^(?=[a-z0-9-]+==)", _read(Path(f"requirements/{name}.lock")), flags=re.M)
    assert [e.splitlines()[0] for e in entries[1:] if "--hash=sha256:" not in e] == []
    assert len(entries) - 1 == len(locked) >= 1


def test_overrides_are_in_the_lock():
    locked = _locked("requirements.lock")
    for pin in _pins("overrides.in"):
        package, _, rest = pin.partition("==")
        dropped = "python_version" in rest
        assert locked.get(package) == (None if dropped else rest)


def test_development_tools_share_the_locked_versions():
    run, dev = _locked("requirements.lock"), _locked("requirements-dev.lock")
    assert {name: dev[name] for name in run.keys() & dev.keys()} == {
        name: run[name] for name in run.keys() & dev.keys()
    }

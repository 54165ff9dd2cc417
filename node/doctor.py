"""`econode doctor`: looks at a home and its node, and says what to do about what it finds.

Each check yields findings: `ok`, `warn` (works, but look at it) or `fail` (does not work, or will
soon not). A check that cannot be made is a finding itself. Nothing is changed.
"""

import re
import shutil
import sqlite3
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Literal

import msgspec

from identity.errors import EconodeError
from node import migrations
from node.addresses import check_address
from node.config import Config
from node.config_file import load_config
from node.home import Home
from node.migrations import Schema, connect_readonly, read_version
from node.problem import Problem

Level = Literal["ok", "warn", "fail"]
DISK_FAIL_BYTES = 256 << 20
DISK_WARN_BYTES = 1 << 30
PYTHON_MIN, PYTHON_MAX = (3, 11), (3, 13)
LOCK = Path(__file__).resolve().parent.parent / "requirements" / "requirements.lock"
"""There in a source tree; elsewhere the pins of the installed package count."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([^\s;\\]+)")


class Finding(msgspec.Struct, frozen=True):
    """What one check found. `remedy` is empty where all is well."""

    check: str
    level: Level
    message: str
    remedy: str = ""


Check = Callable[[Home], Iterator[Finding]]


def examine(home: Home, checks: tuple[tuple[str, Check], ...]) -> list[Finding]:
    """All that the checks find, in their order."""
    found: list[Finding] = []
    for name, check in checks:
        try:
            found += check(home)
        except Problem as problem:
            where = f" ({problem.where})" if problem.where else ""
            found.append(Finding(name, "fail", f"{problem.detail}{where}", problem.remedy))
        except (EconodeError, OSError, sqlite3.Error) as error:
            remedy = "see the message; `econode debug dump FILE` helps others to help"
            found.append(Finding(name, "fail", f"cannot be checked: {error}", remedy))
    return found


def is_locked(home: Home) -> bool:
    """True while a process, such as the node, uses the home."""
    if not home.lock_path.exists():
        return False
    try:
        with home.lock():
            return False
    except Problem as problem:
        if problem.type != "home-in-use":
            raise
        return True


def check_home(home: Home) -> Iterator[Finding]:
    home.check_initialised()
    for path in (home.path, home.key_path, home.token_path):
        if not path.exists():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = "700" if path.is_dir() else "600"
        if mode & _OTHERS:
            level: Level = "warn" if path == home.path else "fail"
            message = f"{path.name} can be reached by other users (mode {mode:04o})"
            yield Finding("permissions", level, message, f"chmod {wanted} {path}")
    peer_id = home.load_peer_id()
    yield Finding("permissions", "ok", f"home and key of {peer_id} can be read")
    if home.key_path.stat().st_mode & stat.S_IWUSR == 0:
        yield Finding(
            "permissions", "warn", "node.key cannot be replaced", f"chmod 600 {home.key_path}"
        )


def check_config(home: Home) -> Iterator[Finding]:
    config = read_config(home)
    yield Finding("config", "ok", f"{home.config_path.name} is valid")
    if not config.network.announce and all("/127." in item for item in config.network.listen):
        yield Finding(
            "config",
            "warn",
            "this node listens on loopback alone: no other machine reaches it",
            "set [network] listen to an address that others reach",
        )


def read_config(home: Home) -> Config:
    config = load_config(home.config_path)
    for address in (*config.network.listen, *config.network.announce):
        check_address(address, "[network] of the configuration")
    return config


def check_genesis(home: Home) -> Iterator[Finding]:
    from node.home import check_network
    from node.ledger_file import read_network

    genesis = home.load_genesis()
    network = genesis.compute_network_id().hex()
    if home.ledger_path.exists():
        check_network(genesis, read_network(home.ledger_path), home.ledger_path)
    yield Finding("genesis", "ok", f"network {genesis.name}, {network[:16]}…")
    n = len(genesis.members)
    if n < 4:
        message = f"{n} founding members survive no fault (f = 0)"
        yield Finding("genesis", "warn", message, "four or more do: econode member join")


def check_disk(home: Home) -> Iterator[Finding]:
    free = shutil.disk_usage(home.path).free
    size = home.ledger_path.stat().st_size if home.ledger_path.exists() else 0
    message = f"{free >> 20} MiB are free, the ledger has {size >> 20} MiB"
    remedy = "make room: econode ledger prune --keep 30d --blobs, or move the home to a larger disk"
    if free < DISK_FAIL_BYTES:
        yield Finding("disk", "fail", message, remedy)
    elif free < max(DISK_WARN_BYTES, 2 * size):
        yield Finding("disk", "warn", f"{message}: a backup needs twice that", remedy)
    else:
        yield Finding("disk", "ok", message)


def check_versions(home: Home) -> Iterator[Finding]:
    python = sys.version_info[:2]
    if not PYTHON_MIN <= python <= PYTHON_MAX:
        remedy = "use Python {}.{} to {}.{}".format(*PYTHON_MIN, *PYTHON_MAX)
        yield Finding("versions", "fail", "Python {}.{}".format(*python), remedy)
    pins = read_pins()
    others = []
    for name, wanted in sorted(pins.items()):
        try:
            found = metadata.version(name)
        except metadata.PackageNotFoundError:
            found = "none"
        if found != wanted:
            others.append(f"{name} {found} (locked: {wanted})")
    if others:
        message = f"not the locked versions: {', '.join(others)}"
        yield Finding("versions", "warn", message, "install again from the lock: make setup")
    else:
        message = "Python {}.{}".format(*python) + f", {len(pins)} libraries as locked"
        yield Finding("versions", "ok", message)


def read_pins() -> dict[str, str]:
    """Name and version of each library that this program was tested with."""
    lines = LOCK.read_text().splitlines() if LOCK.exists() else []
    if not lines:
        try:
            lines = metadata.requires("econode") or []
        except metadata.PackageNotFoundError:
            return {}
    here = [line for line in lines if "sys_platform == 'win32'" not in line.replace('"', "'")]
    return {found[1]: found[2] for found in map(_PIN.match, here) if found}


def check_databases(home: Home) -> Iterator[Finding]:
    if not home.has_history():
        yield Finding("databases", "ok", "this node has not run yet")
        return
    remedies = {
        home.votes_path: "do not start this node: restore a backup into a new home",
        home.ledger_path: "move it away and start: the node fetches it again from its peers",
    }
    for path, schema in (
        (home.votes_path, migrations.VOTES),
        (home.ledger_path, migrations.LEDGER),
    ):
        if not path.exists():
            yield Finding("databases", "fail", f"{path.name} is missing", remedies[path])
        else:
            yield check_database(path, schema, remedies[path])
    yield from _check_mark(home)


def check_database(path: Path, schema: Schema, remedy: str) -> Finding:
    try:
        version = read_version(path, schema)
        with closing(connect_readonly(path)) as connection:
            lines = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
    except sqlite3.Error as error:
        return Finding("databases", "fail", f"{path.name}: {error}", remedy)
    if lines != ["ok"] or version is None:
        return Finding("databases", "fail", f"{path.name} is damaged: {lines[0]}", remedy)
    if version > schema.version:
        message = f"{path.name} has schema {version}, this program knows {schema.version}"
        return Finding("databases", "fail", message, "upgrade Econode")
    if version < schema.version:
        message = (
            f"{path.name} has schema {version}; the next start migrates it to {schema.version}"
        )
        return Finding("databases", "warn", message, "back it up first: econode ledger backup DIR")
    return Finding("databases", "ok", f"{path.name} is whole, schema {version}")


def _check_mark(home: Home) -> Iterator[Finding]:
    with closing(connect_readonly(home.votes_path)) as votes:
        if read_version(home.votes_path, migrations.VOTES) != migrations.VOTES.version:
            return
        row = votes.execute("SELECT max(restored_ms) FROM restored").fetchone()
        passed = votes.execute("SELECT count(*) FROM passed").fetchone()[0]
    if row[0] is not None and not passed:
        yield Finding(
            "databases",
            "warn",
            "put back from a backup: this member observes, and signs nothing yet",
            "nothing to do: it signs again once the others have passed what it may have signed",
        )

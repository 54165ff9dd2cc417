"""`econode debug dump`: what somebody else needs to help, in one file, and no secret in it.

Nothing secret is read but to look for it: the key, the token, the pass phrase and what stands in
the configuration's commands and URLs is removed from every text before it is written.
"""

import base64
import io
import os
import platform
import sqlite3
import sys
import tarfile
import time
from collections.abc import Mapping
from contextlib import closing
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec

from identity.errors import EconodeError
from node import client, migrations
from node.config import Capability
from node.config_file import load_config, load_settings
from node.doctor import examine, is_locked
from node.doctor_network import CHECKS
from node.files import PRIVATE_MODE, open_atomic
from node.home import Home
from node.migrations import connect_readonly, read_version
from node.passphrase import PASSPHRASE_VARIABLE
from node.problem import Problem
from node.version import get_version

LOG_BYTES_MAX = 1 << 20
"""Of the newest log lines."""
REMOVED = "[removed]"
SECRET_CHARS_MIN = 4
"""Shorter texts are no secrets, and stand everywhere."""


def write_bundle(home: Home, target: Path, environment: Mapping[str, str] | None = None) -> int:
    """Write the bundle to `target`, a new file; its size in bytes. A part that cannot be read
    says why in its place. Raises Problem."""
    home.check_initialised()
    if target.exists():
        raise Problem(
            "file-exists", "a bundle replaces no file", where=str(target), remedy="give a new name"
        )
    environment = os.environ if environment is None else environment
    redactor = Redactor(find_secrets(home, environment))
    parts: dict[str, Any] = {
        "about.json": _describe_program,
        "config.json": lambda: _describe_config(home),
        "databases.json": lambda: _describe_databases(home),
        "doctor.json": lambda: msgspec.to_builtins(examine(home, CHECKS)),
        "genesis.json": lambda: msgspec.json.decode(home.genesis_path.read_bytes()),
        "node.json": lambda: _ask_node(home),
    }
    with (
        open_atomic(target, mode=PRIVATE_MODE) as file,
        tarfile.open(fileobj=file, mode="w:gz") as tar,
    ):
        for name, make in parts.items():
            text = msgspec.json.format(msgspec.json.encode(redactor.clean(_try(make))))
            _add(tar, name, text)
        _add(tar, "node.log", redactor.clean(_read_log(home)).encode())
    return target.stat().st_size


def _try(make: Any) -> Any:
    try:
        return make()
    except (EconodeError, OSError, sqlite3.Error, msgspec.DecodeError) as error:
        return {"error": str(error)}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(f"econode-debug/{name}")
    info.size, info.mtime, info.mode = len(data), int(time.time()), PRIVATE_MODE
    tar.addfile(info, io.BytesIO(data))


class Redactor:
    """Removes known secrets from texts, wherever they stand."""

    def __init__(self, secrets: set[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= SECRET_CHARS_MIN}
        self._secrets = sorted(known, key=len, reverse=True)

    def clean(self, value: Any) -> Any:
        """The same with every secret replaced, in keys and values at any depth."""
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, REMOVED)
            return value
        if isinstance(value, Mapping):
            return {self.clean(key): self.clean(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.clean(item) for item in value]
        return value


def find_secrets(home: Home, environment: Mapping[str, str]) -> set[str]:
    """Texts that must not leave this machine."""
    secrets = {environment.get(PASSPHRASE_VARIABLE, "")}
    for path in (home.key_path, home.token_path):
        if path.exists():
            text = path.read_text("utf-8", "replace")
            secrets |= {text.strip(), *(line.strip() for line in text.splitlines())}
    secrets = {secret for secret in secrets if not secret.startswith("-----")}
    try:
        # A sealed key stays sealed: what is in the file stands above.
        seed = home.load_key(lambda: environment.get(PASSPHRASE_VARIABLE)).seed
        secrets |= {seed.hex(), seed.hex().upper(), base64.b64encode(seed).decode()}
        secrets.add(base64.urlsafe_b64encode(seed).decode().rstrip("="))
    except EconodeError:
        pass  # no key that could be read, or no pass phrase for it
    try:
        for item in load_config(home.config_path, environment).capability:
            secrets |= _find_in_target(item)
    except EconodeError:
        pass  # the bundle holds no configuration then
    return secrets


def _find_in_target(item: Capability) -> set[str]:
    """Arguments of a command, and of a URL user, password and query."""
    if not isinstance(item.target, str):
        return set(item.target[1:])
    if item.kind != "http":
        return set()
    found = urlsplit(item.target)
    return {found.username or "", found.password or "", found.query}


def _describe_config(home: Home) -> list[dict[str, Any]]:
    settings = []
    for item in load_settings(home.config_path):
        value = item.value
        if item.name.startswith("capability["):
            value = {**value, "target": _hide_target(value["target"])}
        settings.append({"name": item.name, "value": value, "origin": item.origin})
    return settings


def _hide_target(target: Any) -> Any:
    if not isinstance(target, str):
        return [target[0], *([REMOVED] * (len(target) - 1))] if target else target
    if "://" not in target:
        return target
    found = urlsplit(target)
    host = found.netloc.rpartition("@")[2]
    return urlunsplit((found.scheme, host, found.path, REMOVED if found.query else "", ""))


def _describe_program() -> dict[str, Any]:
    packages = {item.name: item.version for item in metadata.distributions()}
    return {
        "econode": get_version(),
        "python": sys.version,
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "cpus": os.cpu_count(),
        "written_ms": time.time_ns() // 1_000_000,
        "packages": dict(sorted(packages.items())),
    }


def _describe_databases(home: Home) -> dict[str, Any]:
    """Versions, sizes and how many rows there are; of the rows themselves nothing."""
    described: dict[str, Any] = {}
    for path, schema in (
        (home.votes_path, migrations.VOTES),
        (home.ledger_path, migrations.LEDGER),
    ):
        if not path.exists():
            continue
        with closing(connect_readonly(path)) as connection:
            tables = connection.execute(
                "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
            ).fetchall()
            counts = {
                name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                for (name,) in tables
            }
        described[path.name] = {
            "schema": read_version(path, schema),
            "bytes": path.stat().st_size,
            "rows": counts,
        }
    blobs = [path.stat().st_size for path in home.blobs_path.glob("[0-9a-f][0-9a-f]/*")]
    described["blobs"] = {"count": len(blobs), "bytes": sum(blobs)}
    return described


def _ask_node(home: Home) -> dict[str, Any]:
    if not is_locked(home):
        return {"running": False, "peer_id": home.load_peer_id()}
    with closing(client.connect(home)) as node:
        answers = {"status": node.status(), "peers": node.peers(), "members": node.members()}
    return {"running": True, **{name: msgspec.to_builtins(item) for name, item in answers.items()}}


def _read_log(home: Home) -> str:
    """The newest lines, whole ones."""
    data = b""
    for path in (home.log_path, home.log_path.with_name(f"{home.log_path.name}.1")):
        if path.exists() and len(data) < LOG_BYTES_MAX:
            data = path.read_bytes()[-(LOG_BYTES_MAX - len(data)) :] + data
    lines = data.decode("utf-8", "replace").splitlines(keepends=True)
    return "".join(lines[1:] if len(data) >= LOG_BYTES_MAX else lines)

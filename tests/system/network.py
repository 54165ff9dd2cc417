"""Networks of real node processes: founded, started, killed, asked and stopped.

Every node is `python -m node.cli start` in a home of its own; nothing here waits without a deadline
or sleeps for a fixed time.
"""

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from devnet.manifest import choose_ports
from identity import keys
from identity.keys import PrivateKey
from node import client
from node.client import NodeClient
from node.config import Capability
from node.config_file import render_config
from node.files import write_atomic
from node.home import Home
from node.ledger_rows import decode_list
from node.problem import Problem
from protocols.genesis import Allotment, Genesis, Member, Parameters

ROOT = Path(__file__).resolve().parent.parent.parent
WAIT_S_MAX = 40.0
POLL_S = 0.02
BOND, FREE = 10_000, 1_000_000


def wait_until(is_done: Callable[[], Any], what: str, s_max: float = WAIT_S_MAX) -> Any:
    """The first true value of `is_done`; a Problem counts as not yet."""
    deadline = time.monotonic() + s_max
    while True:
        with contextlib.suppress(Problem):
            value = is_done()
            if value:
                return value
        assert time.monotonic() < deadline, f"not within {s_max:.0f} s: {what}"
        time.sleep(POLL_S)


def make_environment(root: Path = ROOT) -> dict[str, str]:
    """`root`: the folder of the program's packages."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ECONODE_")}
    return kept | {"PYTHONPATH": str(root)}


class Done:
    """How a command ended. `document` is what it printed with --json."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.code = done.returncode
        self.out = done.stdout.decode(errors="replace")
        self.err = done.stderr.decode(errors="replace")
        assert "Traceback" not in self.err, self.err

    @property
    def document(self) -> Any:
        return json.loads(self.out)


def econode(*arguments: object, s_max: float = 60.0, root: Path = ROOT) -> Done:
    """`econode ARGUMENTS` as a process of its own, of the program in `root`."""
    command = [sys.executable, "-m", "node.cli", *map(str, arguments)]
    return Done(
        subprocess.run(
            command,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            env=make_environment(root),
            cwd=root,
            timeout=s_max,
        )
    )


class RealNode:
    """One home and, while it runs, its process; the log of all its starts is one file."""

    def __init__(self, path: Path) -> None:
        self.home = Home(path)
        self.root = ROOT
        """The folder of the program that `start` starts."""
        self.log_path = path.with_suffix(".log")
        self.process: subprocess.Popen[bytes] | None = None
        self._client: NodeClient | None = None

    @property
    def key(self) -> PrivateKey:
        return self.home.load_key(lambda: None)

    @property
    def peer_id(self) -> str:
        return self.home.load_peer_id()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self, *flags: str) -> None:
        self.forget()
        command = [sys.executable, "-m", "node.cli", "start", "--home", str(self.home.path), *flags]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=make_environment(self.root),
                cwd=self.root,
                start_new_session=True,
            )

    @property
    def client(self) -> NodeClient:
        """A client of the running process. Raises Problem while there is none."""
        if self._client is None:
            info = self.home.load_info()
            if info is None or self.process is None or info.pid != self.process.pid:
                raise client.not_running(self.home)
            self._client = client.connect(self.home)
        return self._client

    def forget(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.forget()
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        assert self.process is not None
        self.forget()
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def end(self) -> None:
        """However it stands: no process is left."""
        self.forget()
        if self.is_running():
            self.kill()

    def read_log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def find_times(self, text: str) -> list[float]:
        """When the lines of the log with `text` were written, in seconds since 1970."""
        return [
            datetime.fromisoformat(line.split(" ", 1)[0]).timestamp()
            for line in self.read_log().splitlines()
            if text in line
        ]

    def count_connected(self) -> int:
        return sum(peer.connected for peer in self.client.peers().peers)

    def read_operations(self, position: int = 0) -> list[bytes]:
        """Every operation in its ledger file, once that holds the entry at `position`."""
        uri = f"{self.home.ledger_path.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as db:
            last = "SELECT max(position) FROM batches"
            wait_until(lambda: db.execute(last).fetchone()[0] >= position, "a ledger on disk")
            rows = db.execute("SELECT operations FROM batches ORDER BY position").fetchall()
        return [data for (packed,) in rows for data in decode_list(packed)]

    def econode(self, *arguments: object) -> Done:
        return econode(*arguments, "--home", self.home.path, root=self.root)

    def verify(self) -> dict[str, Any]:
        """What `econode ledger verify` finds in its ledger file."""
        done = self.econode("ledger", "verify", "--json")
        document = done.document
        assert (done.code == 0) == document["valid"]
        return document


class Network:
    """Nodes with one genesis. `outsiders` are member keys that no process holds, `accounts` are
    keys of no member with credits: a test's own."""

    def __init__(
        self,
        folder: Path,
        nodes: int,
        *,
        outsiders: Sequence[PrivateKey] = (),
        accounts: Sequence[PrivateKey] = (),
        parameters: Parameters | None = None,
    ) -> None:
        secrets = sorted((PrivateKey.generate() for _ in range(nodes)), key=lambda k: k.public)
        self.nodes = [RealNode(folder / f"node-{number}") for number in range(nodes)]
        self.addresses = [f"/ip4/127.0.0.1/tcp/{port}" for port in choose_ports(nodes)]
        members = [
            Member(keys.compute_peer_id(secret.public), address, BOND, FREE)
            for secret, address in zip(secrets, self.addresses, strict=True)
        ]
        members += [Member(keys.compute_peer_id(key.public), "", BOND, FREE) for key in outsiders]
        self.genesis = Genesis(
            name="village",
            created_ms=time.time_ns() // 1_000_000,
            members=tuple(members),
            accounts=tuple(Allotment(keys.compute_peer_id(k.public), FREE) for k in accounts),
            parameters=parameters or Parameters(),
        )
        self.id = self.genesis.compute_network_id()
        for node, secret, address in zip(self.nodes, secrets, self.addresses, strict=True):
            node.home.make_folder()
            node.home.write_key(secret, None)
            node.home.write_token()
            node.home.write_genesis(self.genesis)
            self.configure(node, {("network", "listen"): (address,)})

    def list_listen(self, node: RealNode) -> tuple[str, ...]:
        return (self.addresses[self.nodes.index(node)],)

    def configure(
        self,
        node: RealNode,
        values: dict[tuple[str, str], object],
        capabilities: Sequence[Capability] = (),
    ) -> None:
        """Write the node's config.toml; it listens where the genesis says."""
        values = {("network", "listen"): self.list_listen(node), **values}
        text = render_config(values)
        for capability in capabilities:
            lines = [
                f"{key} = {msgspec.json.encode(value).decode()}"
                for key, value in msgspec.structs.asdict(capability).items()
                if value is not None
            ]
            text += "\n".join(["", "[[capability]]", *lines, ""])
        write_atomic(node.home.config_path, text.encode())

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        self.wait_linked()

    def wait_linked(self) -> None:
        others = len(self.nodes) - 1
        for node in self.nodes:
            wait_until(lambda node=node: node.count_connected() >= others, f"{node.log_path}")

    def wait_equal(self) -> None:
        """Until all nodes stand at one position, and its head and state are the same."""
        wait_until(lambda: len(set(map(read_place, self.nodes))) == 1, "one position and head")

    def check_alive(self, pids: Sequence[int]) -> None:
        """The same processes as before, and they order: a transfer reaches every node."""
        assert [node.pid for node in self.nodes if node.is_running()] == list(pids)
        for number, node in enumerate(self.nodes):
            other = self.nodes[number - 1]
            node.client.transfer(other.peer_id, 1)
        self.wait_equal()

    def end(self) -> None:
        for node in self.nodes:
            node.end()


def read_place(node: RealNode) -> tuple[int, str, str]:
    status = node.client.status()
    return (status.position, status.head, status.state_root)

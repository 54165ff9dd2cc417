"""The node processes of a devnet: started, watched, killed on purpose, and ended without a rest.

Start nodes from the thread that lives as long as the devnet does (`devnet/launcher.py` says why).
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from node.config_file import ENVIRONMENT_PREFIX

STOP_S_MAX = 10.0
"""How long nodes have to end after SIGTERM, before SIGKILL."""
KILLED_S_MAX = 5.0
LOG_LINES_SHOWN = 20
_LOG_BYTES_READ = 16 * 1024
_POLL_S = 0.05


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP: the devnet ends its nodes and then itself."""


@contextlib.contextmanager
def raise_on_signals() -> Iterator[None]:
    """Raise Interrupted in the main thread on the signals that end a devnet."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted(signal.Signals(number).name)

    with _handle_signals(interrupt):
        yield


class NodeProcess:
    """One node: `command` run in a session of its own, its output appended to `log_path`."""

    def __init__(self, name: str, command: Sequence[str], log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self.exit_code: int | None = None
        self.starts = 0
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        launcher = [sys.executable, "-m", "devnet.launcher", str(os.getpid())]
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [*launcher, *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=build_environment(os.environ),
                start_new_session=True,  # Ctrl-C reaches the devnet alone, which ends its nodes
            )
        self.exit_code = None
        self.starts += 1

    def is_running(self) -> bool:
        if self._process is None:
            return False
        self.exit_code = self._process.poll()
        return self.exit_code is None

    def send(self, number: signal.Signals) -> None:
        """Signal the node's process group; one that has ended is left alone."""
        if self._process is not None and self.is_running():
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.send(signal.SIGKILL)
        if self._process is not None:
            self.exit_code = self._process.wait(KILLED_S_MAX)

    def read_log_end(self) -> str:
        """The last lines of its log, for a message to a person."""
        try:
            with open(self.log_path, "rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_BYTES_READ))
                text = log.read(_LOG_BYTES_READ).decode("utf-8", "replace")
        except OSError as error:
            return f"({error})"
        return "\n".join(text.splitlines()[-LOG_LINES_SHOWN:])


def stop_all(nodes: Sequence[NodeProcess], stop_s_max: float = STOP_S_MAX) -> list[str]:
    """End all nodes: SIGTERM, then SIGKILL after `stop_s_max` seconds or at the next Ctrl-C.

    Returns what did not go well. No signal interrupts it.
    """
    hurry: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        hurry.append(number)

    with _handle_signals(note):
        running = [node for node in nodes if node.is_running()]
        for node in running:
            node.send(signal.SIGTERM)
        deadline = time.monotonic() + stop_s_max
        while any(node.is_running() for node in running):
            if hurry or time.monotonic() > deadline:
                break
            time.sleep(_POLL_S)
        faults = []
        for node in running:
            if node.is_running():
                node.kill()
                faults.append(f"{node.name} did not end on SIGTERM and was killed")
            elif node.exit_code:
                faults.append(f"{node.name} ended with exit code {node.exit_code}")
    return faults


def build_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of a node. ECONODE_* is left out: it would set one value for all nodes,
    whose homes hold their configuration."""
    return {
        name: value
        for name, value in environment.items()
        if not name.startswith(ENVIRONMENT_PREFIX)
    }


@contextlib.contextmanager
def _handle_signals(handler: Any) -> Iterator[None]:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)

"""The node's handle on one worker: a supervisor process (`node/worker.py`) and what is under it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import trio

from identity.errors import EconodeError
from node import worker

SUPERVISOR = Path(worker.__file__)
# How long a supervisor may take to kill what is below it; then it is killed itself, and its child
# with it (PR_SET_PDEATHSIG).
KILL_GRACE_S = 5.0
# Command output that explains a failure; the rest is read and thrown away.
STDERR_BYTES_MAX = worker.DETAIL_BYTES_MAX
_REPORT_BYTES_MAX = 256
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Ended:
    """How a worker's child ended. `code` is negative for a signal, None when nobody knows."""

    code: int | None
    strays: int = 0

    def describe(self) -> str:
        if self.code is None:
            return "the worker was killed"
        if self.code < 0:
            try:
                return f"killed by {signal.Signals(-self.code).name}"
            except ValueError:
                return f"killed by signal {-self.code}"
        return f"exit code {self.code}"


class WorkerEnded(EconodeError):
    """The worker ended, or left the protocol, in the middle of a call."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.describe())
        self.ended = ended


class OutputFlood(EconodeError):
    """A command wrote more than it may."""


class WorkerProcess:
    """A running worker. Whoever starts it must `close` it; `close` is safe at any time."""

    def __init__(self, process: trio.Process, control: trio.SocketStream, folder: Path) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._process = process
        self._stdin = process.stdin
        self._stdout = process.stdout
        self._stderr = process.stderr
        self._control = control
        self.folder = folder

    @classmethod
    async def start(
        cls,
        folder: Path,
        limits: dict[str, Any],
        *,
        argv: Sequence[str] | None = None,
        sys_path: Sequence[str] = (),
    ) -> Self:
        """Start a worker in `folder`, which is made and belongs to it: Python, or `argv`.

        Raises OSError when no process can be started.
        """
        with trio.CancelScope(shield=True):  # tens of ms; a half-started worker has no owner
            folder.mkdir(mode=0o700, parents=True)
            ours, theirs = socket.socketpair()
            try:
                config = {
                    "control": theirs.fileno(),
                    "argv": None if argv is None else list(argv),
                    "sys_path": list(sys_path),
                    "limits": limits,
                }
                process = await trio.lowlevel.open_process(
                    [sys.executable, "-I", str(SUPERVISOR), json.dumps(config)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=(theirs.fileno(),),
                    cwd=folder,
                    env=environment(folder),
                    start_new_session=True,  # Ctrl-C reaches the node alone, which then stops us
                )
            except BaseException:  # whatever ends the start, nothing of it stays behind
                ours.close()
                remove_tree(folder)
                raise
            finally:
                theirs.close()
        return cls(process, trio.SocketStream(trio.socket.from_stdlib_socket(ours)), folder)

    async def call(self, target: str, data: bytes, output_bytes_max: int) -> tuple[bytes, bytes]:
        """Run the Python function `target` on `data`: the reply's status and payload.

        Raises WorkerEnded when the process dies or answers nonsense. After a cancellation the
        worker must be closed: a reply may still be under way.
        """
        name = target.encode()
        try:
            await self._stdin.send_all(worker.REQUEST_TARGET.pack(len(name)) + name)
            await self._stdin.send_all(worker.REQUEST_INPUT.pack(len(data)))
            await self._stdin.send_all(data)
            status, size = worker.REPLY.unpack(await self._read_exactly(worker.REPLY.size))
            if size > max(output_bytes_max, worker.DETAIL_BYTES_MAX):
                raise WorkerEnded(Ended(None))
            return status, await self._read_exactly(size)
        except (trio.BrokenResourceError, EOFError):
            raise WorkerEnded(await self._ended()) from None

    async def command(self, data: bytes, output_bytes_max: int) -> tuple[bytes, str, Ended]:
        """Feed `data` to the command: its output, the end of its stderr, and how it ended.

        Raises OutputFlood once more than `output_bytes_max` bytes came; then close the worker.
        """
        output, complaint = bytearray(), bytearray()
        flood = False

        async def feed() -> None:
            # A command need not read its input.
            with contextlib.suppress(trio.BrokenResourceError):
                await self._stdin.send_all(data)
            await self._stdin.aclose()

        async def listen() -> None:
            while chunk := await self._stderr.receive_some(_READ_BYTES):
                complaint.extend(chunk)
                del complaint[:-STDERR_BYTES_MAX]

        async with trio.open_nursery() as nursery:
            nursery.start_soon(feed)
            nursery.start_soon(listen)
            while chunk := await self._stdout.receive_some(_READ_BYTES):
                output.extend(chunk)
                if len(output) > output_bytes_max:
                    flood = True
                    nursery.cancel_scope.cancel()
                    break
        if flood:
            raise OutputFlood(f"more than {output_bytes_max} bytes")
        return bytes(output), complaint.decode(errors="replace"), await self._ended()

    async def _read_exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            chunk = await self._stdout.receive_some(min(size - len(data), _READ_BYTES))
            if not chunk:
                raise EOFError
            data.extend(chunk)
        return bytes(data)

    async def _ended(self) -> Ended:
        """The supervisor's report, once its child has ended."""
        line = b""
        try:
            while len(line) < _REPORT_BYTES_MAX:
                chunk = await self._control.receive_some(_REPORT_BYTES_MAX)
                if not chunk:
                    break
                line += chunk
            report = json.loads(line)
            return Ended(int(report["code"]), int(report["strays"]))
        except (trio.BrokenResourceError, ValueError):
            return Ended(None)  # the supervisor itself was killed

    async def close(self) -> None:
        """Kill everything of this worker and remove its folder. Shielded, at most some seconds."""
        with trio.CancelScope(shield=True):
            await self._control.aclose()  # the supervisor's sign to kill all
            for stream in (self._stdin, self._stdout, self._stderr):
                await stream.aclose()
            with trio.move_on_after(KILL_GRACE_S):
                await self._process.wait()
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            await trio.to_thread.run_sync(remove_tree, self.folder)

    async def empty_folder(self) -> bool:
        """Remove what a call left in the folder. False: something resists, replace the worker."""
        with trio.CancelScope(shield=True):
            if _entries(self.folder):
                await trio.to_thread.run_sync(_empty, self.folder)
        return self.folder.is_dir() and not _entries(self.folder)


def environment(folder: Path) -> dict[str, str]:
    """All that user code sees of the node's environment: no tokens, one locale and time zone."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "UTC",
    }


def remove_tree(folder: Path) -> None:
    """Remove `folder`; what resists is left for the next start."""
    _empty(folder)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _entries(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _empty(folder: Path) -> None:
    for entry in _entries(folder):
        try:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, onerror=_make_removable)
            else:
                entry.unlink()
        except OSError:
            continue  # the caller looks at what is left


def _make_removable(remove: Callable[[str], Any], path: str, _: Any) -> None:
    """A capability may have taken away our own right to enter a folder: take it back, once."""
    parent = os.path.dirname(path)
    for place in (parent, path):
        if os.path.isdir(place) and not os.path.islink(place):
            os.chmod(place, stat.S_IRWXU)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)

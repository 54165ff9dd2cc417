"""Capabilities (bytes -> bytes, the user's own code) and the executor that runs them.

A capability is a Python `module:function`, a command (input on stdin, output on stdout, exit
code 0), or the URL of the user's own HTTP service (POST body -> body). Python and commands run
in worker processes (`node/worker.py`) with limits, each in its own session and private folder;
whatever they do is an Outcome, never a fault of the node. Limits hold for each process of a
capability; an HTTP service limits itself, only its time and its output are bounded here.

A Python capability that should be verified as `exact` must not depend on the order of a set of
text: it differs from process to process.
"""

import enum
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex
from typing import Literal, get_args
from urllib.parse import urlsplit

import httpx
import trio

import node
from crdt.facts_tasks import Verification
from identity import cbor
from identity.errors import EconodeError
from node import worker
from node.worker_process import OutputFlood, WorkerEnded, WorkerProcess, remove_tree

CAPABILITY_ID_BYTES = 32
VERIFICATIONS: tuple[Verification, ...] = get_args(Verification)
PROGRESS_NAME = "progress"
"""A run may write how far it is into this file of its working folder: a number of percent."""
_PROGRESS_BYTES_MAX = 16
DETAIL_CHARS_MAX = worker.DETAIL_BYTES_MAX
# Calls that may wait for a free worker; one more is refused.
WAITING_MAX = 1024
HTTP_CONNECT_S_MAX = 10.0
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
_PYTHON_TARGET = re.compile(r"[A-Za-z_][\w.]{0,199}:[A-Za-z_]\w{0,99}", re.ASCII)
_ARGUMENTS_MAX = 64


class InvalidCapability(EconodeError):
    """A capability's description that cannot be used; the message says what is wrong."""


class ExecutorClosed(EconodeError):
    """The executor stopped before the call was done: the node is ending."""


@dataclass(frozen=True, slots=True)
class CapabilitySpec:
    """What the config says of one capability. Raises InvalidCapability.

    A command's relative path (with a slash) starts at the config's folder, and `{folder}` in
    its arguments stands for that folder: it runs in a private one.
    """

    name: str
    version: str
    kind: Literal["python", "command", "http"]
    target: str | tuple[str, ...]
    verification: Verification = "exact"
    specification: str = ""

    def __post_init__(self) -> None:
        for field, value in (("name", self.name), ("version", self.version)):
            if not _NAME.fullmatch(value):
                raise InvalidCapability(
                    f"{field} {value!r}: use 1 to 64 of a-z 0-9 . _ - and no . _ - at the ends"
                )
        if self.verification not in VERIFICATIONS:
            raise self._wrong(f"verification {self.verification!r} is none of {VERIFICATIONS}")
        if self.kind == "python":
            if not isinstance(self.target, str) or not _PYTHON_TARGET.fullmatch(self.target):
                raise self._wrong(f"{self.target!r} is not module:function")
        elif self.kind == "command":
            self._check_command()
        elif self.kind == "http":
            self._check_url()
        else:
            raise self._wrong(f"kind {self.kind!r} is none of python, command, http")

    def _wrong(self, reason: str) -> InvalidCapability:
        return InvalidCapability(f"capability {self.name}: {reason}")

    def _check_command(self) -> None:
        target = self.target
        if isinstance(target, str) or not 1 <= len(target) <= _ARGUMENTS_MAX:
            raise self._wrong(f"a command is a list of 1 to {_ARGUMENTS_MAX} texts")
        if not target[0] or any("\0" in argument for argument in target):
            raise self._wrong("a command needs a program, and no argument holds a zero byte")

    def _check_url(self) -> None:
        if not isinstance(self.target, str):
            raise self._wrong("the target of an http capability is one URL")
        try:
            parts = urlsplit(self.target)
            httpx.URL(self.target)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except (ValueError, httpx.InvalidURL):
            usable = False
        if not usable:
            raise self._wrong(f"{self.target!r} is not an http:// or https:// URL")

    @property
    def id(self) -> bytes:
        """SHA-256 over what is promised, not over how it is run: two owners may differ in that."""
        specification = hashlib.sha256(self.specification.encode()).digest()
        return hashlib.sha256(
            cbor.encode([self.name, self.version, specification, self.verification])
        ).digest()


@dataclass(frozen=True, slots=True)
class Limits:
    """What one call may use. `processes_max` counts above what the user runs already (not root)."""

    wall_s: float = 60.0
    cpu_s: int = 60
    memory_bytes: int = 512 << 20
    output_bytes_max: int = 1 << 20
    input_bytes_max: int = 64 << 20
    processes_max: int = 512
    files_max: int = 256
    file_bytes_max: int = 64 << 20

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value <= 0:
                raise InvalidCapability(f"limit {name} must be positive, it is {value}")


class Reason(enum.StrEnum):
    """Why a call has no output."""

    CRASHED = "crashed"  # it raised, exited, was killed by a signal or left processes behind
    TIMEOUT = "timeout"  # wall clock or CPU
    MEMORY = "memory"
    OUTPUT = "output"  # more than output_bytes_max
    UNREACHABLE = "unreachable"  # no such module, program or service
    REFUSED = "refused"  # unknown capability, too large an input, too many waiting, HTTP status


@dataclass(frozen=True, slots=True)
class Completed:
    output: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    reason: Reason
    detail: str

    def __post_init__(self) -> None:
        # It is user code's text, and somebody's terminal shows it.
        text = "".join(c if c.isprintable() else " " for c in self.detail[:DETAIL_CHARS_MAX])
        object.__setattr__(self, "detail", text.strip())


Outcome = Completed | Failed

_FAILURES = {
    worker.STATUS_RAISED: Reason.CRASHED,
    worker.STATUS_UNREACHABLE: Reason.UNREACHABLE,
    worker.STATUS_MEMORY: Reason.MEMORY,
    worker.STATUS_FLOOD: Reason.OUTPUT,
    worker.STATUS_STRAYS: Reason.CRASHED,
}
_SOUND = (worker.STATUS_OUTPUT, worker.STATUS_RAISED, worker.STATUS_UNREACHABLE)


class Executor:
    """Runs capabilities, at most `workers` at a time, others wait in order.

    `scratch` belongs to the executor alone: it is emptied at start. `folder` is the config's
    folder, where the user's modules and programs are found.
    """

    def __init__(
        self,
        specs: Iterable[CapabilitySpec],
        limits: Limits,
        workers: int,
        scratch: Path,
        folder: Path | None = None,
    ) -> None:
        if workers < 1:
            raise InvalidCapability(f"workers must be at least 1, it is {workers}")
        self._specs: dict[bytes, CapabilitySpec] = {}
        for spec in specs:
            if spec.id in self._specs:
                raise InvalidCapability(f"capability {spec.name} {spec.version} is named twice")
            self._specs[spec.id] = spec
        self._limits = limits
        self._workers = workers
        self._slots = trio.CapacityLimiter(workers)
        self._scratch = scratch.absolute()
        self._folder = (folder or Path.cwd()).absolute()
        self._idle: list[WorkerProcess] = []
        self._folders: dict[bytes, Path] = {}
        """Working folders of runs that go by a name."""
        self._calls: set[trio.CancelScope] = set()
        self._last_call_ended = trio.Event()
        self._client: httpx.AsyncClient | None = None  # present while `run` runs

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the workers until cancelled; then every process group is dead on return."""
        await trio.to_thread.run_sync(self._clear_scratch)
        async with httpx.AsyncClient(
            trust_env=False,  # a proxy variable must not redirect calls to the user's own service
            follow_redirects=False,
            timeout=httpx.Timeout(None, connect=HTTP_CONNECT_S_MAX),  # wall_s bounds the rest
            limits=httpx.Limits(max_keepalive_connections=0),
        ) as client:
            try:
                if any(spec.kind == "python" for spec in self._specs.values()):
                    for _ in range(self._workers):
                        self._idle.append(await self._start())
                self._client = client
                task_status.started()
                await trio.sleep_forever()
            finally:
                self._client = None
                with trio.CancelScope(shield=True):
                    await self._stop()

    async def _stop(self) -> None:
        for scope in self._calls:
            scope.cancel()
        if self._calls:
            self._last_call_ended = trio.Event()
            await self._last_call_ended.wait()
        async with trio.open_nursery() as nursery:
            for process in self._idle:
                nursery.start_soon(process.close)
        self._idle.clear()

    def _clear_scratch(self) -> None:
        self._scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._scratch.iterdir():
            remove_tree(left)

    def read_progress(self, name: bytes) -> int:
        """How far the run by this name says it is, in ppm; 0 when it says nothing readable."""
        folder = self._folders.get(name)
        if folder is None:
            return 0
        try:
            # Whatever the run put there instead of a file must neither block nor lead elsewhere.
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(folder / PROGRESS_NAME, flags)
        except OSError:
            return 0
        try:
            percent = float(os.read(descriptor, _PROGRESS_BYTES_MAX))
        except (OSError, ValueError):
            return 0
        finally:
            os.close(descriptor)
        return int(min(max(percent, 0.0), 100.0) * 10_000) if percent == percent else 0

    async def execute(
        self, capability_id: bytes, data: bytes, name: bytes | None = None
    ) -> Outcome:
        """Run one capability on `data` when a worker is free. The wait does not count as time.
        While it runs, `name` finds its progress.

        Cancelling kills the run. Raises ExecutorClosed when `run` does not run (any more).
        """
        spec = self._specs.get(capability_id)
        if spec is None:
            return Failed(Reason.REFUSED, f"no capability {capability_id.hex()[:64]} here")
        if len(data) > self._limits.input_bytes_max:
            return Failed(
                Reason.REFUSED,
                f"input of {len(data)} bytes, at most {self._limits.input_bytes_max}",
            )
        if self._slots.statistics().tasks_waiting >= WAITING_MAX:
            return Failed(Reason.REFUSED, f"{WAITING_MAX} calls are waiting already")
        if self._client is None:
            raise ExecutorClosed("the executor is not running")
        scope = trio.CancelScope()
        self._calls.add(scope)
        try:
            with scope:
                async with self._slots:
                    return await self._execute_in_time(spec, data, self._client, name)
        finally:
            self._folders.pop(name or b"", None)
            self._calls.remove(scope)
            if not self._calls:
                self._last_call_ended.set()
        raise ExecutorClosed("the executor stopped during the call")

    async def _execute_in_time(
        self, spec: CapabilitySpec, data: bytes, client: httpx.AsyncClient, name: bytes | None
    ) -> Outcome:
        with trio.move_on_after(self._limits.wall_s):
            try:
                if isinstance(spec.target, tuple):
                    return await self._run_command(spec.target, data, name)
                if spec.kind == "python":
                    return await self._run_python(spec.target, data, name)
                return await self._run_http(client, spec.target, data)
            except OSError as error:  # no process could be started: files, memory, a bad program
                return Failed(Reason.UNREACHABLE, f"cannot start: {error}")
        return Failed(Reason.TIMEOUT, f"longer than {self._limits.wall_s} s")

    async def _start(self, argv: Sequence[str] | None = None) -> WorkerProcess:
        project = str(Path(node.__file__).parent.parent)
        return await WorkerProcess.start(
            self._scratch / token_hex(8),
            asdict(self._limits),
            argv=argv,
            sys_path=(project, str(self._folder)),
        )

    def _note_folder(self, process: WorkerProcess, name: bytes | None) -> None:
        if name is not None:
            self._folders[name] = process.folder

    async def _run_python(self, target: str, data: bytes, name: bytes | None) -> Outcome:
        process = self._idle.pop() if self._idle else await self._start()
        self._note_folder(process, name)
        sound = False
        try:
            status, payload = await process.call(target, data, self._limits.output_bytes_max)
            if status in _SOUND:
                sound = await process.empty_folder()
        except WorkerEnded as error:
            return self._ended(error.ended.code, error.ended.describe())
        finally:
            if sound and self._client is not None:
                self._idle.append(process)
            else:
                await process.close()
        if status == worker.STATUS_OUTPUT:
            return Completed(payload)
        reason = _FAILURES.get(status, Reason.CRASHED)
        return Failed(reason, payload.decode(errors="replace"))

    async def _run_command(
        self, target: tuple[str, ...], data: bytes, name: bytes | None
    ) -> Outcome:
        program, *arguments = target
        if "/" in program:
            program = str(self._folder / program)
        if shutil.which(program) is None:
            return Failed(Reason.UNREACHABLE, f"no program {program}")
        arguments = [argument.replace("{folder}", str(self._folder)) for argument in arguments]
        process = await self._start([program, *arguments])
        self._note_folder(process, name)
        try:
            output, complaint, ended = await process.command(data, self._limits.output_bytes_max)
        except OutputFlood as error:
            return Failed(Reason.OUTPUT, str(error))
        finally:
            await process.close()
        if ended.code != 0:
            return self._ended(ended.code, f"{ended.describe()} {complaint[-512:]}")
        if ended.strays:
            return Failed(Reason.CRASHED, "left a child process running")
        return Completed(output)

    def _ended(self, code: int | None, detail: str) -> Failed:
        if code == -worker.CPU_SIGNAL:
            return Failed(Reason.TIMEOUT, f"used more than {self._limits.cpu_s} s of CPU")
        return Failed(Reason.CRASHED, detail)

    async def _run_http(self, client: httpx.AsyncClient, url: str, data: bytes) -> Outcome:
        output = bytearray()
        headers = {"accept-encoding": "identity", "content-type": "application/octet-stream"}
        try:
            async with client.stream("POST", url, content=data, headers=headers) as response:
                if not response.is_success:
                    return Failed(Reason.REFUSED, f"the service answered {response.status_code}")
                if response.headers.get("content-encoding", "identity") != "identity":
                    return Failed(Reason.REFUSED, "the service compressed its answer")
                with trio.CancelScope() as enough:
                    async for chunk in response.aiter_raw():
                        output.extend(chunk)
                        if len(output) > self._limits.output_bytes_max:
                            # Leaving the loop would strand httpx's inner generators; a cancelled
                            # read unwinds them.
                            enough.cancel()
                if enough.cancelled_caught:
                    return Failed(Reason.OUTPUT, f"more than {self._limits.output_bytes_max} bytes")
        except httpx.TimeoutException as error:
            return Failed(Reason.TIMEOUT, f"{type(error).__name__}: {error}")
        except httpx.TransportError as error:
            return Failed(Reason.UNREACHABLE, f"{type(error).__name__}: {error}")
        return Completed(bytes(output))

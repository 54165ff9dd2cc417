"""The child side of a capability: a supervisor, and under it the process that runs user code.

Started by `node/worker_process.py` as `python -I worker.py CONFIG`; it imports only the standard
library, so it is up in some 20 ms and runs whatever the user's module does to the environment.

The supervisor is single-threaded and forks once. Its child is a session of its own with resource
limits; it either becomes the user's command (stdin and stdout are the capability's) or serves
Python calls over the two pipes, one at a time. The supervisor waits for the end of its child or
for the end of `control`, a socket whose other side only the node holds: when the node closes it,
or dies in whatever way, everything below the supervisor is killed. It adopts orphans
(PR_SET_CHILD_SUBREAPER), so a daemon that changed its session is found too. PR_SET_PDEATHSIG
alone would not do: it follows the *thread* that forked, and trio starts processes in a thread
that ends; nor would it reach grandchildren.

CONFIG (JSON): control (file descriptor), argv (null: serve Python), sys_path, limits
(memory_bytes, cpu_s, files_max, file_bytes_max, processes_max, output_bytes_max, input_bytes_max).
When the child has ended one JSON line goes out on `control`:
{"code": exit code, negative for a signal, "strays": processes that outlived it}.

A Python request is  u16 length, "module:function", u64 length, input.
A reply is           u8 status, u32 length, output (status `o`) or a reason in UTF-8.
"""

import contextlib
import ctypes
import importlib
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

STATUS_OUTPUT = b"o"  # the call returned bytes
STATUS_RAISED = b"x"  # the call raised; the process is sound and stays
STATUS_UNREACHABLE = b"u"  # no such module or function
STATUS_MEMORY = b"m"  # these and below: the process is to be replaced
STATUS_FLOOD = b"f"
STATUS_STRAYS = b"s"

REQUEST_TARGET = struct.Struct(">H")
REQUEST_INPUT = struct.Struct(">Q")
REPLY = struct.Struct(">cI")

DETAIL_BYTES_MAX = 1024
CPU_SIGNAL = signal.SIGXCPU
# A helper process that ends together with its parent may be some milliseconds late.
STRAY_GRACE_S = 0.25
_STRAY_STEP_S = 0.005
_EXEC_FAILED = 127
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> None:
    """Linux only; elsewhere the process group alone is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


# --- the supervisor -------------------------------------------------------------------------


def supervise(config: dict[str, Any]) -> None:
    """Fork the child, wait for its end or the node's, kill what is left, report."""
    control = config["control"]
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    supervisor = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(control)
        _become_child(config, supervisor)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # the child's ends must be the only ones, for EOF to mean its end
        os.dup2(null, descriptor)
    status = _wait(child, control)
    strays = 0
    if status is not None:
        strays = stray_count(STRAY_GRACE_S)
    _kill_all(child)
    if status is not None:
        report = {"code": os.waitstatus_to_exitcode(status), "strays": strays}
        with contextlib.suppress(OSError):  # the node is gone: nobody is left to tell
            os.write(control, json.dumps(report).encode() + b"\n")


def _wait(child: int, control: int) -> int | None:
    """The child's wait status, or None when the node closed `control` first."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid == child:
            return status
        ready, _, _ = select.select([control, wake_read], [], [])
        if control in ready:
            return None
        os.read(wake_read, 4096)


def stray_count(grace_s: float) -> int:
    """How many direct or adopted children still live after `grace_s`. Reaps the dead."""
    deadline_s = time.monotonic() + grace_s
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 0
        if pid == 0:
            if time.monotonic() >= deadline_s:
                return max(1, len(_children()))
            time.sleep(_STRAY_STEP_S)


def _kill_all(child: int) -> None:
    """Kill the child's process group, then whoever the supervisor inherits, until none is left.

    A kill of a group is atomic against fork. Each round kills all direct children, and the next
    one finds what they leave behind.
    """
    # Nobody may be left in the group, or (before the child's setsid) it may not exist yet.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)
    while True:
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> list[int]:
    """The process ids of this process's children (Linux; empty where /proc is absent)."""
    me = os.getpid()
    found: list[int] = []
    try:
        entries = os.listdir("/proc")
    except OSError:
        return found
    for entry in entries:
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    # The name stands in parentheses and may hold anything, also ")".
                    fields = file.read().rpartition(b")")[2].split()
            except OSError:
                continue  # it ended meanwhile
            if int(fields[1]) == me:
                found.append(int(entry))
    return found


# --- the child ------------------------------------------------------------------------------


def _become_child(config: dict[str, Any], supervisor: int) -> NoReturn:
    """Own session, limits, then the command or the Python server. Never returns."""
    try:
        os.setsid()
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != supervisor:
            os._exit(1)
        limits = config["limits"]
        _set_limits(limits)
        argv = config["argv"]
        if argv is None:
            # sys.path ends with the user's folders: a file of theirs named like a dependency's
            # must not replace it.
            sys.path.extend(path for path in config["sys_path"] if path not in sys.path)
            _prctl(_PR_SET_CHILD_SUBREAPER, 1)
            _limit_address_space(limits["memory_bytes"])
            serve(limits)
            os._exit(0)
        # Only writable private memory counts for a command: several runtimes (V8, JVM, Go) reserve
        # far more address space than they use.
        _lower(resource.RLIMIT_DATA, limits["memory_bytes"])
        _limit_cpu(limits["cpu_s"])
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python's choice, not the command's
            signal.signal(ignored, signal.SIG_DFL)
        os.execvp(argv[0], argv)
    except BaseException as error:  # a forked process must never run on into its parent's code
        os.write(2, f"{type(error).__name__}: {error}".encode()[:DETAIL_BYTES_MAX])
    finally:
        os._exit(_EXEC_FAILED)


def _lower(kind: int, value: int) -> None:
    """Set both limits to `value`, or to the present hard limit where that is lower."""
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(kind, (value, value))


def _set_limits(limits: dict[str, Any]) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, limits["files_max"])
    _lower(resource.RLIMIT_FSIZE, limits["file_bytes_max"])
    # The kernel counts all threads of the user, so the limit lies above today's number; it does
    # not bind root. It stops a fork bomb; the time limit ends it.
    _lower(resource.RLIMIT_NPROC, _threads_of_user() + limits["processes_max"])


def _threads_of_user() -> int:
    user, count = os.getuid(), 0
    if not os.path.isdir("/proc"):
        return 0
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                if os.stat(f"/proc/{entry}").st_uid == user:
                    count += len(os.listdir(f"/proc/{entry}/task"))
            except OSError:
                continue  # it ended meanwhile
    return count


def _limit_address_space(memory_bytes: int) -> None:
    """RLIMIT_AS at what the interpreter already maps plus `memory_bytes`."""
    try:
        with open("/proc/self/statm") as file:
            baseline = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        baseline = 0
    _lower(resource.RLIMIT_AS, baseline + memory_bytes)


def _limit_cpu(cpu_s: int) -> None:
    """A fresh CPU budget: the soft limit is moved to what is used so far plus `cpu_s`."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime) + 1 + cpu_s
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard != resource.RLIM_INFINITY:
        soft = min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


# --- Python capabilities --------------------------------------------------------------------


def serve(limits: dict[str, Any]) -> None:
    """Answer requests until the node closes the pipe. User code sees /dev/null as 0, 1 and 2."""
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    folder = os.getcwd()
    functions: dict[str, Callable[[bytes], Any]] = {}
    while (request := _read_request(requests, limits["input_bytes_max"])) is not None:
        target, data = request
        os.chdir(folder)
        _limit_cpu(limits["cpu_s"])
        status, payload = _call(functions, target, data, limits["output_bytes_max"])
        del data, request
        if stray_count(STRAY_GRACE_S):
            status, payload = STATUS_STRAYS, b"left a child process running"
        _write_all(replies, REPLY.pack(status, len(payload)))
        _write_all(replies, payload)


def _call(
    functions: dict[str, Callable[[bytes], Any]], target: str, data: bytes, output_bytes_max: int
) -> tuple[bytes, bytes]:
    try:
        if target not in functions:
            module, _, name = target.partition(":")
            function = getattr(importlib.import_module(module), name)
            if not callable(function):
                raise TypeError(f"{target} is not callable")
            functions[target] = function
    except MemoryError:
        return STATUS_MEMORY, b"out of memory while importing"
    except BaseException as error:  # importing runs user code, which may raise anything
        return STATUS_UNREACHABLE, _describe(error)
    try:
        output = functions[target](data)
    except MemoryError:
        return STATUS_MEMORY, b"out of memory"
    except BaseException as error:  # user code may raise anything, SystemExit too
        return STATUS_RAISED, _describe(error)
    if not isinstance(output, bytes | bytearray | memoryview):
        return STATUS_RAISED, f"returned {type(output).__name__}, not bytes".encode()
    if memoryview(output).nbytes > output_bytes_max:
        size = memoryview(output).nbytes
        return STATUS_FLOOD, f"{size} bytes, at most {output_bytes_max} are allowed".encode()
    return STATUS_OUTPUT, bytes(output)


def _describe(error: BaseException) -> bytes:
    """Type, message and the innermost line, bounded."""
    try:
        text = str(error)[:DETAIL_BYTES_MAX]
    except Exception:  # a user's __str__ may raise anything
        text = "(its message cannot be shown)"
    where, trace = "", error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        where = f" ({os.path.basename(code.co_filename)}:{trace.tb_lineno})"
        trace = trace.tb_next
    text = f"{type(error).__name__}: {text[: DETAIL_BYTES_MAX // 2]}{where}"
    return text.encode(errors="replace")[:DETAIL_BYTES_MAX]


def _read_request(descriptor: int, input_bytes_max: int) -> tuple[str, bytes] | None:
    head = _read_exactly(descriptor, REQUEST_TARGET.size)
    if head is None:
        return None
    target = _read_exactly(descriptor, REQUEST_TARGET.unpack(head)[0])
    size = _read_exactly(descriptor, REQUEST_INPUT.size)
    if target is None or size is None or REQUEST_INPUT.unpack(size)[0] > input_bytes_max:
        return None
    data = _read_exactly(descriptor, REQUEST_INPUT.unpack(size)[0])
    return None if data is None else (target.decode(), data)


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    """`size` bytes, or None at the end of the pipe."""
    parts: list[bytes] = []
    while size:
        part = os.read(descriptor, min(size, 1 << 20))
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    supervise(json.loads(sys.argv[1]))

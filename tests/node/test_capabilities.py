"""Every way a capability can go wrong is an Outcome, shown with real processes."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from node import file_stats
from node.capabilities import (
    CapabilitySpec,
    Completed,
    Executor,
    ExecutorClosed,
    Failed,
    InvalidCapability,
    Limits,
    Reason,
)

HERE = Path(__file__).parent
PROJECT = HERE.parent.parent
LIMITS = Limits(wall_s=30.0, cpu_s=20, memory_bytes=256 << 20, output_bytes_max=1 << 20)


def python(function: str) -> CapabilitySpec:
    return CapabilitySpec(function.replace("_", "-"), "1", "python", f"misbehaving:{function}")


def command(*argv: str) -> CapabilitySpec:
    return CapabilitySpec("cmd", "1", "command", argv)


@asynccontextmanager
async def running(
    scratch: Path, *specs: CapabilitySpec, limits: Limits = LIMITS, workers: int = 1
) -> AsyncIterator[Executor]:
    executor = Executor(specs, limits, workers, scratch, folder=HERE)
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: executor.run(task_status=task_status))
        yield executor
        nursery.cancel_scope.cancel()
    assert list(scratch.iterdir()) == []


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(30):
        while not condition():
            await trio.sleep(0.01)


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def pids(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def test_python_capability_runs_and_its_worker_stays_warm(tmp_path: Path) -> None:
    upper, count = python("upper"), python("count_calls")
    async with running(tmp_path, upper, count) as executor:
        assert await executor.execute(upper.id, b"abc") == Completed(b"ABC")
        assert await executor.execute(upper.id, b"") == Completed(b"")
        large = os.urandom(3 << 20)
        assert isinstance(await executor.execute(count.id, large), Completed)
        first = await executor.execute(count.id, b"")
        second = await executor.execute(count.id, b"")
    assert isinstance(first, Completed)
    assert isinstance(second, Completed)
    assert first.output.split()[0] == second.output.split()[0]
    assert second.output.split()[1] == b"3"


async def test_default_capability_runs_in_a_worker(tmp_path: Path) -> None:
    spec = CapabilitySpec("file-stats", "1", "python", file_stats.TARGET)
    data = Path(__file__).read_bytes()
    async with running(tmp_path, spec) as executor:
        assert await executor.execute(spec.id, data) == Completed(file_stats.stats(data))


@pytest.mark.parametrize(
    ("function", "reason", "detail"),
    [
        ("raises", Reason.CRASHED, "ValueError: no [31m luck xxx"),
        ("exits_politely", Reason.CRASHED, "SystemExit: 3"),
        ("returns_text", Reason.CRASHED, "returned str"),
        ("exits", Reason.CRASHED, "exit code 7"),
        ("segfaults", Reason.CRASHED, "SIGSEGV"),
        ("floods_output", Reason.OUTPUT, "2097152"),
        ("eats_memory", Reason.MEMORY, "out of memory"),
        ("leaves_child", Reason.CRASHED, "child process"),
        ("absent", Reason.UNREACHABLE, "AttributeError"),
        ("fills_disk", Reason.CRASHED, "File too large"),
    ],
)
async def test_failures_are_outcomes_and_the_next_call_works(
    tmp_path: Path, function: str, reason: Reason, detail: str
) -> None:
    bad, upper = python(function), python("upper")
    limits = Limits(wall_s=30, cpu_s=20, memory_bytes=256 << 20, file_bytes_max=1 << 20)
    async with running(tmp_path, bad, upper, limits=limits) as executor:
        outcome = await executor.execute(bad.id, b"")
        assert isinstance(outcome, Failed)
        assert outcome.reason is reason
        assert detail in outcome.detail
        assert len(outcome.detail) <= 1024
        assert outcome.detail.isprintable()
        assert await executor.execute(upper.id, b"next") == Completed(b"NEXT")


async def test_a_hanging_call_is_killed_with_its_daemon(tmp_path: Path) -> None:
    bad, upper = python("daemonises_then_hangs"), python("upper")
    notes = tmp_path / "pids"
    async with running(tmp_path / "scratch", bad, upper, limits=Limits(wall_s=1.0)) as executor:
        outcome = await executor.execute(bad.id, str(notes).encode())
        assert outcome == Failed(Reason.TIMEOUT, "longer than 1.0 s")
        assert len(pids(notes)) == 2
        assert all(gone(pid) for pid in pids(notes))
        assert await executor.execute(upper.id, b"next") == Completed(b"NEXT")


async def test_a_tree_of_processes_in_many_sessions_is_killed(tmp_path: Path) -> None:
    bad, notes = python("forks_a_tree"), tmp_path / "pids"
    async with running(tmp_path / "scratch", bad) as executor, trio.open_nursery() as nursery:
        nursery.start_soon(executor.execute, bad.id, str(notes).encode())
        await until(lambda: len(pids(notes)) == 64)
        nursery.cancel_scope.cancel()
    assert all(gone(pid) for pid in pids(notes))


async def test_a_call_that_kills_its_supervisor_ends_with_it(tmp_path: Path) -> None:
    bad, upper = python("kills_its_supervisor"), python("upper")
    async with running(tmp_path, bad, upper) as executor:
        outcome = await executor.execute(bad.id, b"")
        assert outcome == Failed(Reason.CRASHED, "the worker was killed")
        assert await executor.execute(upper.id, b"next") == Completed(b"NEXT")


async def test_cpu_time_is_bounded_and_fresh_for_each_call(tmp_path: Path) -> None:
    burns, upper = python("burns"), python("upper")
    async with running(tmp_path, burns, upper, limits=Limits(cpu_s=1)) as executor:
        outcome = await executor.execute(burns.id, b"")
        assert outcome == Failed(Reason.TIMEOUT, "used more than 1 s of CPU")
        assert await executor.execute(upper.id, b"next") == Completed(b"NEXT")


async def test_prints_cannot_reach_the_protocol(tmp_path: Path) -> None:
    spec = python("floods_prints")
    async with running(tmp_path, spec) as executor:
        assert await executor.execute(spec.id, b"") == Completed(b"quiet")


async def test_a_call_sees_a_private_empty_folder_and_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hush")
    spec = python("sees")
    async with running(tmp_path, spec) as executor:
        first = await executor.execute(spec.id, b"")
        assert isinstance(first, Completed), first
        (folder,) = tmp_path.iterdir()
        assert list(folder.iterdir()) == []
        assert await executor.execute(spec.id, b"") == first
    text = first.output.decode()
    assert "SECRET_TOKEN" not in text
    assert text.count(str(folder)) == 2


async def test_cancelling_a_call_kills_it(tmp_path: Path) -> None:
    bad, upper = python("daemonises_then_hangs"), python("upper")
    notes = tmp_path / "pids"
    async with running(tmp_path / "scratch", bad, upper) as executor:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(executor.execute, bad.id, str(notes).encode())
            await until(lambda: len(pids(notes)) == 2)
            nursery.cancel_scope.cancel()
        assert all(gone(pid) for pid in pids(notes))
        assert await executor.execute(upper.id, b"next") == Completed(b"NEXT")


async def test_stopping_the_executor_kills_running_calls(tmp_path: Path) -> None:
    bad = python("daemonises_then_hangs")
    notes = tmp_path / "pids"
    executor = Executor([bad], LIMITS, 1, tmp_path / "scratch", folder=HERE)

    async def call() -> None:
        with pytest.raises(ExecutorClosed):
            await executor.execute(bad.id, str(notes).encode())

    async with trio.open_nursery() as callers, trio.open_nursery() as owner:
        await owner.start(lambda task_status: executor.run(task_status=task_status))
        callers.start_soon(call)
        await until(lambda: len(pids(notes)) == 2)
        owner.cancel_scope.cancel()
    assert all(gone(pid) for pid in pids(notes))
    with pytest.raises(ExecutorClosed):
        await executor.execute(bad.id, b"")


NODE = """
import sys, trio
from pathlib import Path
from node.capabilities import CapabilitySpec, Executor, Limits
async def main():
    python = CapabilitySpec("a", "1", "python", "misbehaving:daemonises_then_hangs")
    shell = CapabilitySpec("b", "1", "command", ("sh", "-c", "echo $$ >> $(cat); sleep 1000"))
    executor = Executor([python, shell], Limits(), 2, Path(sys.argv[1]), folder=Path(sys.argv[2]))
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: executor.run(task_status=task_status))
        for spec in (python, shell):
            nursery.start_soon(executor.execute, spec.id, sys.argv[3].encode())
trio.run(main)
"""


async def test_nothing_survives_a_killed_node(tmp_path: Path) -> None:
    notes = tmp_path / "pids"
    argv = [sys.executable, "-c", NODE, str(tmp_path / "scratch"), str(HERE), str(notes)]
    process = await trio.lowlevel.open_process(argv, cwd=PROJECT)
    try:
        await until(lambda: len(pids(notes)) == 3)
        assert not any(gone(pid) for pid in pids(notes))
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await until(lambda: all(gone(pid) for pid in pids(notes)))
    upper = python("upper")
    async with running(tmp_path / "scratch", upper) as executor:  # what it left is cleared
        assert await executor.execute(upper.id, b"next") == Completed(b"NEXT")


async def test_calls_run_side_by_side_up_to_the_number_of_workers(tmp_path: Path) -> None:
    spec = python("count_calls")
    seen: list[bytes] = []
    async with running(tmp_path, spec, workers=2) as executor:

        async def call() -> None:
            outcome = await executor.execute(spec.id, b"")
            assert isinstance(outcome, Completed)
            seen.append(outcome.output.split()[0])

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(call)
    assert len(seen) == 20
    assert len(set(seen)) == 2


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (("cat",), Completed(b"input")),
        (("sh", "-c", "printf %s ok"), Completed(b"ok")),
        (("sh", "-c", "cat {folder}/misbehaving.py | head -c 3"), Completed(b'"""')),
        (("sh", "-c", "echo why >&2; exit 3"), Failed(Reason.CRASHED, "exit code 3 why")),
        (("sh", "-c", "kill -9 $$"), Failed(Reason.CRASHED, "killed by SIGKILL")),
        (("yes",), Failed(Reason.OUTPUT, "more than 1048576 bytes")),
        (("no-such-program",), Failed(Reason.UNREACHABLE, "no program no-such-program")),
        (("sh", "-c", "sleep 1000 &"), Failed(Reason.CRASHED, "left a child process running")),
        (
            ("sh", "-c", "setsid sleep 1000 >&- 2>&- &"),
            Failed(Reason.CRASHED, "left a child process running"),
        ),
    ],
)
async def test_commands(tmp_path: Path, argv: tuple[str, ...], expected: object) -> None:
    spec = command(*argv)
    async with running(tmp_path, spec) as executor:
        assert await executor.execute(spec.id, b"input") == expected
        assert await executor.execute(spec.id, b"input") == expected


async def test_a_command_is_bound_in_time_cpu_and_memory(tmp_path: Path) -> None:
    limits = Limits(wall_s=1.0, cpu_s=20, memory_bytes=256 << 20)
    sleeps = command("sleep", "1000")
    async with running(tmp_path, sleeps, limits=limits) as executor:
        outcome = await executor.execute(sleeps.id, b"")
        assert outcome == Failed(Reason.TIMEOUT, "longer than 1.0 s")
    eats = command(sys.executable, "-c", "bytearray(1 << 30)")
    async with running(tmp_path, eats) as executor:
        outcome = await executor.execute(eats.id, b"")
        assert isinstance(outcome, Failed)
        assert "MemoryError" in outcome.detail
    burns = command(sys.executable, "-c", "while True: pass")
    async with running(tmp_path, burns, limits=Limits(cpu_s=1)) as executor:
        outcome = await executor.execute(burns.id, b"")
        assert outcome == Failed(Reason.TIMEOUT, "used more than 1 s of CPU")


async def test_large_input_and_output_flow_through_a_command(tmp_path: Path) -> None:
    spec, data = command("cat"), os.urandom(5 << 20)
    async with running(tmp_path, spec, limits=Limits(output_bytes_max=5 << 20)) as executor:
        assert await executor.execute(spec.id, data) == Completed(data)


async def test_the_example_service_is_a_capability(tmp_path: Path) -> None:
    service = await trio.lowlevel.open_process(
        [sys.executable, str(PROJECT / "docs/examples/word_service.py"), "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert service.stdout is not None
    try:
        url = (await service.stdout.receive_some(200)).decode().strip()
        spec = CapabilitySpec("words", "1", "http", url)
        async with running(tmp_path, spec) as executor:
            assert await executor.execute(spec.id, b"one two  three") == Completed(b'{"words": 3}')
            service.kill()
            await service.wait()
            outcome = await executor.execute(spec.id, b"one")
            assert isinstance(outcome, Failed)
            assert outcome.reason is Reason.UNREACHABLE
    finally:
        service.kill()
        await service.wait()
        await service.stdout.aclose()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", Reason.REFUSED),
        (b"HTTP/1.1 302 Go\r\nlocation: http://x/\r\ncontent-length: 0\r\n\r\n", Reason.REFUSED),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (2 << 20), Reason.OUTPUT),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nx", Reason.UNREACHABLE),
        (b"nonsense\r\n\r\n", Reason.UNREACHABLE),
        (None, Reason.TIMEOUT),
    ],
)
async def test_a_service_that_misbehaves(
    tmp_path: Path, answer: bytes | None, reason: Reason
) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some(65536)
            if answer is None:
                await trio.sleep_forever()
            try:
                await stream.send_all(answer)
            except trio.BrokenResourceError:
                return  # the executor has seen enough

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(
            lambda task_status: trio.serve_tcp(serve, 0, host="127.0.0.1", task_status=task_status)
        )
        port = listener.socket.getsockname()[1]
        spec = CapabilitySpec("svc", "1", "http", f"http://127.0.0.1:{port}/")
        async with running(tmp_path, spec, limits=Limits(wall_s=2.0)) as executor:
            outcome = await executor.execute(spec.id, b"x")
        assert isinstance(outcome, Failed)
        assert outcome.reason is reason
        nursery.cancel_scope.cancel()


async def test_what_is_refused_before_anything_runs(tmp_path: Path) -> None:
    spec = python("upper")
    async with running(tmp_path, spec, limits=Limits(input_bytes_max=3)) as executor:
        unknown = await executor.execute(bytes(32), b"")
        large = await executor.execute(spec.id, b"four")
    assert isinstance(unknown, Failed)
    assert isinstance(large, Failed)
    assert unknown.reason is large.reason is Reason.REFUSED


def test_the_id_is_what_is_promised_and_not_how_it_runs() -> None:
    spec = CapabilitySpec("words", "1", "python", "m:f", specification="text")
    same = CapabilitySpec("words", "1", "http", "http://h/", specification="text")
    others = [
        CapabilitySpec("words", "2", "python", "m:f", specification="text"),
        CapabilitySpec("word", "1", "python", "m:f", specification="text"),
        CapabilitySpec("words", "1", "python", "m:f", "judged", "text"),
        CapabilitySpec("words", "1", "python", "m:f", specification="other"),
    ]
    assert spec.id == same.id
    assert len(spec.id) == 32
    assert len({spec.id, *(other.id for other in others)}) == 5


@pytest.mark.parametrize(
    "make",
    [
        lambda: CapabilitySpec("Words", "1", "python", "m:f"),
        lambda: CapabilitySpec("words", "", "python", "m:f"),
        lambda: CapabilitySpec("words", "1", "python", "m"),
        lambda: CapabilitySpec("words", "1", "python", ("m:f",)),
        lambda: CapabilitySpec("words", "1", "command", ()),
        lambda: CapabilitySpec("words", "1", "command", "ls"),
        lambda: CapabilitySpec("words", "1", "http", "file:///etc/passwd"),
        lambda: CapabilitySpec("words", "1", "http", "http://"),
        lambda: CapabilitySpec("words", "1", "http", "http://host:99999/"),
        lambda: CapabilitySpec("words", "1", "python", "m:f", "trusted"),
        lambda: CapabilitySpec("words", "1", "shell", "ls"),  # type: ignore[arg-type]
        lambda: Limits(wall_s=0),
        lambda: Executor([], Limits(), 0, Path()),
        lambda: Executor([python("upper"), python("upper")], Limits(), 1, Path()),
    ],
)
def test_a_wrong_description_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidCapability):
        make()

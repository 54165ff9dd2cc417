"""One search for winners in a worker process: limits on memory, CPU and time, killed at the end."""

from pathlib import Path
from secrets import token_hex

import trio

import node
from identity import schema
from identity.errors import EconodeError, InvalidBytes
from node import worker
from node.solver_job import FOUND_BYTES_MAX, Found, Job
from node.worker_process import WorkerEnded, WorkerProcess

WALL_S_MAX = 120.0
MEMORY_BYTES_MAX = 2 * 1024**3
"""Address space: OR-Tools maps far more than the 150 MB that it uses."""
_TARGET = "node.solver_job:solve"


class SolverFailed(EconodeError):
    """The worker died, took too long or answered nonsense."""


async def solve_apart(job: Job, scratch: Path) -> Found:
    """Run the job in a process of its own, with its folder below `scratch`.

    A cancellation kills it. Raises SolverFailed.
    """
    process = await WorkerProcess.start(
        scratch / token_hex(8),
        {
            "memory_bytes": MEMORY_BYTES_MAX,
            "cpu_s": int(WALL_S_MAX),
            "files_max": 256,
            "file_bytes_max": 0,
            "processes_max": 64,
            "output_bytes_max": FOUND_BYTES_MAX,
            "input_bytes_max": 16 * 1024 * 1024,
        },
        sys_path=(str(Path(node.__file__).parent.parent),),
    )
    try:
        with trio.fail_after(WALL_S_MAX):
            status, payload = await process.call(_TARGET, schema.encode(job), FOUND_BYTES_MAX)
    except (WorkerEnded, trio.TooSlowError) as error:
        raise SolverFailed(str(error) or f"longer than {WALL_S_MAX} s") from None
    finally:
        await process.close()
    if status != worker.STATUS_OUTPUT:
        raise SolverFailed(payload.decode(errors="replace"))
    try:
        return schema.decode(payload, Found, size_max=FOUND_BYTES_MAX)
    except InvalidBytes as error:
        raise SolverFailed(str(error)) from None

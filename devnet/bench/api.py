"""How fast a node's local API answers reads when its ledger holds many tasks.

A real node process serves a ledger that `api_home.make_home` wrote. One client asks each route in
turn over one connection; the time is that of the whole request, seen by the client.
"""

import http.client
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from devnet.bench.api_home import make_home
from devnet.bench.report import Recorder, Report
from devnet.processes import NodeProcess, stop_all
from node.client import NodeClient, connect
from node.home import Home
from node.problem import Problem

START_S_MAX = 600.0
"""A node executes the batches behind its newest state again when it starts."""
POLL_S = 0.1
ANSWER_S_MAX = 60.0


def measure_api(
    tasks: int,
    repetitions: int,
    directory: Path | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Milliseconds of each read with `tasks` settled tasks in the ledger. Raises Problem when the
    node does not start or refuses a request."""
    recorder = Recorder("api", {"tasks": tasks, "requests of each": repetitions})
    with tempfile.TemporaryDirectory(prefix="econode-bench-", dir=directory) as folder:
        home = make_home(Path(folder), tasks, progress)
        command = [sys.executable, "-m", "node.cli", "start", "--home", str(home.path)]
        process = NodeProcess("node", command, home.path / "log")
        try:
            process.start()
            with _wait_answer(home) as client:
                progress("the node answers")
                for name, path in _list_reads(client):
                    times = _time_reads(home, client, path, repetitions)
                    _add(recorder, name, times)
        finally:
            stop_all([process])
    return recorder.finish()


def _wait_answer(home: Home) -> NodeClient:
    deadline = time.monotonic() + START_S_MAX
    while True:
        try:
            return connect(home)
        except Problem:
            if time.monotonic() > deadline:
                raise
        time.sleep(POLL_S)


def _list_reads(client: NodeClient) -> list[tuple[str, str]]:
    """Name and path of each read, about the middle task by id."""
    page = client.tasks(limit=500)
    task, peer = page.tasks[len(page.tasks) // 2].id, client.status().peer_id
    middle = client.status().position // 2
    return [
        ("status", "/v1/status"),
        ("task list, 100", "/v1/tasks?limit=100"),
        ("task list, 100 settled", "/v1/tasks?limit=100&state=settled"),
        ("task list, a later page", f"/v1/tasks?limit=100&cursor={task}"),
        ("task list, 20", "/v1/tasks?limit=20"),
        ("task show, whole id", f"/v1/tasks/{task}"),
        ("task show, 8 digits", f"/v1/tasks/{task[:8]}"),
        ("task proof", f"/v1/tasks/{task}?proof=1"),
        ("facts, 1 entry", f"/v1/facts?from={middle}&limit=1"),
        ("facts, 20 entries", f"/v1/facts?from={middle}&limit=20"),
        ("stake of one", f"/v1/stake?account={peer}"),
        ("stake of all", "/v1/stake"),
        ("stake facts, 20", f"/v1/stake/facts?account={peer}&limit=20"),
        ("stake proof", f"/v1/stake?account={peer}&proof=1"),
        ("members", "/v1/members"),
        ("members proof", "/v1/members?proof=1"),
        ("peers", "/v1/peers"),
        ("reputation", "/v1/reputation"),
        ("market prices", "/v1/market/prices"),
        ("auction list", "/v1/auctions"),
        ("committees", "/v1/committees"),
        ("capabilities", "/v1/capabilities"),
        ("evidence list", "/v1/evidence"),
    ]


def _time_reads(home: Home, client: NodeClient, path: str, repetitions: int) -> list[float]:
    """Milliseconds of each request. A plain connection: the client library would cost more than
    the node does."""
    headers = {"authorization": f"Bearer {home.load_token()}"}
    address = (client.info.api_address, client.info.api_port)
    connection = http.client.HTTPConnection(*address, timeout=ANSWER_S_MAX)
    times = []
    try:
        for _ in range(repetitions + 1):  # the first one opens the connection
            began = time.perf_counter()
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            times.append((time.perf_counter() - began) * 1000)
            if answer.status != 200:
                raise Problem("bench-refused", f"GET {path}: status {answer.status}")
    finally:
        connection.close()
    return times[1:]


def _add(recorder: Recorder, name: str, times: list[float]) -> None:
    times.sort()
    for percent in (50, 95, 99):
        value = times[min(len(times) - 1, len(times) * percent // 100)]
        recorder.add(f"{name}: p{percent}", "ms", [value])

"""One devnet run: real node processes, the main job, and what became of it."""

import queue
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from devnet import ledger_files, manifest, workload
from devnet.follower import Arrival, Follower
from devnet.history import History
from devnet.ledger_files import UnreadableLedger
from devnet.manifest import PRICE_BASE_RANGE, Manifest, NodePlan
from devnet.processes import NodeProcess, stop_all
from devnet.progress import JobProgress
from devnet.reporter import Reporter
from devnet.summary import Observed, Restarted, Seconds
from devnet.view import NodeLine, Scene
from devnet.workload import PlainRun, SourceFile
from node import client, file_stats
from node.client import NodeClient
from node.home import Home
from node.problem import Problem
from node.service import TASKS_PER_REQUEST_MAX, TaskRequest

READY_S_MAX = 120.0
STALL_S_MAX = 120.0
"""The job has failed when nothing was ordered for so long."""
AT_REST_S_MAX = 60.0
"""How long nodes have, after the job, to reach one position."""
LEDGER_LAG_S_MAX = 10.0
"""How long a running node may take to write what it has executed."""
THREAD_S_MAX = 2.0
TICK_S = 0.1
TASK_MS_MIN = 600_000
TASK_MS_EACH = 5_000
"""A task's time from opening to deadline: TASK_MS_MIN, and more for jobs of many tasks."""
BUDGET_FACTOR = 2
RESTART_SHARE = 3
"""A node is killed once one task of RESTART_SHARE has settled."""

Restart = Literal["none", "backup", "primary"]


@dataclass(slots=True)
class Job:
    """The job as far as it was submitted. `files`: file name by task id (hex)."""

    files: dict[str, str] = field(default_factory=dict)
    plain: PlainRun = field(default_factory=PlainRun)
    submitted: bool = False


class Devnet:
    """The running network of one manifest. Use it from the main thread.

    Every method may raise Problem; `stop` must be called at the end, whatever happened.
    """

    def __init__(self, folder: Path, plan: Manifest, reporter: Reporter) -> None:
        self.folder, self.plan = folder, plan
        self.job = Job()
        self.progress = JobProgress()
        self.restarted: Restarted | None = None
        self.processes = [self._make_process(node) for node in plan.nodes]
        self._arrivals: queue.SimpleQueue[Arrival] = queue.SimpleQueue()
        self._followers = [
            Follower(
                node.number, self._home(node), self._arrivals, detailed=node.role == "requester"
            )
            for node in plan.nodes
        ]
        self._reporter = reporter
        self._next_position = 0
        self._started_s = time.monotonic()
        self._step = ""
        self._victim: Follower | None = None
        self._killed_s = 0.0
        self._processes_before = 0
        self._goal: int | None = None
        self._setup_s = self._job_s = 0.0

    # --- the run ----------------------------------------------------------------------------------

    def start(self) -> None:
        """Start every node; return once all are ready for the job."""
        self._step = "starting the nodes"
        for process, follower in zip(self.processes, self._followers, strict=True):
            process.start()
            follower.start()
        self._wait(self._is_ready, READY_S_MAX, "the network did not get ready")
        self._setup_s = time.monotonic() - self._started_s

    def run_job(self, files: tuple[SourceFile, ...], restart: Restart) -> None:
        """Submit the job from the requester's API and follow it to the end of its last task."""
        start_s = time.monotonic()
        self._step = "submitting tasks"
        with client.connect(self._home(self.plan.nodes[0])) as requester:
            largest_first = sorted(files, key=lambda file: (-file.size_bytes, file.name))
            for first in range(0, len(files), TASKS_PER_REQUEST_MAX):
                self._submit(requester, largest_first[first : first + TASKS_PER_REQUEST_MAX])
        self.job.submitted = True
        self._step = "working"
        self._follow_job(restart)
        self._job_s = time.monotonic() - start_s

    def wait_at_rest(self) -> None:
        """Wait until all nodes say that they are at one position; give up quietly, since the
        ledgers will show it."""
        self._step = "waiting for all nodes to agree"
        deadline = time.monotonic() + AT_REST_S_MAX
        while not self._is_at_rest() and time.monotonic() < deadline:
            self.tick()
            self._note_caught_up()

    def set_step(self, step: str, reporter: Reporter) -> None:
        """Say what goes on from now, and where it is shown."""
        self._step, self._reporter = step, reporter

    def stop(self) -> list[str]:
        """End all nodes; what did not go well."""
        for follower in self._followers:
            follower.stop()
        faults = stop_all(self.processes)
        for follower in self._followers:
            if follower.is_alive():
                follower.join(THREAD_S_MAX)
        return faults

    def tick(self) -> None:
        """Take in news, check that every node runs, show the scene, and rest a moment."""
        self._drain()
        for process in self.processes:
            if not process.is_running():
                raise Problem(
                    "node-failed",
                    f"{process.name} ended with exit code {process.exit_code}; the end of its "
                    f"log:\n{process.read_log_end()}",
                    where=str(process.log_path),
                )
        self._reporter.show(self.describe())
        time.sleep(TICK_S)

    def _wait(self, is_done: Callable[[], bool], s_max: float, otherwise: str) -> None:
        deadline = time.monotonic() + s_max
        while not is_done():
            if time.monotonic() > deadline:
                seen = [f"node-{f.number}: {f.sight.error or 'up'}" for f in self._followers]
                raise Problem(
                    "timeout",
                    f"{otherwise} within {s_max:.0f} s ({', '.join(seen)})",
                    where=str(self.folder),
                    remedy="the node.log in each home says more",
                )
            self.tick()

    def _is_ready(self) -> bool:
        """Every node answers and is linked to all others, and every agent offers its capability."""
        everybody = len(self.plan.nodes) - 1
        for follower in self._followers:
            sight = follower.sight
            if sight.error or sight.status is None or sight.status.connected_peers < everybody:
                return False
        offered = self._followers[0].sight.capabilities
        agents = {
            agent
            for item in (offered.capabilities if offered else ())
            if (item.name, item.version) == (file_stats.NAME, file_stats.VERSION)
            for agent in item.agents
        }
        return self._list_able() <= agents

    def _list_able(self) -> set[str]:
        """PeerIds that should offer the capability: all but those banned in a run before."""
        reputation = self._followers[0].sight.reputation
        banned = (
            {score.peer_id for score in reputation.scores if score.banned} if reputation else ()
        )
        return {node.peer_id for node in self.plan.nodes} - set(banned)

    def _submit(self, requester: NodeClient, files: list[SourceFile]) -> None:
        requests = []
        for file in files:
            data = workload.read_file(file)
            self.job.plain.add(file.name, data)
            digest = requester.put_blob(data).digest
            requests.append(TaskRequest(capability=file_stats.NAME, input=digest))
            self._drain()
            self._reporter.show(self.describe())
        budget = compute_budget(max(file.size_bytes for file in files))
        duration_ms = TASK_MS_MIN + TASK_MS_EACH * len(files)
        done = requester.submit_tasks(requests, budget, duration_ms)
        self.job.files.update(zip(done.tasks, (file.name for file in files), strict=True))

    def _follow_job(self, restart: Restart) -> None:
        position, moved_s = -1, time.monotonic()
        while self.progress.count_ended(self.job.files) < len(self.job.files):
            self.tick()
            if self._next_position != position:
                position, moved_s = self._next_position, time.monotonic()
            if time.monotonic() - moved_s > STALL_S_MAX:
                ended = self.progress.count_ended(self.job.files)
                raise Problem(
                    "stalled",
                    f"nothing was ordered for {STALL_S_MAX:.0f} s at position {position - 1}; "
                    f"{ended} of {len(self.job.files)} tasks have ended",
                    where=str(self.folder),
                    remedy="the node.log in each home says more",
                )
            settled = self.progress.count_states(self.job.files)["settled"]
            due = restart != "none" and self.restarted is None
            if due and settled * RESTART_SHARE >= len(self.job.files):
                self._restart(restart)
            self._note_caught_up()

    # --- a node killed on purpose -----------------------------------------------------------------

    def _restart(self, kind: Restart) -> None:
        follower = self._pick_victim(kind)
        self._killed_s = time.monotonic()
        self.restarted = Restarted(
            node=f"node-{follower.number}", was=kind, position=max(follower.heads, default=-1)
        )
        self._victim, self._processes_before = follower, follower.processes_seen
        process = self.processes[follower.number - 1]
        process.kill()
        process.start()

    def _pick_victim(self, kind: Restart) -> Follower:
        """The primary; or the last honest agent that is not, since the requester stays."""
        views = [f.sight.status for f in self._followers if f.sight.status is not None]
        primary = max(views, key=lambda status: status.view).primary
        if kind == "primary":
            number = next(node.number for node in self.plan.nodes if node.peer_id == primary)
        else:
            number = next(
                node.number
                for node in reversed(self.plan.nodes)
                if node.role == "agent" and node.peer_id != primary
            )
        return self._followers[number - 1]

    def _note_caught_up(self) -> None:
        """The victim has caught up once it tells of all entries that any node told of when its
        new process first answered."""
        if self.restarted is None or self._victim is None or self.restarted.caught_up_s:
            return
        if self._victim.processes_seen <= self._processes_before:
            return
        if self._goal is None:
            self._goal = max(max(follower.heads, default=-1) for follower in self._followers)
        if max(self._victim.heads, default=-1) >= self._goal:
            self.restarted = Restarted(
                node=self.restarted.node,
                was=self.restarted.was,
                position=self.restarted.position,
                caught_up_s=round(time.monotonic() - self._killed_s, 3),
            )

    # --- what is seen -----------------------------------------------------------------------------

    def _drain(self) -> None:
        """Apply each entry once, whoever told it first: a node tells its own in order."""
        while not self._arrivals.empty():
            _, entry = self._arrivals.get()
            if entry.position == self._next_position:
                self._next_position += 1
                for fact in entry.facts:
                    self.progress.apply(fact)

    def _is_at_rest(self) -> bool:
        ends = {
            (f.sight.status.position, f.sight.status.head) if f.sight.status else None
            for f in self._followers
            if not f.sight.error
        }
        heads = {max(follower.heads, default=-1) for follower in self._followers}
        answering = all(not follower.sight.error for follower in self._followers)
        answering &= self.restarted is None or self.restarted.caught_up_s is not None
        return answering and len(ends) == 1 and len(heads) == 1 and None not in ends

    def describe(self) -> Scene:
        return Scene(
            step=self._step,
            elapsed_s=time.monotonic() - self._started_s,
            nodes=[self._describe_node(node) for node in self.plan.nodes],
            tasks=len(self.job.files),
            counts=self.progress.count_states(self.job.files),
            recent=list(self.progress.recent),
        )

    def _describe_node(self, node: NodePlan) -> NodeLine:
        sight, details = self._followers[node.number - 1].sight, self._followers[0].sight
        accounts = details.stake.accounts if details.stake else ()
        account = next((item for item in accounts if item.peer_id == node.peer_id), None)
        scores = details.reputation.scores if details.reputation else ()
        score = next((item for item in scores if item.peer_id == node.peer_id), None)
        mark = "slashed" if node.peer_id in self.progress.slashed else ""
        if mark and score is not None and score.banned:
            mark = "banned"
        status = sight.status
        return NodeLine(
            number=node.number,
            peer_id=node.peer_id,
            role=node.role,
            state="up" if not sight.error else "down" if status else "starting",
            is_primary=status is not None and status.primary == node.peer_id,
            position=status.position if status else None,
            view=status.view if status else None,
            rss_bytes=status.rss_bytes if status else None,
            bonded=account.bonded if account else None,
            free=account.free if account else None,
            score_ppm=score.score_ppm if score else None,
            mark=mark,
        )

    # --- the end ----------------------------------------------------------------------------------

    def examine_ledgers(self, seen: Observed) -> None:
        """Read and prove every node's ledger file; what cannot be read becomes a fault."""
        self.set_step("examining the ledgers", self._reporter)
        histories: list[History] = []
        for node, follower in zip(self.plan.nodes, self._followers, strict=True):
            self._reporter.show(self.describe())
            home = self._home(node)
            try:
                histories.append(self._read_history(node, max(follower.heads, default=-1)))
                genesis = home.load_genesis()
                seen.violations += ledger_files.verify_file(home.ledger_path, node.name, genesis)
            except UnreadableLedger as error:
                seen.faults.append(str(error))
        seen.histories = histories

    def _read_history(self, node: NodePlan, wanted: int) -> History:
        """The history once it holds position `wanted`, or after LEDGER_LAG_S_MAX without it."""
        deadline = time.monotonic() + LEDGER_LAG_S_MAX
        path = self._home(node).ledger_path
        while True:
            history = ledger_files.read_history(path, node.name, self.plan.committee)
            if len(history.entries) > wanted or time.monotonic() > deadline:
                return history
            time.sleep(TICK_S)

    def observe(self) -> Observed:
        """What was seen until now, and the results from the requester's API; no ledgers yet."""
        results, faults = self._fetch_results()
        reputation = self._followers[0].sight.reputation
        return Observed(
            nodes=len(self.plan.nodes),
            seed=self.plan.seed,
            liars={node.key for node in self.plan.list_liars()},
            files={bytes.fromhex(task): name for task, name in self.job.files.items()},
            plain=self.job.plain.outputs,
            seconds=Seconds(
                setup=round(self._setup_s, 3),
                job=round(self._job_s, 3),
                plain=round(self.job.plain.seconds, 3),
            ),
            results=results,
            heads={f"node-{f.number}": dict(f.heads) for f in self._followers},
            roots={f"node-{f.number}": dict(f.roots) for f in self._followers},
            banned=[s.peer_id for s in reputation.scores if s.banned] if reputation else [],
            messages=sum(follower.frames_sent for follower in self._followers),
            rss_bytes={f"node-{f.number}": f.sight.rss_bytes_max for f in self._followers},
            restarted=self.restarted,
            faults=faults,
            folder=str(self.folder),
        )

    def _fetch_results(self) -> tuple[dict[bytes, bytes], list[str]]:
        """The outputs of settled tasks by task, and what could not be had."""
        self._step = "fetching results"
        results, faults = {}, []
        with client.connect(self._home(self.plan.nodes[0])) as requester:
            for task, name in self.job.files.items():
                if self.progress.tasks[task].state != "settled":
                    continue
                try:
                    results[bytes.fromhex(task)] = requester.result(task)
                except Problem as problem:
                    faults.append(f"the result of {name} cannot be fetched: {problem.detail}")
                self._drain()
                self._reporter.show(self.describe())
        return results, faults

    def _home(self, node: NodePlan) -> Home:
        return manifest.get_home(self.folder, node)

    def _make_process(self, node: NodePlan) -> NodeProcess:
        home = self._home(node)
        program = "devnet.equivocator" if node.role == "equivocator" else "node.cli"
        command = [sys.executable, "-m", program, "start", "--home", str(home.path)]
        return NodeProcess(node.name, command, manifest.get_log_path(self.folder, node))


def compute_budget(size_bytes: int) -> int:
    """Credits that leave every agent room above its cost for an input of `size_bytes`."""
    cost = PRICE_BASE_RANGE[1] + -(-size_bytes // 1024)
    return BUDGET_FACTOR * cost

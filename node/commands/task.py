"""econode task plan, submit, list, show, result: give work and take its results."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.commands import task_plan
from node.commands.common import (
    MAIN,
    PAGE_DEFAULT,
    CommitteeOption,
    CursorOption,
    HomeOption,
    JsonOption,
    LimitOption,
    hint,
    make_app,
    open_client,
    parse_duration,
    render_pairs,
    render_table,
    shorten,
    show,
)
from node.commands.task_funding import describe, find, follow, has_ended
from node.commands.task_words import (
    PPM,
    AnswerOption,
    AuditOption,
    BudgetOption,
    CapabilityOption,
    DeadlineOption,
    FolderOption,
    FundedByOption,
    GraceOption,
    HeartbeatOption,
    InputsOption,
    LeaseOption,
    MechanismOption,
    OrJudgedOption,
    PanelOption,
    PoolOption,
    TaskArgument,
    VerificationOption,
    WaitOption,
    accept,
    cancel,
    make_options,
    reject,
)

if TYPE_CHECKING:
    from node.client import NodeClient
    from node.crossing_answers import Funding
    from node.service import Task
    from node.task_options import TaskOptions

BUDGET_DEFAULT = 100
FILES_MAX = 10_000

app = make_app("Give work, and take results.")

app.command("plan")(task_plan.plan)


@app.command("submit")
def submit(
    capability: CapabilityOption,
    inputs: InputsOption = None,
    folder: FolderOption = None,
    budget: BudgetOption = BUDGET_DEFAULT,
    deadline: DeadlineOption = "60s",
    wait: WaitOption = False,
    funded_by: FundedByOption = None,
    verification: VerificationOption = None,
    or_judged: OrJudgedOption = False,
    panel: PanelOption = 3,
    lease: LeaseOption = None,
    grace: GraceOption = None,
    heartbeat: HeartbeatOption = None,
    answer_within: AnswerOption = None,
    audit_ppm: AuditOption = PPM,
    mechanism: MechanismOption = "vickrey",
    bonus_pool: PoolOption = 0,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Submit files as tasks, one each.

    With --wait it ends when they have, with 1 if one of them failed. With --funded-by and
    --wait it ends when the rest of the credits is back.

    \b
    Example:
      econode task submit --capability file-stats --dir docs --wait
    """
    duration_ms = parse_duration(deadline)
    times = {"lease": lease, "grace": grace, "heartbeat": heartbeat, "accept": answer_within}
    options = make_options(
        times,
        verification=verification,
        or_judged=or_judged,
        panel=panel,
        audit_ppm=audit_ppm,
        mechanism=mechanism,
        pool=bonus_pool,
    )
    files = _find_files(inputs or [], folder)
    terms = (budget, duration_ms, None if funded_by == committee else funded_by, options)
    with open_client(home, committee) as client:
        start = client.status().position + 1
        ids, fundings = _submit(client, capability, files, *terms)
        _follow(client, ids, fundings, files, start, wait, json)


def _follow(
    client: "NodeClient",
    ids: list[str],
    fundings: "list[Funding]",
    files: list[Path],
    start: int,
    wait: bool,
    json: bool,
) -> None:
    """Show what was submitted, or with `wait` how it ended: exits with 1 if a task failed."""
    if fundings:
        fundings = follow(client, fundings, json, to_end=wait)
        ids = [task for funding in fundings for task in funding.tasks]
    pairs = list(zip(ids, files, strict=True))
    if not wait:
        document = [{"id": task, "input": str(file)} for task, file in pairs]
        rows = [(shorten(task), file) for task, file in pairs]
        show({"tasks": document}, json, lambda: render_table(("task", "input"), rows))
        return
    if not fundings:
        _wait(client, set(ids), start)
    tasks = [client.task(task) for task in ids]
    _show_ended(tasks, files, json)
    if any(task.state != "settled" for task in tasks):
        raise typer.Exit(1)


def _find_files(inputs: list[Path], folder: Path | None) -> list[Path]:
    """The files to send, each checked before anything is sent."""
    from node.problem import Problem
    from protocols.economy.operations import BLOB_BYTES_MAX

    files = list(inputs)
    if folder is not None:
        if not folder.is_dir():
            raise Problem("no-file", "there is no such folder", where=str(folder))
        for place, folders, names in os.walk(folder):
            folders.sort()
            files += [Path(place, name) for name in sorted(names) if Path(place, name).is_file()]
            if len(files) > FILES_MAX:
                raise Problem(
                    "too-many-files",
                    f"more than {FILES_MAX} files",
                    where=str(folder),
                    remedy="submit parts of the folder",
                )
    if not files:
        if folder is None:
            raise typer.BadParameter("give --input FILE or --dir DIR")
        raise Problem("no-file", "there is no file below this folder", where=str(folder))
    for file in files:
        if not file.is_file():
            raise Problem(
                "no-file", "there is no such file", where=str(file), remedy="nothing was submitted"
            )
        if file.stat().st_size > BLOB_BYTES_MAX:
            raise Problem(
                "too-large",
                f"an input may have at most {BLOB_BYTES_MAX} bytes",
                where=str(file),
                remedy="split it; nothing was submitted",
            )
    return files


def _submit(
    client: "NodeClient",
    capability: str,
    files: list[Path],
    budget: int,
    duration_ms: int,
    funded_by: str | None,
    options: "TaskOptions",
) -> "tuple[list[str], list[Funding]]":
    """Ids of the tasks, or the fundings that will open them."""
    from node.problem import Problem
    from node.service import TASKS_PER_REQUEST_MAX, TaskRequest

    if options.pool and len(files) > TASKS_PER_REQUEST_MAX:
        raise Problem(
            "too-many-files",
            f"a bonus pool is for at most {TASKS_PER_REQUEST_MAX} tasks",
            remedy="submit parts, each with a pool of its own; nothing was submitted",
        )
    ids: list[str] = []
    fundings: list[Funding] = []
    with _progress("submitting", len(files)) as advance:
        for first in range(0, len(files), TASKS_PER_REQUEST_MAX):
            requests = []
            for file in files[first : first + TASKS_PER_REQUEST_MAX]:
                try:
                    data = file.read_bytes()
                except OSError as error:
                    raise Problem(
                        "no-file",
                        f"cannot read: {error.strerror}",
                        where=str(file),
                        remedy=f"{first} tasks were submitted: see `econode task list`",
                    ) from None
                blob = client.put_blob(data)
                requests.append(TaskRequest(capability=capability, input=blob.digest))
                advance(1)
            if funded_by is None:
                ids += client.submit_tasks(requests, budget, duration_ms, options).tasks
            else:
                fundings.append(
                    client.fund_tasks(requests, budget, duration_ms, funded_by, options)
                )
    return ids, fundings


def _wait(client: "NodeClient", waiting: set[str], start: int) -> None:
    """Read the log from `start` on until every task has ended in it."""
    with _progress("waiting for results", len(waiting)) as advance:
        events = client.events(start)
        while waiting:
            for fact in next(events).facts:
                if fact["kind"] == "task_ended" and fact["task"] in waiting:
                    waiting.discard(fact["task"])
                    advance(1)


class _progress:
    """A bar on standard error when that is a terminal, else nothing."""

    def __init__(self, text: str, total: int) -> None:
        self._bar: Any = None
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn())
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(text, total=total)

    def __enter__(self) -> Any:
        if self._bar is None:
            return lambda _: None
        self._bar.start()
        return lambda count: self._bar.advance(self._task, count)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _show_ended(tasks: "list[Task]", files: list[Path], as_json: bool) -> None:
    import msgspec

    pairs = list(zip(tasks, files, strict=True))
    document = [{**msgspec.to_builtins(task), "file": str(file)} for task, file in pairs]
    rows = [
        (shorten(task.id), file, task.state, task.grade, task.price, shorten(task.executor, 16))
        for task, file in pairs
    ]
    head = ("task", "input", "state", "grade", "price", "executor")
    show({"tasks": document}, as_json, lambda: render_table(head, rows))


@app.command("list")
def list_tasks(
    state: Annotated[
        str | None, typer.Option(metavar="STATE", help="Only tasks in this state.")
    ] = None,
    limit: LimitOption = PAGE_DEFAULT,
    cursor: CursorOption = None,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """List tasks.

    \b
    Example:
      econode task list --state settled
    """
    with open_client(home, committee) as client:
        page = client.tasks(state, limit, cursor)
        coming = [f for f in client.fundings().fundings if not f.tasks and not has_ended(f)]
    head = ("task", "state", "capability", "budget", "price", "grade")
    rows = [
        (shorten(task.id), task.state, task.capability, task.budget, task.price, task.grade)
        for task in page.tasks
    ]
    show(page, json, lambda: render_table(head, rows) if rows else ["no tasks"])
    for funding in coming:
        hint(f"paid from {funding.source}, not open yet: task show {funding.id[:16]}", json)
    if page.next is not None:
        hint(f"more: --cursor {page.next}", json)


@app.command("show")
def show_task(
    task: TaskArgument,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Show what is known of a task.

    Of one that is paid from another committee also how far that is; before it is opened it
    goes by the id of that.

    \b
    Example:
      econode task show 3f9a
    """
    import msgspec

    with open_client(home, committee) as client:
        funding = find(client, task)
        if funding is not None and not funding.tasks:
            show(funding, json, lambda: render_pairs(describe(funding)))
            return
        found = client.task(task)
    known = [
        (name, ", ".join(map(_tell, value)) if isinstance(value, (list, tuple)) else value)
        for name, value in msgspec.to_builtins(found).items()
        if value not in (None, "", [], ())
    ]
    if funding is None:
        show(found, json, lambda: render_pairs(known))
        return
    known += describe(funding)
    document = {**msgspec.to_builtins(found), "funding": msgspec.to_builtins(funding)}
    show(document, json, lambda: render_pairs(known))


def _tell(value: Any) -> str:
    """An element of a list: a key, or a judge and its score."""
    return f"{value['judge']} {value['score']}" if isinstance(value, dict) else str(value)


@app.command("result")
def result(
    task: TaskArgument,
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write it there, not to standard output.")
    ] = None,
    committee: CommitteeOption = MAIN,
    home: HomeOption = None,
    json: JsonOption = False,
) -> None:
    """Fetch the result of a task.

    The bytes as they are; with --json and without --output the document holds them as base64.

    \b
    Example:
      econode task result 3f9a --output stats.json
    """
    import base64

    with open_client(home, committee) as client:
        found = client.task(task)
        data = client.result(found.id)
    document: dict[str, Any] = {"id": found.id, "output": found.output, "bytes": len(data)}
    if output is not None:
        _write(output, data)
        show({**document, "file": str(output)}, json, lambda: [f"{len(data)} bytes in {output}"])
    elif json:
        show({**document, "base64": base64.b64encode(data).decode()}, True, list)
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _write(output: Path, data: bytes) -> None:
    from node.files import write_atomic
    from node.problem import Problem

    try:
        write_atomic(output, data)
    except OSError as error:
        raise Problem(
            "unwritable",
            f"cannot write: {error.strerror}",
            where=str(output),
            remedy="give another file with --output",
        ) from None


for command in (accept, reject, cancel):
    app.command(command.__name__)(command)

"""econode devnet: four nodes on this machine, a real job, and what became of it."""

import contextlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from node.commands.common import hint, make_app, show

if TYPE_CHECKING:  # these take long to import, and `econode --help` needs none of them
    from devnet.manifest import Manifest
    from devnet.orchestrator import Devnet, Restart
    from devnet.roles import Byzantine
    from devnet.summary import Summary
    from devnet.workload import SourceFile

INTERRUPTED = 130

app = make_app("")


NodesOption = Annotated[int, typer.Option(metavar="N", help="Nodes, each a process.")]
JobOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder whose files are the job. [files of Python's standard library]",
        show_default=False,
    ),
]
ByzantineOption = Annotated[
    int, typer.Option(metavar="K", help="Nodes whose agents lie; 3K+1 nodes are needed.")
]
RoleOption = Annotated[
    Literal["liar", "equivocator"] | None,
    typer.Option(
        "--role",
        help="One more Byzantine node: one whose agent lies, or one that proposes two different "
        "batches for a position while it leads.",
        show_default=False,
    ),
]
SeedOption = Annotated[
    int | None,
    typer.Option(
        metavar="S", help="The same keys, prices and files every time.", show_default=False
    ),
]
ExitOption = Annotated[bool, typer.Option("--exit", help="End after the job, also on a terminal.")]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output, then end.")
]
FolderOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Folder for the nodes' homes, kept; one of a former run goes on.",
        show_default=False,
    ),
]
RestartOption = Annotated[
    Literal["none", "backup", "primary"],
    typer.Option(help="Kill -9 this node during the job and start it again."),
]
KeepOption = Annotated[bool, typer.Option("--keep", help="Keep the folder of the homes.")]


@app.command("devnet")
def devnet(
    nodes: NodesOption = 4,
    job: JobOption = None,
    byzantine: ByzantineOption = 0,
    role: RoleOption = None,
    seed: SeedOption = None,
    leave: ExitOption = False,
    json: JsonOption = False,
    home: FolderOption = None,
    restart: RestartOption = "none",
    keep: KeepOption = False,
) -> None:
    """Run a local network with a real job.

    The nodes compute statistics of files; agents bid for the tasks, others verify the results,
    every task is settled. Exit code 0 only if all tasks were settled with the right results,
    every invariant held on every node's ledger, and exactly the liars were slashed.

    On a terminal the network stays up after the job until Ctrl-C.

    \b
    Example:
      econode devnet
      econode devnet --nodes 7 --byzantine 2 --exit
      econode devnet --role equivocator
    """
    from devnet import manifest, workload
    from devnet.processes import Interrupted, raise_on_signals
    from node.problem import Problem

    try:
        roles: list[Byzantine] = ["liar" for _ in range(byzantine)]
        roles += [role] if role else []
        manifest.check_size(nodes, len(roles) if byzantine >= 0 else byzantine)
    except Problem as problem:
        raise typer.BadParameter(f"{problem.where}: {problem.detail}") from None
    files = workload.choose_files(job, seed)
    interactive = sys.stdout.isatty() and sys.stderr.isatty() and not json
    wish = _Wish(files, restart, interactive, interactive and not leave, json, keep or bool(home))
    with contextlib.ExitStack() as stack:
        folder, done = _open_folder(stack, home, keep)
        stack.enter_context(raise_on_signals())
        try:
            plan = manifest.open_folder(folder, nodes, roles, seed)
            summary = _run(folder, plan, wish)
        except Interrupted as interrupted:
            hint(f"ended by {interrupted}; no node is left", json)
            done.append(True)
            raise typer.Exit(INTERRUPTED) from None
        if summary.ok:
            done.append(True)
    raise typer.Exit(0 if summary.ok else 1)


@dataclass(frozen=True, slots=True)
class _Wish:
    """How a run was asked for. `holds`: the network stays up until Ctrl-C after the job."""

    files: "tuple[SourceFile, ...]"
    restart: "Restart"
    interactive: bool
    holds: bool
    json: bool
    keeps: bool
    """The folder stays: asked for, or the user's own."""


def _open_folder(
    stack: contextlib.ExitStack, home: Path | None, keep: bool
) -> tuple[Path, list[bool]]:
    """The folder of the homes. A fresh one is removed at the end of a good run (something then
    stands in the list), and kept after a bad one, for its logs."""
    if home is not None:
        return home.expanduser().absolute(), []
    folder = Path(tempfile.mkdtemp(prefix="econode-devnet-"))
    done: list[bool] = []

    def clean() -> None:
        if done and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            typer.echo(f"homes and logs: {folder}", err=True)

    stack.callback(clean)
    return folder, done


def _run(folder: Path, plan: "Manifest", wish: _Wish) -> "Summary":
    import msgspec

    from devnet.manifest import get_home
    from devnet.orchestrator import Devnet
    from devnet.summary import render_summary, summarise

    reporter = _make_reporter(wish.interactive)
    network = Devnet(folder, plan, reporter)
    try:
        network.start()
        if not wish.json:
            home = get_home(folder, plan.nodes[0])
            typer.echo(f"the dashboard, live: {home.find_dashboard()}", err=True)
        network.run_job(wish.files, wish.restart)
        network.wait_at_rest()
        seen = network.observe()
        if not wish.holds:
            seen.faults += network.stop()
        network.examine_ledgers(seen)
        reporter.close()
        summary = summarise(seen)
        if summary.ok and not wish.keeps:
            summary = msgspec.structs.replace(summary, folder=None)
        named = {seen.files[task]: output for task, output in seen.results.items()}
        show(summary, wish.json, lambda: render_summary(summary, named))
        if wish.holds:
            _hold(network)
        return summary
    finally:
        reporter.close()
        network.stop()


def _make_reporter(interactive: bool) -> Any:
    from rich.console import Console

    from devnet.reporter import LiveReporter, PlainReporter

    return LiveReporter(Console(stderr=True)) if interactive else PlainReporter(sys.stderr)


def _hold(network: "Devnet") -> None:
    """Keep the network up until a signal; it is the way to end it, so nothing has failed."""
    from devnet.processes import Interrupted
    from devnet.reporter import PlainReporter

    for line in list_commands(network):
        typer.echo(line)
    network.set_step("the network stays up until Ctrl-C", PlainReporter(sys.stderr))
    with contextlib.suppress(Interrupted):
        while True:
            network.tick()


def list_commands(network: "Devnet") -> list[str]:
    """Commands that work on this network as it stands."""
    from devnet.manifest import MANIFEST_NAME, get_home

    plans = network.plan.nodes
    first, last = get_home(network.folder, plans[0]), get_home(network.folder, plans[-1])
    sample = network.folder / MANIFEST_NAME  # any file will do; this one is there
    program = "econode" if shutil.which("econode") else os.path.relpath(sys.argv[0])
    lines = ["", "Try, in another terminal:"]
    lines += [
        f"  {program} {verb} --home {home.path}"
        for verb, home in (
            ("status", first),
            ("peers", first),
            ("task list", first),
            (f"task submit --capability file-stats --input {sample} --wait", first),
            ("stake show", last),
            ("reputation show", last),
            ("ledger log", last),
            ("ledger verify", last),
        )
    ]
    lines += ["", f"Dashboard of {plans[0].name}: {first.find_dashboard()}"]
    for plan in network.plan.nodes:
        info = get_home(network.folder, plan).load_info()
        if info is not None:
            lines.append(f"{plan.name}: peers on {', '.join(info.listen)}, API on {info.api_url}")
    return lines

"""The command `econode`: verbs, exit codes and how errors reach a person or a program.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. A failure is one clear message on
standard error, or with --json the document {"error": {...}} on standard output. Further verbs
come from the entry-point group `econode.commands`; each is imported when it is used.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from identity.errors import EconodeError
from node.commands import (
    anomalies,
    auction,
    backup,
    care,
    committee,
    config,
    data,
    directory,
    evidence,
    genesis,
    home,
    market,
    member,
    network,
    reputation,
    stake,
    task,
    trace,
    upgrade,
    variable,
)
from node.commands.common import make_app, make_printable
from node.problem import Problem
from node.version import get_version

COMMANDS_GROUP = "econode.commands"
HELP_COLUMNS_MAX = 100
DONE, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


class _Root(TyperGroup):
    """The root group with the verbs of other packages beside its own."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [*super().list_commands(ctx), *sorted(_find_plugins())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        own = super().get_command(ctx, cmd_name)
        plugin = _find_plugins().get(cmd_name)
        return own if own is not None or plugin is None else _load_plugin(plugin)


def _find_plugins() -> dict[str, metadata.EntryPoint]:
    return {point.name: point for point in metadata.entry_points(group=COMMANDS_GROUP)}


def _load_plugin(point: metadata.EntryPoint) -> Any:
    try:
        command = typer.main.get_command(point.load())
    except ImportError as error:
        # Its verb says so when it is used; the other verbs work all the same.
        return _make_unusable(point.name, str(error))
    command.name = point.name
    return command


def _make_unusable(name: str, reason: str) -> Any:
    broken = make_app("")

    @broken.command(
        name, help="(cannot be loaded)", context_settings={"ignore_unknown_options": True}
    )
    def fail(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
        raise Problem(
            "broken-command",
            f"`{name}` cannot be loaded: {reason}",
            remedy="install Econode anew",
        )

    return typer.main.get_command(broken)


app = typer.Typer(
    cls=_Root,
    help="A peer-to-peer node: ordered transfers, auctions, verified work, a local ledger.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
home.register(app)
network.register(app)
care.register(app)
app.add_typer(config.app, name="config")
trace.register(app)
anomalies.register(app)
app.add_typer(genesis.app, name="genesis")
app.add_typer(committee.app, name="committee")
app.add_typer(task.app, name="task")
app.add_typer(auction.app, name="auction")
app.add_typer(market.app, name="market")
app.add_typer(variable.app, name="variable")
app.add_typer(stake.stake_app, name="stake")
app.add_typer(backup.app, name="ledger")
app.add_typer(evidence.app, name="evidence")
app.add_typer(reputation.app, name="reputation")
app.add_typer(directory.app, name="directory")
app.add_typer(data.app, name="data")
app.add_typer(member.app, name="member")
app.add_typer(upgrade.app, name="upgrade")
app.add_typer(care.debug_app, name="debug")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"econode {get_version()}")
        raise typer.Exit(DONE)


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one verb and end the process."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(arguments))


def run(arguments: Sequence[str]) -> int:
    """Run one verb; its exit code. Faults of the program itself leave as exceptions."""
    as_json = "--json" in arguments
    try:
        code = app(
            list(arguments),
            prog_name="econode",
            standalone_mode=False,
            terminal_width=_compute_help_columns(),
        )
        sys.stdout.flush()
        return code if isinstance(code, int) else DONE
    except typer.TyperException as error:
        return _report_usage(error, as_json)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Problem as problem:
        return _report(problem, as_json)
    except EconodeError as error:
        return _report(Problem("failed", str(error)), as_json)
    except BrokenPipeError:
        # The reader went away, as `| head` does; nothing is to be said, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except OSError as error:
        if error.filename is None:
            raise
        reason = Problem("system", error.strerror or str(error), where=str(error.filename))
        return _report(reason, as_json)


def _compute_help_columns() -> int:
    """Columns of help texts: the terminal's, also below the 50 that the library takes at least."""
    return max(30, min(shutil.get_terminal_size().columns, HELP_COLUMNS_MAX) - 2)


def _report(problem: Problem, as_json: bool) -> int:
    if as_json:
        document = {"error": problem.to_document()}
        typer.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for line in problem.render().splitlines():
            typer.echo(make_printable(line), err=True)
    return FAILED


def _report_usage(error: typer.TyperException, as_json: bool) -> int:
    if as_json:
        _report(Problem("usage", error.format_message(), remedy="see --help"), True)
    elif hasattr(error, "show"):
        error.show()
    else:
        typer.echo(f"error: {error.format_message()}", err=True)
    return error.exit_code


if __name__ == "__main__":
    main()

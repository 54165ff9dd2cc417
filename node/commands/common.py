"""What all verbs share: options, output, durations, pass phrases. Quick to import.

A verb prints its answer once, with `show`: for people, or with --json one JSON document on
standard output. Everything else (progress, hints) goes to standard error.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # these take long to import, and `econode --help` needs none of them
    from node.client import NodeClient
    from node.home import Home

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="The node's home directory. [ECONODE_HOME, else ~/.econode]",
        show_default=False,
    ),
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on standard output.")
]
CommitteeOption = Annotated[
    str,
    typer.Option("--committee", metavar="NAME", help="The committee that is meant, or its id."),
]
PAGE_DEFAULT = 100
LimitOption = Annotated[int, typer.Option(min=1, max=500, help="At most so many.")]
"""Of pages of tasks and auctions: `node.service.TASKS_PER_PAGE_MAX`."""
CursorOption = Annotated[str | None, typer.Option(metavar="ID", help="Go on where a page ended.")]
MAIN = "main"
"""`protocols.genesis.MAIN_COMMITTEE`, which takes long to import."""
DURATION = re.compile(r"(\d{1,9})(ms|s|m|h)")
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
DURATION_MS_MAX = 30 * 24 * 3_600_000


def make_app(help_text: str) -> typer.Typer:
    """A group of verbs. Plain help: it starts faster and stays readable in narrow terminals."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def open_home(flag: Path | None) -> "Home":
    from node.home import find_home

    return find_home(flag)


def open_client(flag: Path | None, committee: str = MAIN) -> "NodeClient":
    """A client of the running node of a home. Raises Problem if it does not run."""
    from node.client import connect

    return connect(open_home(flag)).at(committee)


def show(document: Any, as_json: bool, lines: Callable[[], Iterable[str]]) -> None:
    """Print the answer: `document` (a struct or plain data) as JSON, or `lines` for people."""
    if as_json:
        import msgspec

        text = json.dumps(msgspec.to_builtins(document), indent=2, ensure_ascii=False)
    else:
        text = "\n".join(make_printable(line) for line in lines())
    if text:
        typer.echo(text)


def hint(text: str, as_json: bool) -> None:
    """Something worth knowing beside the answer, for people only."""
    if not as_json:
        typer.echo(text, err=True)


def make_printable(text: str) -> str:
    """Without control characters: names and errors come from strangers."""
    return "".join(c if c.isprintable() else "?" for c in text)


def render_pairs(pairs: Sequence[tuple[str, Any]]) -> list[str]:
    """`name  value` lines, the names padded to one width."""
    width = max((len(name) for name, _ in pairs), default=0)
    return [f"{name:<{width}}  {value}" for name, value in pairs]


def render_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """A table; where the terminal is too narrow for it, a block of `name  value` for each row."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(head), *cells]) for i in range(len(head))]
    if sum(widths) + 2 * (len(widths) - 1) <= get_columns():
        right = [all(_is_number(row[i]) for row in cells) and bool(cells) for i in range(len(head))]
        return [
            "  ".join(
                cell.rjust(width) if to_right else cell.ljust(width)
                for cell, width, to_right in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in [list(head), *cells]
        ]
    lines: list[str] = []
    for row in cells:
        pairs = [(name, cell) for name, cell in zip(head, row, strict=True) if cell]
        lines += [*([""] if lines else []), *render_pairs(pairs)]
    return lines


def get_columns() -> int:
    """Columns of the terminal; wide when the output goes to a file or a program."""
    import shutil

    if "COLUMNS" not in os.environ and not sys.stdout.isatty():
        return 200
    return shutil.get_terminal_size().columns


def _is_number(text: str) -> bool:
    return text == "" or text.lstrip("-").replace(".", "", 1).isdigit()


def shorten(text: str | None, count: int = 12) -> str:
    """The first digits of an id, as many as people compare."""
    return "" if text is None else text[:count]


def parse_duration(text: str) -> int:
    """Milliseconds of `500ms`, `60s`, `5m` or `1h`. A usage error otherwise."""
    found = DURATION.fullmatch(text.strip())
    value = int(found[1]) * _UNITS_MS[found[2]] if found else 0
    if not 1 <= value <= DURATION_MS_MAX:
        raise typer.BadParameter(f"{text!r} is not a duration such as 500ms, 60s, 5m or 1h")
    return value

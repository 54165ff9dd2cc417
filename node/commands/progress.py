"""Progress of long work on large files, on a terminal's standard error alone."""

import contextlib
import sys
from collections.abc import Callable, Iterator

SHOWN_BYTES_MIN = 8 << 20
"""Shorter work is over before anybody has read a bar."""


@contextlib.contextmanager
def show_progress(as_json: bool) -> Iterator[Callable[[str, int, int], None]]:
    """A callback for (what, bytes done, bytes in all); 0 in all where that is not known."""
    if as_json or not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("", total=None, visible=False)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(
                bar,
                description=what,
                completed=done,
                total=total or None,
                visible=max(done, total) >= SHOWN_BYTES_MIN,
            )

        yield tell

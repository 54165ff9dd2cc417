"""Log lines about one id, from the log files of several homes."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from node.home import Home
from node.log_lines import escape

LINES_MAX = 10_000
LINE_CHARS_MAX = 32_000
"""Longer lines are not this program's."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line about an id: when its node wrote it, by that node's own clock, and what it says."""

    ts: str
    node: str
    level: str
    event: str
    text: str


def find_lines(homes: Sequence[tuple[str, Home]], id_: str) -> list[LogLine]:
    """The newest lines, LINES_MAX at most, about an id (in full) in the logs of named homes, of
    either format, in the order of their times."""
    found = [
        line
        for name, home in homes
        for raw in _read(home)
        if id_ in raw and (line := _parse(name, raw)) is not None
    ]
    found.sort(key=lambda line: line.ts)
    return found[-LINES_MAX:]


def _read(home: Home) -> Iterable[str]:
    older = home.log_path.with_name(f"{home.log_path.name}.1")
    for path in (older, home.log_path):
        if path.is_file():
            yield from _read_lines(path)


def _read_lines(path: Path) -> Iterable[str]:
    with path.open(encoding="utf-8", errors="replace") as lines:
        yield from (line.rstrip("\n") for line in lines if len(line) <= LINE_CHARS_MAX)


def _parse(name: str, raw: str) -> LogLine | None:
    """None for what is no line of a log: it may be of another version, or another program's."""
    if not raw.startswith("{"):
        parts = escape(raw).split(" ", 3)
        if len(parts) < 4:
            return None
        return LogLine(
            ts=parts[0], node=name, level=parts[1].lower(), event=parts[2], text=parts[3]
        )
    try:
        fields = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    head = [escape(str(fields.pop(key, ""))) for key in ("ts", "level", "event")]
    fields.pop("node", None)
    text = " ".join(f"{key}={value}" for key, value in fields.items() if value != "")
    return LogLine(ts=head[0], node=name, level=head[1], event=head[2], text=escape(text))

"""Log lines that programs can follow: one JSON object each, or the same as text.

Every line of this node's own names its event, a stable word, and what it is about: the ids of a
task, an auction or an operation stand in full, so that one id, looked for in the logs of several
nodes, gives its whole way. Texts of strangers are escaped and cut: a line stays a line.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

from identity.keys import compute_peer_id

Format = Literal["text", "json"]

FIELDS = "econode_fields"
EVENT = "econode_event"
"""Where a record carries what `about` was given."""
TEXT_CHARS_MAX = 2_000
"""Of a message, and of each text beside it."""
TRACEBACK_CHARS_MAX = 16_000
IDS_MAX = 16
"""Ids in one list; a line about more says how many there were."""


def about(event: str, **fields: Any) -> dict[str, Any]:
    """The `extra` of a log call: the event's name, and what the line is about. Bytes are digests,
    written as hex; put keys as PeerIds. A field that is None is left out. Never give it a secret or
    a payload."""
    return {EVENT: event, FIELDS: fields}


def name_peer(key: bytes) -> str:
    return compute_peer_id(key)


def read_event(record: logging.LogRecord) -> str:
    """The event of a record; a library's goes by the name of its logger."""
    event: str = record.__dict__.get(EVENT) or record.name
    return event


class JsonLines(logging.Formatter):
    """One JSON object a line, in ASCII: ts (UTC), level, event, node, the fields, message."""

    def __init__(self, node: str) -> None:
        super().__init__()
        self._node = node

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "ts": format_time(record.created),
            "level": record.levelname.lower(),
            "event": read_event(record),
            "node": self._node,
        }
        for name, value in record.__dict__.get(FIELDS, {}).items():
            if value is not None:
                line.setdefault(name, _plain(value))
        line["message"] = read_message(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)[-TRACEBACK_CHARS_MAX:]
        return json.dumps(line)


class TextLines(logging.Formatter):
    """For people: time (UTC), level, event, message, and the fields as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        parts = [format_time(record.created), record.levelname, read_event(record)]
        message = escape(read_message(record))
        parts += [message] if message else []
        for name, value in record.__dict__.get(FIELDS, {}).items():
            if value is not None:
                parts.append(f"{name}={_render(_plain(value))}")
        line = " ".join(parts)
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)[-TRACEBACK_CHARS_MAX:]
        return line


def make_formatter(format_: Format, node: str) -> logging.Formatter:
    return JsonLines(node) if format_ == "json" else TextLines()


def format_time(seconds: float) -> str:
    """UTC to the millisecond, as RFC 3339 writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def read_message(record: logging.LogRecord) -> str:
    return record.getMessage()[:TEXT_CHARS_MAX]


def escape(text: str) -> str:
    """What does not print, line ends and changes of direction too, as escape sequences."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode()
        for char in text
    )


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        kept = [_plain(item) for item in value[:IDS_MAX]]
        return [*kept, f"and {len(value) - IDS_MAX} more"] if len(value) > IDS_MAX else kept
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:TEXT_CHARS_MAX]


def _render(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(map(_render, value))
    text = escape(str(value))
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or '"' in text else text

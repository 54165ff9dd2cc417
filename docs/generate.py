"""Write docs/reference-*.md and docs/anomalies.md from what the program itself knows.

python docs/generate.py          write them
python docs/generate.py --check  end with 1 if one is not current
"""

import ast
import importlib.util
import json
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
COLUMNS = 80
UNBOUNDED = 2**63 - 1
"""What no value of the field reaches."""
sys.path[:0] = [str(ROOT), str(DOCS)]

HEAD = """\
# Command reference

Written by `docs/generate.py` from the commands themselves; do not edit.

Every verb takes `--json`: exactly one JSON document on standard output, logs on standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. A failure with `--json` is the
document `{"error": {"type", "title", "status", "detail", "where", "remedy"}}`.
"""


def find_plugins() -> Iterator[tuple[str, Any]]:
    """The verbs that pyproject.toml names and this tree holds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for name, target in sorted(project["entry-points"]["econode.commands"].items()):
        module, _, attribute = target.partition(":")
        if importlib.util.find_spec(module) is not None:
            plugin = getattr(importlib.import_module(module), attribute)
            yield name, typer.main.get_command(plugin)


def render(name: str, command: Any, parent: Any, level: int) -> Iterator[str]:
    """The help of a command and of all below it."""
    context = typer.Context(
        command, info_name=name, parent=parent, terminal_width=COLUMNS, max_content_width=COLUMNS
    )
    lines = [line.rstrip() for line in command.get_help(context).splitlines()]
    yield f"{'#' * level} {context.command_path}\n\n```text\n" + "\n".join(lines) + "\n```\n"
    for child, item in getattr(command, "commands", {}).items():
        yield from render(child, item, context, min(level + 1, 4))


METRICS_HEAD = """\
# Metrics

Written by `docs/generate.py` from `node/telemetry.py`; do not edit.

`GET /metrics` of the local API gives them in the text format of Prometheus; it needs the bearer
token (`authorization: credentials_file` in a scrape configuration). `GET /health` and `GET
/ready` need none: the first says that the node answers, the second (200 or 503) that it has
caught up and is linked to a quorum of each of its committees. [grafana.json](grafana.json) is a
dashboard, [alerts.yml](alerts.yml) are rules to begin with. Names end with their unit. The
process' own metrics (`process_*`) are the usual ones.

| metric | kind | labels | meaning |
|---|---|---|---|
"""


def generate_metrics() -> str:
    """The page of the metrics."""
    from node.telemetry import COMMIT_LATENCY, COMMIT_LATENCY_HELP, METRICS

    rows = [(m.name, m.kind, ", ".join(m.labels), m.help) for m in METRICS]
    rows.append((COMMIT_LATENCY, "histogram", "", COMMIT_LATENCY_HELP))
    lines = [f"| `{name}` | {kind} | {labels} | {text} |" for name, kind, labels, text in rows]
    return METRICS_HEAD + "\n".join(lines) + "\n"


def generate_api() -> str:
    """The page of the local API."""
    import api_page

    from node.api import describe_api

    return api_page.render(describe_api())


def generate_commands() -> str:
    """The page of the commands; the same for the same tree."""
    from node.cli import app

    root = typer.main.get_command(app)
    assert isinstance(root, typer.core.TyperGroup)
    context = typer.Context(root, info_name="econode")
    parts = [HEAD]
    for name, command in [*root.commands.items(), *find_plugins()]:
        parts += render(name, command, context, 2)
    return "\n".join(parts)


CONFIG_HEAD = """\
# Configuration

Written by `docs/generate.py` from `node/config.py`; do not edit.

`config.toml` in the home; every key is optional. A flag (`--set SECTION.KEY=VALUE`) wins over the
environment (`ECONODE_SECTION_KEY`, such as `ECONODE_API_PORT`), which wins over the file. `econode
config show` prints each value in force, who set it and why it is what it is; `econode config check`
reads everything as `start` does. An unknown key is refused, and the nearest known one named.
"""


def generate_config() -> str:
    """The page of config.toml: sections with kinds, bounds, defaults and reasons, then the file."""
    import msgspec

    from node.config import Config
    from node.config_file import render_config

    schema = msgspec.json.schema(Config)
    definitions = schema["$defs"]
    parts = [CONFIG_HEAD]
    for name, found in definitions["Config"]["properties"].items():
        section = definitions[found.get("items", found)["$ref"].rpartition("/")[2]]
        title = f"[[{name}]]" if "items" in found else f"[{name}]"
        lines = [
            f"## {title}\n",
            f"{section['description']}\n",
            "| key | kind | default | why |",
            "|---|---|---|---|",
        ]
        for key, field in section["properties"].items():
            default = (
                f"`{json.dumps(field['default'], ensure_ascii=False)}`"
                if "default" in field
                else "needed"
            )
            cells = (f"`{key}`", describe_kind(field), default, field.get("description", ""))
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("\n".join(lines) + "\n")
    parts.append(
        f"## The whole file\n\nWhat `econode init` writes.\n\n```toml\n{render_config()}```\n"
    )
    return "\n".join(parts)


def describe_kind(field: dict[str, Any]) -> str:
    """The type of a key with its bounds, in words, from its JSON schema."""
    if "enum" in field:
        return " or ".join(f"`{value}`" for value in field["enum"])
    if "anyOf" in field:
        return " or ".join(
            describe_kind(each) for each in field["anyOf"] if each.get("type") != "null"
        )
    kind = {"array": "list", "object": "table", "string": "text"}.get(field["type"], field["type"])
    least, most = field.get("minimum"), field.get("maximum")
    if most is None or most >= UNBOUNDED:
        return kind if least is None else f"{kind}, at least {least}"
    return f"{kind}, {least} to {most}" if least is not None else f"{kind}, up to {most}"


LOGS_HEAD = """\
# Log lines

Written by `docs/generate.py` from the calls in `node/`; do not edit.

`econode start` logs on standard error and into `node.log` in the home. `[log] format` (or
`--log-format`) is `text` or `json`; `[log] level` (or `--log-level`) the least level. A JSON line
has `ts` (UTC), `level`, `event`, `node` (PeerId), the fields below, `message`, and `traceback`
where there is one; a text line is time, level, event, message and the fields as name=value. Ids
stand in full: an id looked for in the logs of several nodes gives its whole way. At most
`[log] lines_per_minute_max` lines of one event are written; `dropped` in its next line says how
many were not. Keys, tokens, inputs and results never stand in a log; texts of others are escaped
and cut.

## What a committee ordered

The same in the log of every node, with `committee`, `position` and `agreed_ms`: `operation_ordered`
with the `operation`'s digest, and one line for each fact that goes on under an id, by the fact's
kind ([list](protocol-operations.md)): a task goes through `task_opened`, `auction_opened`,
`bid_committed`, `awarded`, `work_committed`, `verifiers_drawn`, `work_revealed`, `accepted`,
`settled`, `task_ended`. Payments, bonds and offers are told at level `debug`.

## What a node says of itself

| event | level | fields | message |
|---|---|---|---|
"""


def find_log_calls() -> Iterator[tuple[str, str, str, str]]:
    """Event, level, fields and message of each log call with a fixed event."""
    for path in sorted((ROOT / "node").rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            given = {word.arg: word.value for word in call.keywords}
            extra = given.get("extra")
            if not isinstance(extra, ast.Call) or not isinstance(extra.args[0], ast.Constant):
                continue
            is_chosen = isinstance(call.func, ast.Name)  # by what happened
            level = "info, warning" if is_chosen else ast.unparse(call.func).removeprefix("logger.")
            fields = ", ".join(f"`{word.arg}`" for word in extra.keywords if word.arg)
            message = call.args[0].value if isinstance(call.args[0], ast.Constant) else ""
            yield str(extra.args[0].value), level, fields, str(message).replace("|", "\\|")


def generate_logs() -> str:
    """The page of the log lines."""
    rows = sorted(set(find_log_calls()))
    return LOGS_HEAD + "".join(f"| `{e}` | {lv} | {f} | {m} |\n" for e, lv, f, m in rows)


ANOMALIES_HEAD = """\
# Anomalies

Written by `docs/generate.py` from `node/anomaly_rules.py`; do not edit.

`econode anomalies` (`GET /v1/anomalies`) shows what is unlike the rest in a committee's log, with
the numbers behind it: kind, subject, what is observed, what is usual, over how many observations,
since when. Each node looks at what was ordered every 30 s, counts what it finds in the metric
`econode_anomalies` and logs each new one as the event `anomaly`. **An anomaly is a reason to look,
never a verdict**: no bid, payment, vote or reputation changes by it.

Subjects are compared with their own past or with the median of the others, so what everybody does
is usual, and one that lies about everybody else moves no median. Shares are tested by exact
binomial tails, times and prices by the median absolute deviation; all in integers, so that nodes
with the same log say the same (votes differ: each node keeps the first quorum that it heard).

| kind | rule | honest subjects that look alike |
|---|---|---|
"""


def generate_anomalies() -> str:
    """The page of the anomalies."""
    from node.anomaly_rules import RULES

    rows = [f"| `{kind}` | {rule} | {alike} |" for kind, (rule, alike) in RULES.items()]
    return ANOMALIES_HEAD + "\n".join(rows) + "\n"


def main() -> int:
    pages = {
        "reference-cli.md": generate_commands(),
        "reference-config.md": generate_config(),
        "reference-metrics.md": generate_metrics(),
        "reference-logs.md": generate_logs(),
        "anomalies.md": generate_anomalies(),
        "reference-api.md": generate_api(),
    }
    if "--check" in sys.argv[1:]:
        current = [(DOCS / name).exists() and (DOCS / name).read_text() for name in pages]
        return 0 if current == list(pages.values()) else 1
    for name, text in pages.items():
        (DOCS / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

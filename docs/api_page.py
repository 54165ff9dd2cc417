"""docs/reference-api.md out of the OpenAPI document of the local API."""

import re
from collections.abc import Iterator
from typing import Any

HEAD = """\
# API reference

Written by `docs/generate.py` from the API's OpenAPI document; do not edit. A running node serves
that document at `/openapi.json`. [Operating a node](operations.md) tells how to use the API: the
token, idempotency keys, pages, event streams, limits, proofs.

Every failure is `application/problem+json` (a `ProblemDocument`); what a status means stands at the
end. Bytes are `application/octet-stream`.
"""
JSON, PROBLEM = "application/json", "application/problem+json"


def render(document: dict[str, Any]) -> str:
    """The page: an overview, each operation, the statuses, the structs."""
    operations = [
        (method.upper(), path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    operations.sort(key=lambda each: (each[1], each[0]))
    parts = [HEAD, "## Overview\n\n| operation | what |\n|---|---|"]
    parts += [
        f"| [`{method} {path}`](#{_make_anchor(method, path)}) | {_get_summary(operation)} |"
        for method, path, operation in operations
    ]
    parts.append("\n## Operations\n")
    for method, path, operation in operations:
        parts += _render_operation(method, path, operation)
    parts += _render_statuses(operations)
    parts += _render_structs(document["components"]["schemas"])
    return "\n".join(parts) + "\n"


def _make_anchor(method: str, path: str) -> str:
    return re.sub("[^a-z0-9 _-]", "", f"{method} {path}".lower()).replace(" ", "-")


def _get_summary(operation: dict[str, Any]) -> str:
    text = " ".join(operation.get("description", "").split())
    return text.split(". ")[0].split("; ")[0].rstrip(".").replace("|", "\\|")


def _render_operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {method} {path}\n"
    yield " ".join(operation.get("description", "").split()) + "\n"
    if operation.get("security") == []:
        yield "Needs no token.\n"
    parameters = [each for each in operation.get("parameters", ()) if each["in"] != "header"]
    if parameters:
        yield "| parameter | in | type | default | meaning |\n|---|---|---|---|---|"
        for each in parameters:
            default = "required" if each.get("required") else _get_default(each["schema"])
            meaning = each.get("description", "").replace("|", "\\|")
            kind = _name_kind(each["schema"])
            yield f"| `{each['name']}` | {each['in']} | {kind} | {default} | {meaning} |"
        yield ""
    body = operation.get("requestBody")
    if body is not None:
        yield f"Body: {_name_content(body['content'])}\n"
    statuses = sorted(status for status in operation["responses"] if status != "200")
    yield f"Answer: {_name_content(operation['responses']['200']['content'])}\n"
    yield f"Problems: {', '.join(statuses)}\n"


def _get_default(schema: dict[str, Any]) -> str:
    default = schema.get("default")
    return "" if default is None else f"`{str(default).lower() if default is False else default}`"


def _name_content(content: dict[str, Any]) -> str:
    return ", or ".join(
        _name_kind(item["schema"]) if media == JSON else f"`{media}`"
        for media, item in content.items()
        if media != PROBLEM
    )


def _name_kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_name_kind(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_name_kind(schema.get('items') or {})}"
    bounds = [
        f"{name} {schema[key]}"
        for key, name in (
            ("minimum", "≥"),
            ("maximum", "≤"),
            ("maxLength", "length ≤"),
            ("pattern", "like"),
        )
        if key in schema
    ]
    words = [str(schema.get("type", "any")), *(f"`{each}`" for each in bounds)]
    return " ".join(words).replace("|", "\\|")


def _render_statuses(operations: list[tuple[str, str, dict[str, Any]]]) -> Iterator[str]:
    found = {
        status: answer["description"]
        for _, _, operation in operations
        for status, answer in operation["responses"].items()
        if PROBLEM in answer.get("content", {})
    }
    yield "## Statuses of problems\n\n| status | meaning |\n|---|---|"
    yield from (f"| {status} | {text} |" for status, text in sorted(found.items()))
    yield ""


def _render_structs(schemas: dict[str, Any]) -> Iterator[str]:
    yield "## Structs\n\nWhat is answered and taken, then the facts of a committee's log.\n"
    facts = {name for name in schemas if name.startswith("Fact")}
    for name in [*sorted(set(schemas) - facts), *sorted(facts)]:
        schema = schemas[name]
        yield f"### {name}\n"
        yield " ".join(schema.get("description", "").split()) + "\n"
        if "oneOf" in schema:
            kinds = schema["discriminator"]["mapping"]
            yield ", ".join(
                f"[`{kind}`](#{ref.rsplit('/', 1)[1].lower()})" for kind, ref in kinds.items()
            )
            yield ""
            continue
        yield "| field | type |\n|---|---|"
        required = set(schema.get("required", ()))
        for field, kind in schema.get("properties", {}).items():
            told = f"`{kind['const']}`" if "const" in kind else _name_kind(kind)
            yield f"| `{field}`{'' if field in required else ' (optional)'} | {told} |"
        yield ""

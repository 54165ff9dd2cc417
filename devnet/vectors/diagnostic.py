"""CBOR values in diagnostic notation (RFC 8949 section 8)."""

import json
from typing import Any


def render(value: Any) -> str:
    """A plain value: maps, arrays, text, bytes, integers, booleans and null."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case bytes():
            return f"h'{value.hex()}'"
        case str():
            return json.dumps(value, ensure_ascii=True)
        case list() | tuple():
            return "[" + ", ".join(map(render, value)) + "]"
        case dict():
            pairs = (f"{render(key)}: {render(item)}" for key, item in value.items())
            return "{" + ", ".join(pairs) + "}"
    raise TypeError(f"no notation for {type(value).__name__}")

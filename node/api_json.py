"""What all routes of the local API share: their kind, and structs to JSON and back."""

from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from fastapi import Response

from node.problem import Problem

T = TypeVar("T")
AddRoute = Callable[[str, str, Callable[..., Any], type], None]
"""Adds a route: method, path, handler, struct of the answer (`bytes` where it is none)."""


def answer(value: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def parse(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        message, _, path = str(error).partition(" - at ")
        raise Problem(
            "invalid-request",
            message,
            where=path.strip("`"),
            remedy="/openapi.json holds the schema",
        ) from None

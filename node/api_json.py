"""What all routes of the local API share: structs to JSON and back."""

from typing import TypeVar

import msgspec
from fastapi import Response

from node.api_contract import AddRoute as AddRoute
from node.problem import Problem

T = TypeVar("T")


def answer(value: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def give_bytes(data: bytes) -> Response:
    return Response(data, media_type="application/octet-stream")


def parse(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, RecursionError) as error:
        message, _, path = str(error).partition(" - at ")
        raise Problem(
            "invalid-request",
            message,
            where=path.strip("`"),
            remedy="/openapi.json holds the schema",
        ) from None

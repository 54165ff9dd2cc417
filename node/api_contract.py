"""What the OpenAPI document says of the local API: for each route its query, body, answers and
problems. The schemas are those of the structs that are answered and taken."""

import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from fastapi import FastAPI, Response

from crdt.facts_market import VariableTerms
from node.answer import CHANGES, KEY_HEADER, Answer, ProblemDocument
from node.fact_schema import make_fact_schemas
from node.idempotency import KEY_CHARS_MAX
from node.proven import Proven

BYTES = "application/octet-stream"
EVENTS = "text/event-stream"
JSON = "application/json"
PROBLEM = "application/problem+json"
TEMPLATE = "#/components/schemas/{name}"
PROBLEMS = {
    400: "The query or the body is not what this route takes.",
    401: "The bearer token is absent or wrong.",
    404: "There is no such committee, or nothing by that name.",
    405: "This path does not have that method.",
    409: "It cannot be done, or told, as things stand.",
    413: "The body is larger than this route takes.",
    414: "The path and query are longer than is taken.",
    421: "The Host header does not name this machine's loopback.",
    422: "Another request used this Idempotency-Key, or the body proves nothing.",
    429: "Too many requests at once, or in a second; Retry-After says when to ask again.",
    431: "The head of the request is larger than is taken.",
    500: "A fault of the node; its log has the details.",
    503: "The node cannot do it now: it is stopping, halted, or lacks connected peers.",
}
_EVERYWHERE = (400, 413, 414, 421, 429, 500, 503)


class AddRoute(Protocol):
    """Adds a route. `kind` is the struct of the answer, `bytes` where it is none; `media` is then
    its media type. `body` is the struct of the request's body, `bytes` where it is none.
    `problems` are statuses beyond those that follow from method and path; with those of `others`
    the answer may also be a `kind`. With the query `proof` of a handler it is a Proven."""

    def __call__(
        self,
        method: str,
        path: str,
        handler: Callable[..., Any],
        kind: type,
        *,
        body: type | None = None,
        media: str = BYTES,
        problems: Sequence[int] = (),
        others: Sequence[int] = (),
    ) -> None: ...


@dataclass(frozen=True, slots=True)
class _Route:
    method: str
    path: str
    handler: Callable[..., Any]
    is_open: bool

    def list_problems(self, more: Sequence[int]) -> list[int]:
        """Statuses of problem+json answers."""
        found = {*_EVERYWHERE, *more}
        if "proof" in inspect.signature(self.handler).parameters:
            found.add(409)
        if not self.is_open:
            found.add(401)
        if "{" in self.path or "committee" in inspect.signature(self.handler).parameters:
            found.add(404)
        if self.method in CHANGES:
            found |= {404, 409, 422}
        return sorted(found)


class Contract:
    """Adds routes to `app` and describes them. `open_paths` need no token."""

    def __init__(self, app: FastAPI, is_open: Callable[[str], bool]) -> None:
        self._app, self._is_open = app, is_open
        app.openapi = self._describe  # type: ignore[method-assign]

    def add(
        self,
        method: str,
        path: str,
        handler: Callable[..., Any],
        kind: type,
        *,
        body: type | None = None,
        media: str = BYTES,
        problems: Sequence[int] = (),
        others: Sequence[int] = (),
    ) -> None:
        """See AddRoute."""
        route = _Route(method, path, handler, self._is_open(path))
        responses: dict[int | str, dict[str, Any]] = {
            status: {
                "description": PROBLEMS[status],
                "content": {PROBLEM: {"schema": _refer(ProblemDocument)}},
            }
            for status in route.list_problems(problems)
        }
        responses[200] = _describe_answer(kind, media)
        if "proof" in inspect.signature(handler).parameters:
            _add_proof(responses[200]["content"])
        for status in others:
            responses[status]["content"] |= responses[200]["content"]
        extra: dict[str, Any] = {}
        if body is not None:
            content = {BYTES: {"schema": _BINARY}}
            if body is not bytes:
                content = {JSON: {"schema": _refer(body)}}
            extra["requestBody"] = {"required": True, "content": content}
        if method in CHANGES:
            extra["parameters"] = [_KEY_PARAMETER]
        if route.is_open:
            extra["security"] = []
        self._app.add_api_route(
            path,
            handler,
            methods=[method],
            operation_id="_".join([method.lower(), *re.findall("[a-z]+", path.replace("/v1", ""))]),
            response_class=Response,
            response_model=None,
            responses=responses,
            openapi_extra=extra,
        )

    def _describe(self) -> dict[str, Any]:
        if self._app.openapi_schema is None:
            document = FastAPI.openapi(self._app)
            structs = [*Answer.__subclasses__(), VariableTerms]
            _, schemas = msgspec.json.schema_components(structs, ref_template=TEMPLATE)
            components = document.setdefault("components", {})
            components["schemas"] = schemas | make_fact_schemas()
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            document["security"] = [{"token": []}]
            for route in document["paths"].values():
                for operation in route.values():
                    _drop_framework_answer(operation)
            self._app.openapi_schema = document
        return self._app.openapi_schema


_BINARY = {"type": "string", "format": "binary"}
_KEY_PARAMETER = {
    "name": KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "Names this request: repeated with the same key and body it is not carried out "
    "again, and gets the same answer. Quoted or not.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": KEY_CHARS_MAX,
        "pattern": "^[A-Za-z0-9._:-]+$",
    },
}


def _describe_answer(kind: type, media: str) -> dict[str, Any]:
    if kind is not bytes and media != EVENTS:
        text = " ".join((kind.__doc__ or "").split())
        return {"description": text, "content": {JSON: {"schema": _refer(kind)}}}
    schema = {"type": "string"} if media.startswith("text/") else _BINARY
    return {"description": "As the route says.", "content": {media: {"schema": schema}}}


def _add_proof(content: dict[str, Any]) -> None:
    found = content.setdefault(JSON, {"schema": {"anyOf": []}})
    kinds = found["schema"].get("anyOf", [found["schema"]])
    found["schema"] = {"anyOf": [*kinds, _refer(Proven)]}


def _refer(kind: type) -> dict[str, str]:
    return {"$ref": TEMPLATE.format(name=kind.__name__)}


def _drop_framework_answer(operation: dict[str, Any]) -> None:
    """The framework says that it answers 422 to a bad query: here that is a problem with 400."""
    answer = operation["responses"].get("422")
    if answer is not None and PROBLEM not in answer["content"]:
        del operation["responses"]["422"]

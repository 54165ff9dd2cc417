"""Failures of the local API as problem+json (RFC 9457): one shape, whoever found them."""

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from identity.errors import EconodeError
from node.problem import Problem


def answer_problems(app: FastAPI) -> None:
    """Have `app` answer whatever is raised as a problem."""
    app.add_exception_handler(Problem, _answer_problem)
    app.add_exception_handler(EconodeError, _answer_refusal)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(Exception, _answer_fault)


async def _answer_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return _to_response(error)


async def _answer_refusal(_: Request, error: Exception) -> Response:
    """What a deeper layer raised on purpose; its message is meant to be read."""
    return _to_response(Problem("refused", str(error), status=409))


async def _answer_http_error(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: unknown paths, wrong methods, bad queries."""
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "wrong-method"}.get(error.status_code, "invalid-request")
    return _to_response(
        Problem(
            kind,
            f"{request.method} {request.url.path}: {error.detail}",
            remedy="/openapi.json lists what there is",
            status=error.status_code,
        )
    )


async def _answer_invalid(_: Request, error: Exception) -> Response:
    """A query that is not of its type."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = str(first["loc"][-1])
    return _to_response(
        Problem(
            "invalid-request",
            f"{field}: {first['msg']}",
            where=field,
            remedy="/openapi.json holds the schema",
        )
    )


async def _answer_fault(request: Request, error: Exception) -> Response:
    """A fault of the node itself; the server logs the traceback."""
    return _to_response(
        Problem(
            "fault",
            f"{request.method} {request.url.path}: the node failed ({type(error).__name__})",
            remedy="its log (standard error of `econode start`) has the details",
            status=500,
        )
    )


def _to_response(problem: Problem) -> Response:
    return Response(
        msgspec.json.encode(problem.to_document()),
        status_code=problem.status,
        media_type="application/problem+json",
    )

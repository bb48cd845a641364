"""Refusals as RFC 9457 has them: application/problem+json, the same in every stage."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A refusal. `reason` is for programs, `detail` for people, `retry_after` is in seconds."""

    def __init__(
        self, status: int, reason: str, detail: str, *, retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


def response_of(problem: Problem) -> Response:
    content = {
        "type": f"/problems/{problem.reason}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "reason": problem.reason,
    }
    headers = {}
    if problem.retry_after is not None:
        headers["Retry-After"] = str(problem.retry_after)
    return Response(msgspec.json.encode(content), problem.status, headers, MEDIA_TYPE)


def handle(app: FastAPI) -> None:
    """Every error of this app becomes a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _parameters)
    app.add_exception_handler(Exception, _unforeseen)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return response_of(error)


_REASONS = {404: "not-found", 405: "method", 413: "too-large"}


async def _http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reason = _REASONS.get(error.status_code, "request")
    detail = f"{str(error.detail).rstrip('.')}."
    response = response_of(Problem(error.status_code, reason, detail))
    response.headers.update(error.headers or {})
    return response


async def _parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return response_of(Problem(422, "parameter", f"{where}: {first['msg']}."))


async def _unforeseen(request: Request, error: Exception) -> Response:
    """Starlette raises it again, so the server logs it with its stack."""
    return response_of(unforeseen())


def unforeseen() -> Problem:
    """For a mistake of ours."""
    detail = "Something went wrong here, and it has been logged; what was sent may be sent again."
    return Problem(500, "internal", detail)

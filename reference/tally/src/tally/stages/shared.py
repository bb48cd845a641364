"""What does not differ between the stages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import msgspec
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

import tally
from tally import contract, model, problems
from tally.ingest.rows import Row
from tally.model import Event, EventResult, Rejected, Status
from tally.problems import Problem
from tally.settings import Limits, Settings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_JSON = "application/json"
_DESCRIPTION = (
    "Events in, aggregates out. What is acknowledged is committed; what is sent twice counts once."
)


def service(settings: Settings, lifespan: Lifespan, routes: Sequence[BaseRoute] = ()) -> FastAPI:
    """An app that answers in problems and describes the API. `routes` are tried first."""
    app = FastAPI(
        title="tally",
        version=tally.__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        routes=list(routes),
        telemetry={"tracing": False, "metrics": False, "logs": False},
        max_body_size=2 * settings.limits.upload_bytes,  # routes say less, and say it as a problem
    )
    problems.handle(app)
    contract.describe(app, settings.limits)
    return app


async def body_of(request: Request, most: int) -> bytes:
    """Never more than `most` bytes in memory. Raises Problem."""
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) <= most:
        return await request.body()  # the server reads no more than that
    parts = bytearray()
    if not length.isdecimal():
        async for part in request.stream():
            parts += part
            if len(parts) > most:
                break
        else:
            return bytes(parts)
    raise Problem(413, "too-large", f"The body has more than {most} bytes.")


def now() -> datetime:
    return datetime.now(UTC)


def event_or_problem(raw: bytes, customer: int, limits: Limits) -> Event:
    """Of a request for one event. Raises Problem."""
    try:
        return model.event_of(raw, customer, now(), limits)
    except Rejected as rejected:
        raise model.problem_of(rejected) from None


def row_or_problem(normalise: Callable[[Event, int], Row], event: Event, customer: int) -> Row:
    """Raises Problem."""
    try:
        return normalise(event, customer)
    except Rejected as rejected:
        raise model.problem_of(rejected) from None


def texts_or_problem(raw: bytes, limits: Limits) -> list[bytes]:
    """Of a request for a batch. Raises Problem."""
    try:
        return model.batch_of(raw, limits)
    except Rejected as rejected:
        raise model.problem_of(rejected) from None


def told(event_id: str, outcome: Status | Rejected) -> EventResult:
    if isinstance(outcome, Rejected):
        return model.rejection(outcome)
    return EventResult(outcome, event_id)


def event_response(row: Row, outcome: Status | Rejected) -> Response:
    """201 for what is new, 200 for what was there. Raises Problem."""
    if isinstance(outcome, Rejected):
        raise model.problem_of(outcome)
    status = 201 if outcome is Status.ACCEPTED else 200
    body = msgspec.json.encode(EventResult(outcome, row.event_id))
    return Response(body, status, media_type=_JSON)


def batch_response(results: list[EventResult]) -> Response:
    return Response(msgspec.json.encode(model.answer_of(results)), media_type=_JSON)


def json_response(body: bytes) -> Response:
    return Response(body, media_type=_JSON)


def away(error: Exception) -> Problem:
    """For a store that cannot be reached, or is too busy."""
    return Problem(503, "store", f"Nothing was acknowledged: {first_line(error)}.", retry_after=1)


def first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

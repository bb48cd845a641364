"""Imports: a file is stored and its job enqueued, then the answer is 202; a worker does the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
from fastapi import APIRouter, Depends, Request, Response
from psycopg_pool import PoolTimeout, TooManyRequests
from pydantic import BaseModel

from tally.db import Pool
from tally.ingest.faults import Fault, fault_of
from tally.problems import MEDIA_TYPE, Problem
from tally.routes.uploads import FIELD, FORM, MOST_FRAMING, Incoming, incoming
from tally.settings import Settings
from tally.worker import records
from tally.worker.contents import MEDIA_TYPES
from tally.worker.jobs import Jobs
from tally.worker.records import KIND, Import, Line, State, Upload
from tally.worker.spool import Spool, Stored, TooLarge
from unstall import LaneFull, LaneTimeout

LATER_S = 2
"""For Retry-After, where nothing was stored."""
SOON_S = "1"
UPLOAD_S = 300.0
"""How long one may take: who sends a byte a second would keep a place for ever."""
AWAY = (psycopg.OperationalError, PoolTimeout, TooManyRequests)


@dataclass(frozen=True, slots=True)
class Deps:
    """`customer` is the dependency that tells who asks: the customer's id, or it raises Problem."""

    customer: Callable[..., Any]
    pool: Pool
    jobs: Jobs
    spool: Spool


class LineAnswer(BaseModel):
    line: int
    status: str
    reason: str | None


class ImportAnswer(BaseModel):
    id: UUID
    state: State
    filename: str
    bytes: int
    reason: str | None = None
    lines: int = 0
    accepted: int = 0
    duplicates: int = 0
    rejected: int = 0
    created_at: datetime | None = None
    finished_at: datetime | None = None
    not_accepted: list[LineAnswer] = []
    """The first 1,000 lines that were not."""


def router(settings: Settings, deps: Deps) -> APIRouter:
    routes = APIRouter(prefix="/v1/imports", tags=["imports"])
    customer = Depends(deps.customer)

    @routes.post(
        "",
        status_code=202,
        max_body_size=settings.limits.upload_bytes + MOST_FRAMING,
        operation_id="create_import",
        summary="Upload events as lines of JSON; they are scanned and loaded later",
        openapi_extra={"requestBody": _BODY, "parameters": [_FILENAME], **_SECURED},
        responses=_problems(400, 401, 403, 408, 413, 415, 422, 429, 503, 504),
    )
    async def create(request: Request, response: Response, owner: int = customer) -> ImportAnswer:
        found = await incoming(request)
        upload = await _store(deps, found, owner, settings.limits.upload_bytes)
        await _enqueue(deps, upload)
        response.headers["Location"] = f"/v1/imports/{upload.id}"
        response.headers["Retry-After"] = SOON_S
        return ImportAnswer(
            id=upload.id, state=State.QUEUED, filename=upload.filename, bytes=upload.size
        )

    @routes.get(
        "/{number}",
        operation_id="read_import",
        summary="How far an import is, and which lines were not accepted",
        openapi_extra=_SECURED,
        responses=_problems(401, 403, 404, 422, 429, 503, 504),
    )
    async def read(number: UUID, response: Response, owner: int = customer) -> ImportAnswer:
        try:
            async with deps.pool.connection() as connection:
                record = await records.read(connection, number)
                lines = await records.lines_of(connection, number) if record else []
        except AWAY:
            raise _away() from None
        if record is None or record.customer_id != owner:
            raise Problem(404, "not-found", f"There is no import {number} of this customer.")
        if record.finished_at is None:
            response.headers["Retry-After"] = SOON_S
        return _told(record, lines)

    return routes


async def _store(deps: Deps, found: Incoming, owner: int, most: int) -> Upload:
    """Raises Problem; then nothing is left of it."""
    number = uuid4()
    try:
        async with asyncio.timeout(UPLOAD_S):
            stored = await deps.spool.store(number, found.chunks, most)
    except TooLarge:
        raise Problem(
            413, "too-large", f"The upload has more than {most} bytes: send it in parts."
        ) from None
    except TimeoutError:
        detail = f"The upload took more than {UPLOAD_S:g} s: send it in parts, or faster."
        raise Problem(408, "too-slow", detail) from None
    except (LaneFull, LaneTimeout) as error:
        raise Problem(503, "busy", f"{error}.", retry_after=LATER_S) from None
    except OSError as error:
        detail = f"The upload cannot be stored now: {error.strerror or error}."
        raise Problem(503, "storage", detail, retry_after=LATER_S) from None
    if stored.size == 0:
        await deps.spool.remove(number)
        raise Problem(422, "empty", "The upload is empty.")
    return _upload(number, owner, found, stored)


def _upload(number: UUID, owner: int, found: Incoming, stored: Stored) -> Upload:
    return Upload(number, owner, found.filename, found.kind, stored.size, stored.sha256)


async def _enqueue(deps: Deps, upload: Upload) -> None:
    """The row and its job, or neither. Raises Problem."""
    try:
        async with deps.pool.connection() as connection, connection.transaction():
            await records.create(connection, upload)
            await deps.jobs.enqueue(connection, KIND, {"import": str(upload.id)})
    except AWAY:
        # Whether the commit came through is not known, so the file stays: a worker removes it if not.
        raise _away() from None
    except psycopg.Error as error:
        if fault_of(error) is Fault.PLACE:
            await deps.pool.drain()
            raise _away() from None
        with suppress(OSError):
            await deps.spool.remove(upload.id)
        raise


def _away() -> Problem:
    detail = "The database cannot be reached now; send it again."
    return Problem(503, "database", detail, retry_after=LATER_S)


def _told(record: Import, lines: list[Line]) -> ImportAnswer:
    return ImportAnswer(
        id=record.id,
        state=record.state,
        filename=record.filename,
        bytes=record.bytes,
        reason=record.reason,
        lines=record.lines,
        accepted=record.accepted,
        duplicates=record.duplicates,
        rejected=record.rejected,
        created_at=record.created_at,
        finished_at=record.finished_at,
        not_accepted=[
            LineAnswer(line=each.line, status=each.status, reason=each.reason) for each in lines
        ],
    )


# --- for the description ---------------------------------------------------------------------------

_BYTES = {"type": "string", "format": "binary"}
_BODY = {
    "required": True,
    "content": {
        **{kind: {"schema": _BYTES} for kind in MEDIA_TYPES},
        FORM: {
            "schema": {"type": "object", "required": [FIELD], "properties": {FIELD: _BYTES}},
        },
    },
}
_FILENAME = {
    "in": "query",
    "name": "filename",
    "schema": {"type": "string", "maxLength": 255},
    "description": "for people; of a form, the file's own name is taken",
}
_SECURED: dict[str, Any] = {"security": [{"key": []}]}
_WHY = {
    400: "the form cannot be read",
    401: "no key, or an unknown one",
    403: "a revoked key",
    404: "no import of this customer",
    408: "too slow",
    413: "too large",
    415: "none of the types that are taken",
    422: "not what is allowed; `reason` says what",
    429: "too many requests",
    503: "try again after Retry-After",
    504: "not answered in time",
}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _WHY[status], "content": content} for status in statuses}

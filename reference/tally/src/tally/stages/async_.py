"""Stage three: nothing holds the loop, every wait has a bound, and what cannot be served is refused at once.

    POST /v1/events        key and flags from memory, one walk over the event, one commit for all who wait
    POST /v1/events/batch  the same, with a turn for the others after every 16 KB, or a dozen events
    GET  /v1/metrics       this process, Redis, the rollups; one question for all who ask it at once

Billing hears of usage from the worker, out of a table that is written with the events. The busy routes stand
before FastAPI, whose layers would cost more than the event: see `front`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import anyio
import httpx2
import psycopg
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tally import db, model
from tally.clients.keys import Flags, Keys
from tally.clients.pods import Pods
from tally.ingest import signature
from tally.ingest.faults import Unavailable
from tally.ingest.names import Names
from tally.ingest.normalise import fast
from tally.ingest.rows import Row
from tally.ingest.series import Series
from tally.ingest.writer import Writer
from tally.model import EventResult, Rejected, Status
from tally.problems import Problem
from tally.query.ask import query_of
from tally.query.far import Far, client_of
from tally.query.metrics import Metrics
from tally.query.rates import Rates
from tally.readiness import Readiness
from tally.settings import Limits, Settings
from tally.stages import shared, uploads
from tally.stages.front import Busy, stand_before
from unstall import Deadline, Guard, gate, instrument, switch
from unstall.guard.guard import Route as Door

_TURN: Final = 16 * 1024
"""Bytes of events that are worked on before others get their turn: a third of a millisecond. Of many batches
each has its piece in one turn of the loop, so it is a small one.
"""
_LEAST: Final = 1_300
"""What an event counts as, however small it is."""
_AGAIN_S: Final = 1.0
"""Also after a 504: what is sent again is stored once."""
_LAG_MS: Final = 250.0
_QUEUE_S: Final = 0.5
"""A burst is late; a crowd that stands is kept small, so that those who are let in are served in time."""

SWITCHES: Final = {flag: switch(f"tally-{flag}") for flag in ("ingest", "query", "imports")}
"""The operator's, for all customers; flags are for each."""


class Api:
    """What the requests of one process share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.pool = db.async_pool(settings)
        self.readiness = Readiness(settings, self.pool)
        self.far = Far(client_of(settings) if settings.redis_url else None)
        self.http = httpx2.AsyncClient(
            timeout=httpx2.Timeout(settings.upstream_s, connect=settings.upstream_s / 2),
            limits=httpx2.Limits(max_connections=32, max_keepalive_connections=16),
        )
        self.keys = Keys(Pods("auth", self.http, settings.auth_urls), self.pool, settings.auth_s)
        self.flags = Flags(Pods("flags", self.http, settings.flags_urls), settings.flags_s)
        self.rates = Rates(self.far, settings.rate, settings.workers)
        self.writer = Writer(
            self.pool,
            Series(settings.limits.series),
            Names(settings.limits.names),
            patience_s=settings.statement_s
            + 1,  # by then the server has broken it off, if it lives
            past_s=settings.limits.past_s,
        )
        self.answers = Metrics(
            self.pool,
            self.far,
            cache_s=settings.cache_s,
            memory_s=settings.memory_s,
            most_rows=settings.limits.rows,
        )
        self.signing_key = (
            signature.signing_key(settings.signing_key) if settings.signing_key else None
        )

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        async with (
            AsyncExitStack() as opened
        ):  # a start that is refused closes what was open by then
            opened.push_async_callback(self.pool.close)
            opened.push_async_callback(self.far.close)
            opened.push_async_callback(self.http.aclose)
            await anyio.sleep(0)  # imports its backend, which would hold a first request for 8 ms
            await self.pool.open()
            gate(self.pool, name="tally")
            opened.push_async_callback(self.readiness.stop)
            await self.readiness.start()
            opened.push_async_callback(self.writer.close)
            await self.writer.start()
            yield

    # --- routes ------------------------------------------------------------------------------------

    async def event(self, request: Request) -> Response:
        customer = await self._customer(request, "ingest")
        raw = await self._body(request)
        event = shared.event_or_problem(raw, customer, self.limits)
        row = shared.row_or_problem(fast, event, customer)
        (outcome,) = await self._written([row])
        return shared.event_response(row, outcome)

    async def batch(self, request: Request) -> Response:
        customer = await self._customer(request, "ingest")
        texts = shared.texts_or_problem(await self._body(request), self.limits)
        results = await read(texts, customer, self.limits)
        rows = [each for each in results if isinstance(each, Row)]
        outcomes = iter(await self._written(rows))
        return shared.batch_response(
            [
                shared.told(each.event_id, next(outcomes)) if isinstance(each, Row) else each
                for each in results
            ]
        )

    async def metrics(self, request: Request) -> Response:
        customer = await self._customer(request, "query")
        query = query_of(customer, request.query_params.multi_items(), shared.now(), self.limits)
        try:
            return shared.json_response(await self.answers.document(query))
        except psycopg.Error as error:
            raise shared.away(error) from None

    async def importer(self, request: Request) -> int:
        """The dependency of the routes for imports."""
        return await self._customer(request, "imports")

    async def livez(self) -> dict[str, bool]:
        """Touches nothing; when it is slow, the loop is the reason."""
        return {"alive": True}

    async def readyz(self) -> dict[str, bool]:
        state = self.readiness.state
        if not state.ready:
            raise Problem(503, "not-ready", f"{state.reason}.", retry_after=1)
        return {"ready": True}

    # --- steps -------------------------------------------------------------------------------------

    async def _customer(self, request: Request, flag: str) -> int:
        """Whose request it is, if they may. Raises Problem."""
        if not SWITCHES[flag].on():
            raise Problem(503, "switched-off", f"{flag} is switched off.", retry_after=30)
        customer = await self.keys.customer(request.headers.get("x-api-key"))
        await self.flags.allow(customer, flag)
        await self.rates.take(customer)
        return customer

    async def _body(self, request: Request) -> bytes:
        raw = await shared.body_of(request, self.limits.batch_bytes)
        if self.signing_key is not None:
            signature.check(raw, self.signing_key, request.headers.get(signature.HEADER))
        return raw

    async def _written(self, rows: list[Row]) -> list[Status | Rejected]:
        try:
            return await self.writer.write(rows)
        except Unavailable as error:
            raise shared.away(error) from None


async def read(texts: Sequence[bytes], customer: int, limits: Limits) -> list[EventResult | Row]:
    """A batch's events as rows, or why they are none; large ones and many let others have their turn."""
    results: list[EventResult | Row] = []
    work = 0
    for text in texts:
        try:
            event = model.event_of(text, customer, shared.now(), limits)
            results.append(fast(event, customer))
        except Rejected as rejected:
            results.append(model.rejection(rejected))
        work += max(_LEAST, len(text))
        if work >= _TURN:
            work = 0
            await asyncio.sleep(0)
    return results


def app(settings: Settings) -> FastAPI:
    api = Api(settings)
    routes = (
        Route("/v1/events", api.event, methods=["POST"]),
        Route("/v1/events/batch", api.batch, methods=["POST"]),
        Route("/v1/metrics", api.metrics, methods=["GET"]),
    )
    app = shared.service(settings, api.running, routes)
    app.add_api_route("/livez", api.livez, include_in_schema=False)
    app.add_api_route("/readyz", api.readyz, include_in_schema=False)
    uploads.include(app, settings, api.pool, api.importer)

    def part(of: int) -> int:
        return max(1, settings.in_flight // of)

    def front(inner: ASGIApp) -> ASGIApp:
        busy = Busy(inner, routes)
        in_time = Deadline(
            busy, default=settings.deadline_s, routes={"/v1/imports": None}, retry_after=_AGAIN_S
        )
        return Guard(
            in_time,
            in_flight=settings.in_flight,
            standing=part(5) if part(5) < settings.in_flight else None,
            queue=part(64),
            queue_timeout=_QUEUE_S,
            lag_ms=_LAG_MS,
            routes={
                "GET /v1/metrics": Door(in_flight=part(8)),
                "POST /v1/events/batch": Door(in_flight=part(8)),  # its body is as large as many
            },
        )

    stand_before(app, front)
    instrument(app)
    return app

"""Stage two: the case study's cure. The same calls, each in the thread pool that the whole process shares.

The loop is free again. What is left: forty threads for everybody, so that one upstream that hangs takes them
all; a commit for each event; and normalisation, which in a thread still holds the interpreter lock.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from tally import db, model
from tally.ingest import signature
from tally.ingest.normalise import naive
from tally.model import EventResult, Rejected, Status
from tally.query.ask import query_of
from tally.readiness import Readiness
from tally.settings import Settings
from tally.stages import shared, uploads
from tally.stages.legacy import Legacy


class Api:
    def __init__(self, settings: Settings) -> None:
        self.limits = settings.limits
        self.legacy = Legacy(settings)
        self.readiness = Readiness(settings)
        self.pool = db.async_pool(replace(settings, pool_size=2))  # for imports

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        try:
            await self.pool.open()
            await self.readiness.start()
            yield
        finally:
            await self.readiness.stop()
            await self.pool.close()
            await run_in_threadpool(self.legacy.close)

    async def event(self, request: Request) -> Response:
        customer = await self._customer(request, "ingest")
        raw = await self._body(request)
        event = shared.event_or_problem(raw, customer, self.limits)
        row = await run_in_threadpool(shared.row_or_problem, naive, event, customer)
        status = await run_in_threadpool(self.legacy.save, row)
        await run_in_threadpool(self.legacy.bill, customer, int(status is Status.ACCEPTED))
        return shared.event_response(row, status)

    async def batch(self, request: Request) -> Response:
        customer = await self._customer(request, "ingest")
        results: list[EventResult] = []
        for text in shared.texts_or_problem(await self._body(request), self.limits):
            try:
                event = model.event_of(text, customer, shared.now(), self.limits)
                row = await run_in_threadpool(naive, event, customer)
            except Rejected as rejected:
                results.append(model.rejection(rejected))
            else:
                status = await run_in_threadpool(self.legacy.save, row)
                results.append(shared.told(row.event_id, status))
        accepted = sum(each.status is Status.ACCEPTED for each in results)
        await run_in_threadpool(self.legacy.bill, customer, accepted)
        return shared.batch_response(results)

    async def metrics(self, request: Request) -> Response:
        customer = await self._customer(request, "query")
        query = query_of(customer, request.query_params.multi_items(), shared.now(), self.limits)
        return shared.json_response(await run_in_threadpool(self.legacy.ask, query))

    async def importer(self, request: Request) -> int:
        return await self._customer(request, "imports")

    async def livez(self) -> dict[str, bool]:
        return {"alive": True}

    async def readyz(self) -> dict[str, bool]:
        await run_in_threadpool(self.legacy.is_ready)
        return {"ready": True}

    async def _customer(self, request: Request, flag: str) -> int:
        key = request.headers.get("x-api-key")
        customer = await run_in_threadpool(self.legacy.authenticate, key)
        await run_in_threadpool(self.legacy.check_flag, customer, flag)
        await run_in_threadpool(self.legacy.check_rate, customer)
        return customer

    async def _body(self, request: Request) -> bytes:
        raw = await shared.body_of(request, self.limits.batch_bytes)
        given = request.headers.get(signature.HEADER)
        await run_in_threadpool(self.legacy.check_signature, raw, given)
        return raw


def app(settings: Settings) -> FastAPI:
    api = Api(settings)
    app = shared.service(settings, api.running)
    app.add_api_route("/v1/events", api.event, methods=["POST"], include_in_schema=False)
    app.add_api_route("/v1/events/batch", api.batch, methods=["POST"], include_in_schema=False)
    app.add_api_route("/v1/metrics", api.metrics, methods=["GET"], include_in_schema=False)
    app.add_api_route("/livez", api.livez, include_in_schema=False)
    app.add_api_route("/readyz", api.readyz, include_in_schema=False)
    uploads.include(app, settings, api.pool, api.importer)
    return app

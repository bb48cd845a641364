"""Stage one: asynchronous in its signatures. Each step below holds the loop until it is done.

    POST /v1/events   auth, flags and rate over the network, signature, normalisation, one commit, billing

What stands here and in `legacy` is in ../EXPECTED.md, line by line, with the rule that finds it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST, Counter, generate_latest
from starlette.background import BackgroundTask
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

_LOG = logging.getLogger("tally.access")
_REQUESTS = Counter("tally_requests", "Requests by path and status.", ("path", "status"))


class Api:
    def __init__(self, settings: Settings) -> None:
        self.limits = settings.limits
        self.legacy = Legacy(settings)
        self.readiness = Readiness(settings)
        settings.spool.mkdir(parents=True, exist_ok=True)
        self.access = logging.FileHandler(settings.spool / "access.log", delay=True)
        _LOG.setLevel(logging.INFO)
        self.pool = db.async_pool(replace(settings, pool_size=2))  # for imports

    @asynccontextmanager
    async def running(self, _: FastAPI) -> AsyncIterator[None]:
        try:
            await self.pool.open()
            await self.readiness.start()
            _LOG.addHandler(self.access)
            yield
        finally:
            _LOG.removeHandler(self.access)
            self.access.close()
            await self.readiness.stop()
            await self.pool.close()
            self.legacy.close()

    async def event(self, request: Request) -> Response:
        customer = await self._customer(request, "ingest")
        raw = await self._body(request)
        event = shared.event_or_problem(raw, customer, self.limits)
        row = shared.row_or_problem(naive, event, customer)
        status = self.legacy.save(row)
        self.legacy.bill(customer, int(status is Status.ACCEPTED))
        return shared.event_response(row, status)

    async def batch(self, request: Request) -> Response:
        customer = await self._customer(request, "ingest")
        results: list[EventResult] = []
        for text in shared.texts_or_problem(await self._body(request), self.limits):
            try:
                row = naive(model.event_of(text, customer, shared.now(), self.limits), customer)
            except Rejected as rejected:
                results.append(model.rejection(rejected))
            else:
                results.append(shared.told(row.event_id, self.legacy.save(row)))
        accepted = sum(each.status is Status.ACCEPTED for each in results)
        response = shared.batch_response(results)
        response.background = BackgroundTask(self.legacy.bill, customer, accepted)
        return response

    async def metrics(self, request: Request) -> Response:
        customer = await self._customer(request, "query")
        query = query_of(customer, request.query_params.multi_items(), shared.now(), self.limits)
        return shared.json_response(self.legacy.ask(query))

    async def importer(self, request: Request) -> int:
        return await self._customer(request, "imports")

    async def livez(self) -> dict[str, bool]:
        """Asks the database: when that is slow, the process is killed, and the next one finds it as slow."""
        self.legacy.is_ready()
        return {"alive": True}

    async def exposed(self) -> Response:
        """Not there while the loop is held, which is when somebody looks."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    async def readyz(self) -> dict[str, bool]:
        self.legacy.is_ready()
        return {"ready": True}

    async def _customer(self, request: Request, flag: str) -> int:
        customer = self.legacy.authenticate(request.headers.get("x-api-key"))
        self.legacy.check_flag(customer, flag)
        self.legacy.check_rate(customer)
        return customer

    async def _body(self, request: Request) -> bytes:
        raw = await shared.body_of(request, self.limits.batch_bytes)
        self.legacy.check_signature(raw, request.headers.get(signature.HEADER))
        return raw


def app(settings: Settings) -> FastAPI:
    api = Api(settings)
    app = shared.service(settings, api.running)
    app.add_api_route("/v1/events", api.event, methods=["POST"], include_in_schema=False)
    app.add_api_route("/v1/events/batch", api.batch, methods=["POST"], include_in_schema=False)
    app.add_api_route("/v1/metrics", api.metrics, methods=["GET"], include_in_schema=False)
    app.add_api_route("/metrics", api.exposed, include_in_schema=False)
    app.add_api_route("/livez", api.livez, include_in_schema=False)
    app.add_api_route("/readyz", api.readyz, include_in_schema=False)

    @app.middleware("http")
    async def timed(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        began = time.perf_counter()
        response = await call_next(request)
        took_ms = (time.perf_counter() - began) * 1_000
        path, status = request.url.path, response.status_code
        _REQUESTS.labels(path, status).inc()
        _LOG.info("%s %s %s %.1f ms", request.method, path, status, took_ms)
        return response

    uploads.include(app, settings, api.pool, api.importer)
    return app

"""US801 to US803: how the service is put together and watched."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from unstall.audit.calls import confidence_of
from unstall.audit.entrances_index import Class
from unstall.audit.ir import Entrance, Place
from unstall.audit.rules.subject import Spot, Subject, Way, found, shown
from unstall.audit.walk_ways import root_of
from unstall.catalog.row import Cost
from unstall.model.finding import Confidence, Finding

BASE = "starlette.middleware.base.BaseHTTPMiddleware"
MIDDLEWARE = frozenset(
    ("fastapi.FastAPI.middleware", "starlette.applications.Starlette.middleware")
)


def check_middleware(subject: Subject) -> Iterator[Finding]:
    """US801"""
    served = {
        e.function: Way(e, Place.LOOP) for e in subject.program.entrances if e.kind == "middleware"
    }
    because = "each request costs it a task and a stream, about 100 us of the loop"
    for class_, known in subject.index.classes.items():
        if BASE not in subject.lineage(class_) or subject.module(known.where).is_test:
            continue
        ways = [way for function, way in served.items() if function.startswith(f"{class_}.")]
        if ways:
            spot = Spot(
                subject.module(known.where).file, known.node.lineno, shown(class_), shown(class_)
            )
            yield found("US801", spot, because, ways=ways)
    for decorator, made in subject.index.decorators:
        if isinstance(made, Class) or made.id not in served or not isinstance(decorator, ast.Call):
            continue
        if isinstance(decorator.func, ast.Attribute) and decorator.func.attr == "middleware":
            spot = Spot(
                subject.module(made.where).file, decorator.lineno, shown(made.id), "app.middleware"
            )
            yield found("US801", spot, because, ways=[served[made.id]])


_LIVENESS = re.compile(
    r"^GET .*/_*(?:healthz?|healthcheck|health[-_]check|live|livez|liveness|alive|ping|heartbeat)/?$"
)


def check_probes(subject: Subject) -> Iterator[Finding]:
    """US802. A readiness probe may ask others."""
    for entrance in subject.program.entrances:
        if entrance.kind != "route" or not _LIVENESS.match(entrance.name):
            continue
        because, confidence = _depends(subject, entrance)
        if because:
            spot = Spot(entrance.file, entrance.line, shown(entrance.function), entrance.name)
            yield found(
                "US802", spot, because, ways=[Way(entrance, entrance.place)], confidence=confidence
            )


def _depends(subject: Subject, entrance: Entrance) -> tuple[str, Confidence]:
    if entrance.place is Place.THREAD_POOL:
        return (
            "it is a plain def: when all threads are taken, it waits, and the process is killed",
            Confidence.CERTAIN,
        )
    threaded = [
        s for s in entrance.steps if s.kind == "dependency" and s.place is Place.THREAD_POOL
    ]
    if threaded:
        return (
            f"its dependency {shown(threaded[0].function)} waits for a thread of the pool",
            Confidence.CERTAIN,
        )
    for step in entrance.steps:
        if step.kind in ("dependency", "endpoint"):
            below = subject.below(root_of(subject.worked.walk.types, step))
            waits = next((each for each in below if each[1].row.cost is Cost.UNBOUNDED), None)
            if waits is not None:
                return f"it waits for {waits[1].name}", confidence_of(waits[0])
            asked = next(_awaited_stores(subject, step.function), None)
            if asked:
                return f"it waits for {asked}", Confidence.LIKELY
    return "", Confidence.POSSIBLE


STORES = tuple(
    """
    sqlalchemy.ext.asyncio. asyncpg. redis.asyncio. psycopg.Async psycopg_pool.Async motor. pymongo.Async
    httpx.AsyncClient. httpx2.AsyncClient. aiohttp.ClientSession.
    """.split()
)
"""How names of asynchronous stores and clients begin."""


def _awaited_stores(subject: Subject, function: str) -> Iterator[str]:
    return (name for name in subject.called(function) if name.startswith(STORES))


def check_metrics(subject: Subject) -> Iterator[Finding]:
    """US803"""
    because = "the loop that they measure has to answer for them to be seen"
    for use, name in subject.calls(EXPOSERS):
        if not subject.module(use.where).is_test:
            yield found(
                "US803", subject.spot(use.where, use.call, name), because, runs_on=Place.LOOP
            )
    for entrance in subject.program.entrances:
        if (
            entrance.kind == "route"
            and entrance.name == "GET /metrics"
            and _renders(subject, entrance.function)
        ):
            spot = Spot(entrance.file, entrance.line, shown(entrance.function), entrance.name)
            yield found("US803", spot, because, ways=[Way(entrance, entrance.place)])


EXPOSERS = frozenset(
    "prometheus_client.make_asgi_app prometheus_fastapi_instrumentator.Instrumentator.expose".split()
)
RENDERERS = frozenset(
    ("prometheus_client.generate_latest", "prometheus_client.exposition.generate_latest",
     "prometheus_client.openmetrics.exposition.generate_latest")
)  # fmt: skip


def _renders(subject: Subject, function: str) -> bool:
    return not RENDERERS.isdisjoint(subject.called(function))

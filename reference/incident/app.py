"""Four ways to make the same blocking call from a FastAPI service, two of them fatal.

INCIDENT_DOWNSTREAM=http://127.0.0.1:9001,… uvicorn --app-dir reference incident.app:app
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from random import Random
from typing import Annotated

import requests
from fastapi import Depends, FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, PlainTextResponse

from .lane import Lane, LaneFull
from .settings import Settings, SettingsError

logger = logging.getLogger("incident")

try:
    settings = Settings.from_environ(os.environ)
except SettingsError as error:
    raise SystemExit(f"incident: {error}") from None

lane = Lane(
    "incident-lane",
    threads=settings.lane_threads,
    queue=settings.lane_queue,
    timeout=settings.lane_timeout,
)
dice = Random(settings.seed)
calls: Counter[tuple[str, str]] = Counter()  # (metric, variant); only the loop writes it


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield
    lane.close()


app = FastAPI(title="incident", lifespan=lifespan)


@dataclass(frozen=True, slots=True)
class Call:
    """One call to make: where to, and whether it is one of those that go wrong."""

    pod: str
    blocking: bool


def draw(variant: str) -> Call:
    """Choose a pod as a load balancer would, and count the choice."""
    blocking = dice.random() < settings.probability
    pod = ""
    if settings.source == "downstream":
        bad, *healthy = settings.pods
        pod = bad if blocking or not healthy else dice.choice(healthy)
        blocking = blocking and bool(healthy)  # a single pod is not known to be bad
    calls["blocking" if blocking else "non_blocking", variant] += 1
    return Call(pod, blocking)


def fetch_price(pod: str) -> str:
    """Ask a pod of the pricing service. It has no time-out, like most such calls."""
    response = requests.get(f"{pod}/price", headers={"Accept": "application/json"})
    response.raise_for_status()
    return response.text


def blocking_process(call: Call) -> None:
    """Keep this thread until the pod has answered, or sleep in its place."""
    if call.pod:
        fetch_price(call.pod)
    elif call.blocking:
        logger.info("sleeping for %s s", settings.seconds)
        time.sleep(settings.seconds)


def answer(variant: str, call: Call) -> dict[str, object]:
    return {
        "variant": variant,
        "blocking_call": call.blocking,
        "pod": call.pod,
        "thread": threading.current_thread().name,
    }


async def async_dep() -> Call:
    call = draw("sync_with_async_blocking_dep")
    blocking_process(call)
    return call


async def async_dep_offload() -> Call:
    call = draw("sync_with_async_dep_offload")
    if call.pod or call.blocking:
        await run_in_threadpool(blocking_process, call)
    return call


@app.get("/sync_with_async_blocking_dep")
def sync_with_async_blocking_dep(call: Annotated[Call, Depends(async_dep)]) -> dict[str, object]:
    """A plain def endpoint: its own code is on a thread, its dependency is on the loop."""
    return answer("sync_with_async_blocking_dep", call)


@app.get("/async_with_blocking")
async def async_with_blocking() -> dict[str, object]:
    """An async def endpoint that never awaits: all of it is on the loop."""
    call = draw("async_with_blocking")
    blocking_process(call)
    return answer("async_with_blocking", call)


@app.get("/sync_with_async_dep_offload")
def sync_with_async_dep_offload(
    call: Annotated[Call, Depends(async_dep_offload)],
) -> dict[str, object]:
    """The call is on the thread pool that every def endpoint of the process shares."""
    return answer("sync_with_async_dep_offload", call)


@app.get("/lane")
async def in_lane() -> dict[str, object]:
    """The call has a lane of its own, which says no when it is full."""
    call = draw("lane")
    if call.pod or call.blocking:
        await lane.run(blocking_process, call)
    return answer("lane", call)


@app.exception_handler(LaneFull)
async def refuse(_: Request, full: LaneFull) -> JSONResponse:
    return JSONResponse(
        {"detail": str(full)}, status_code=503, headers={"Retry-After": str(full.retry_after)}
    )


@app.get("/livez")
async def livez() -> dict[str, bool]:
    """Touches nothing; when it is slow, the loop is the reason."""
    return {"alive": True}


@app.get("/healthz")
def healthz() -> dict[str, bool]:
    """Calls nobody, on a thread of the shared pool; when only it is slow, the pool is the reason."""
    return {"healthy": True}


VARIANTS = (
    "sync_with_async_blocking_dep",
    "async_with_blocking",
    "sync_with_async_dep_offload",
    "lane",
)


@app.get("/metrics", response_class=PlainTextResponse)
async def metrics() -> PlainTextResponse:
    """The two counters of each variant, as Prometheus text."""
    lines: list[str] = []
    for kind, what in (("blocking", "that went wrong"), ("non_blocking", "that went well")):
        name = f"incident_{kind}_calls_total"
        lines += [f"# HELP {name} Calls {what}.", f"# TYPE {name} counter"]
        lines += [f'{name}{{variant="{each}"}} {calls[kind, each]}' for each in VARIANTS]
    return PlainTextResponse(
        "\n".join(lines) + "\n", media_type="text/plain; version=0.0.4; charset=utf-8"
    )

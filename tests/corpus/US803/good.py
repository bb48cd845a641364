"""Metrics from elsewhere."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import prometheus_client
from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # clean: a thread of its own
    prometheus_client.start_http_server(9100)
    yield


app = FastAPI(lifespan=lifespan)
# clean: counting takes a microsecond
requests = prometheus_client.Counter("requests", "Requests")


@app.get("/")
async def read() -> str:
    requests.inc()
    return "ok"


@app.get("/metrics")
async def metrics() -> dict[str, int]:
    # clean: figures of the trade
    return {"orders": 1}

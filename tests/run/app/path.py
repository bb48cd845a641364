"""A small service whose requests have a path worth taking apart."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import StreamingResponse
from starlette.middleware.base import RequestResponseEndpoint
from starlette.responses import Response

from unstall import section

app = FastAPI()


def spin(ms: float) -> None:
    end = time.thread_time_ns() + int(ms * 1e6)
    while time.thread_time_ns() < end:
        pass


@app.middleware("http")
async def timing(request: Request, call_next: RequestResponseEndpoint) -> Response:
    spin(2)
    return await call_next(request)


async def session() -> AsyncIterator[str]:
    await asyncio.sleep(0.01)
    yield "session"
    spin(1)


@app.get("/orders/{order}")
async def show(order: int, session: Annotated[str, Depends(session)]) -> int:
    with section("render"):
        spin(5)
    await asyncio.sleep(0.03)
    return order


@app.get("/report")
def report() -> int:
    time.sleep(0.05)
    return 1


@app.get("/events")
async def events() -> StreamingResponse:
    async def chunks() -> AsyncIterator[bytes]:
        while True:
            spin(1)
            yield b"x" * 1_000
            await asyncio.sleep(0.005)

    return StreamingResponse(chunks())

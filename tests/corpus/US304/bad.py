"""Time-outs that end nothing."""

import asyncio
import time

import anyio
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

app = FastAPI()
slots = anyio.CapacityLimiter(2)


def work() -> None:
    time.sleep(1)


@app.get("/timeout")
async def with_timeout() -> None:
    async with asyncio.timeout(2):  # expect: US304 loop
        await run_in_threadpool(work)


@app.get("/wait-for")
async def with_wait_for() -> None:
    await asyncio.wait_for(anyio.to_thread.run_sync(work, limiter=slots), 2)  # expect: US304 loop


@app.get("/scope")
async def with_a_scope() -> None:
    with anyio.move_on_after(2):  # expect: US304 loop
        await anyio.to_thread.run_sync(work)


@app.get("/executor")
async def in_the_executor() -> None:
    await asyncio.wait_for(asyncio.to_thread(work), timeout=2)  # expect: US304 loop

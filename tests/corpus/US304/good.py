"""Time-outs around what can be cancelled, or inside the thread."""

import asyncio
import threading

import anyio
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

app = FastAPI()
ready = threading.Event()


@app.get("/inside")
async def inside() -> bool:
    # clean: the call's own time-out
    return await run_in_threadpool(ready.wait, 2)


@app.get("/coroutine")
async def coroutine() -> None:
    # clean: a coroutine can be cancelled
    async with asyncio.timeout(2):
        await asyncio.sleep(1)


@app.get("/other")
async def beside() -> None:
    # clean: the thread is outside
    with anyio.move_on_after(2):
        await anyio.sleep(1)
    await anyio.to_thread.run_sync(ready.wait, 1)

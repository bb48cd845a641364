"""`async` with a reason, or no `async`."""

import asyncio
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/endpoint")
def endpoint() -> None:
    # clean: it runs in a thread
    time.sleep(1)


@app.get("/awaits")
async def awaits() -> None:
    # clean: it awaits
    await asyncio.sleep(1)


@app.get("/starts")
async def starts() -> None:
    # clean: what it calls needs the loop
    app.state.task = asyncio.create_task(awaits())


@app.get("/iterates")
async def iterates(lines: int) -> list[str]:
    # clean: an asynchronous comprehension
    return [line async for line in read(lines)]


async def read(lines: int):
    for number in range(lines):
        await asyncio.sleep(0)
        yield str(number)

"""The body of an asynchronous generator runs on the loop."""

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


async def lines() -> AsyncIterator[str]:
    for number in range(3):
        time.sleep(1)  # expect: US101 loop
        yield str(number)


@app.get("/")
async def streamed() -> StreamingResponse:
    await asyncio.sleep(0)
    return StreamingResponse(lines())

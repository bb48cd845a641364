"""Where it is iterated, not where it is made."""

import asyncio
from collections.abc import Iterator

import requests
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()


def pages(count: int) -> Iterator[str]:
    for number in range(count):
        yield requests.get(f"http://pages.internal/{number}", timeout=2).text  # expect: US102 loop


@app.get("/iterated")
async def iterated() -> list[str]:
    await asyncio.sleep(0)
    return [page.upper() for page in pages(3)]


def more(count: int) -> Iterator[str]:
    for number in range(count):
        yield requests.get(f"http://pages.internal/{number}", timeout=2).text


@app.get("/streamed")
async def streamed() -> StreamingResponse:
    # clean: Starlette iterates a plain generator in threads
    await asyncio.sleep(0)
    return StreamingResponse(more(3))


def unused(count: int) -> Iterator[str]:
    for number in range(count):
        yield requests.get(f"http://pages.internal/{number}", timeout=2).text


@app.get("/made")
async def only_made() -> str:
    # clean: nobody asks for its elements
    await asyncio.sleep(0)
    return str(unused(3))

"""A generator expression, `map` and `filter` run where somebody asks for their elements."""

import asyncio
import time
from collections.abc import Iterable, Iterator

import requests
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

app = FastAPI()
PAGES = ("a", "b")


@app.get("/streamed")
async def streamed() -> StreamingResponse:
    # clean: Starlette iterates it in threads
    await asyncio.sleep(0)
    return StreamingResponse(requests.get(page, timeout=2).content for page in PAGES)


@app.get("/in-thread")
async def in_thread() -> list[str]:
    # clean: `list` asks for the elements in the thread
    return await asyncio.to_thread(list, (requests.get(page, timeout=2).text for page in PAGES))


@app.get("/mapped-in-thread")
async def mapped_in_thread() -> list[object]:
    # clean: the same with `map` and `filter`
    found = await asyncio.to_thread(list, map(requests.head, PAGES))
    return found + await asyncio.to_thread(list, filter(requests.options, PAGES))


@app.get("/never")
async def never() -> str:
    # clean: nobody asks for its elements
    await asyncio.sleep(0)
    return str(time.sleep(1) for _ in PAGES)


def behind_helper() -> Iterator[bytes]:
    return (requests.get(page, timeout=3).content for page in PAGES)


@app.get("/helped")
async def helped() -> StreamingResponse:
    # clean: made here, iterated in threads
    await asyncio.sleep(0)
    return StreamingResponse(behind_helper())


@app.get("/first")
async def first_iterable() -> StreamingResponse:
    await asyncio.sleep(0)
    rows = (line for line in requests.get("http://rows.internal", timeout=2))  # expect: US102 loop
    return StreamingResponse(rows)


@app.get("/summed")
async def summed() -> int:
    await asyncio.sleep(0)
    return sum(len(requests.get(page, timeout=2).text) for page in PAGES)  # expect: US102 loop


@app.get("/named")
async def named() -> None:
    await asyncio.sleep(0)
    texts = (requests.get(page, timeout=2).text for page in PAGES)  # expect: US102 loop
    for text in texts:
        print(text)


def show(texts: Iterable[str]) -> None:
    for text in texts:
        print(text)


@app.get("/passed")
async def passed() -> None:
    await asyncio.sleep(0)
    show(requests.get(page, timeout=2).text for page in PAGES)  # expect: US102 loop


def nap(_: object) -> None:
    time.sleep(1)  # expect: US101 loop


@app.get("/mapped")
async def mapped() -> list[None]:
    await asyncio.sleep(0)
    naps = map(nap, PAGES)
    return list(naps)


@app.get("/unpacked")
async def unpacked() -> object:
    await asyncio.sleep(0)
    first, second = map(requests.get, PAGES)  # expect: US102 loop
    print(*map(requests.put, PAGES))  # expect: US102 loop
    return first or second

"""Retries with an end and a pause."""

import asyncio

import backoff
import httpx
from fastapi import FastAPI
from tenacity import retry, stop_after_attempt, wait_random_exponential

app = FastAPI()
client = httpx.AsyncClient()


@retry(stop=stop_after_attempt(3), wait=wait_random_exponential(max=2))
async def bounded() -> object:
    # clean: three attempts
    return (await client.get("http://rates.internal")).json()


@backoff.on_exception(backoff.expo, httpx.HTTPError, max_tries=3)
async def with_tries() -> object:
    # clean: three attempts
    return (await client.get("http://rates.internal")).json()


async def by_hand() -> object:
    # clean: it counts and waits
    attempts = 0
    while True:
        try:
            return (await client.get("http://rates.internal")).json()
        except httpx.HTTPError:
            attempts += 1
            if attempts > 3:
                raise
            await asyncio.sleep(attempts)


async def reading(lines: asyncio.Queue[str]) -> None:
    # clean: it reads on, and tries nothing again
    while True:
        try:
            print(await lines.get())
        except ValueError:
            print("not a line")


@app.get("/")
async def read() -> list[object]:
    await reading(asyncio.Queue())
    return [await bounded(), await with_tries(), await by_hand()]

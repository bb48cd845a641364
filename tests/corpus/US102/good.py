"""A synchronous HTTP call on the event loop: what only looks like it."""

import asyncio

import httpx
import requests
from fastapi import FastAPI

app = FastAPI()

URL = "http://rates.internal"
client = httpx.AsyncClient(timeout=2.0)


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return requests.get(URL, timeout=2).json()


def helper(value: str) -> object:
    return requests.get(URL, params={"q": value}, timeout=2).json()


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: an asynchronous client
    response = await client.get(URL)
    return response.json()


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


if __name__ == "__main__":
    nightly("all")

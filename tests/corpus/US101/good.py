"""A synchronous sleep on the event loop: what only looks like it."""

import asyncio
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    time.sleep(0.5)
    return value


def helper(value: str) -> object:
    time.sleep(0.2)
    return value


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: asyncio's sleep lets others in
    await asyncio.sleep(0.5)
    return value


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


if __name__ == "__main__":
    nightly("all")

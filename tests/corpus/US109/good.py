"""A wait for a lock, queue or future of threads on the event loop: what only looks like it."""

import asyncio
import queue

from fastapi import FastAPI

app = FastAPI()

jobs: queue.Queue[str] = queue.Queue(10)
waiting: asyncio.Queue[str] = asyncio.Queue(10)
turn = asyncio.Lock()


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return jobs.get(timeout=2)


def helper(value: str) -> object:
    return jobs.get(timeout=2)


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: locks and queues of asyncio
    async with turn:
        return await waiting.get()


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


@app.get("/at-once")
async def at_once(value: str = "") -> object:
    # clean: it does not wait
    try:
        return jobs.get_nowait()
    except queue.Empty:
        jobs.put(value, block=False)
        return None


if __name__ == "__main__":
    nightly("all")

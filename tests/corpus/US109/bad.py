"""A wait for a lock, queue or future of threads on the event loop."""

import asyncio
import queue
import threading
from concurrent.futures import ThreadPoolExecutor, wait

from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

jobs: queue.Queue[str] = queue.Queue(10)
lock = threading.Lock()
ready = threading.Event()
pool = ThreadPoolExecutor(4)


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return pool.submit(len, value).result()  # expect: US109 loop


def helper(value: str) -> object:
    return jobs.get(timeout=2)  # expect: US109 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = threading.Event()

    def load(self, value: str) -> object:
        return self.inner.wait(2)  # expect: US109 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    lock.acquire(timeout=2)  # expect: US109 loop
    lock.release()
    return value


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        worker = threading.Thread(target=print, args=(value,))
        worker.start()
        worker.join(2)  # expect: US109 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    wait([pool.submit(len, value)], timeout=2)  # expect: US109 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)

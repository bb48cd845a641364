"""A synchronous sleep on the event loop."""

import asyncio
import time
from time import sleep

from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    time.sleep(0.5)  # expect: US101 loop
    return value


def helper(value: str) -> object:
    sleep(0.2)  # expect: US101 loop
    return value


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = time

    def load(self, value: str) -> object:
        self.inner.sleep(0.1)  # expect: US101 loop
        return value


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    for _ in range(3):
        time.sleep(0.1)  # expect: US101 loop
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
        time.sleep(0.01)  # expect: US101 loop
        print(value)
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    pause = time.sleep
    pause(5)  # expect: US101 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)

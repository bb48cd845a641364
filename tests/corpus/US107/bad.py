"""A wait for a subprocess on the event loop."""

import asyncio
import os
import subprocess

from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return subprocess.run(["convert", value], timeout=5, check=True).returncode  # expect: US107 loop


def helper(value: str) -> object:
    return subprocess.check_output(['file', value], timeout=5)  # expect: US107 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = subprocess.Popen(['worker'])

    def load(self, value: str) -> object:
        return self.inner.wait(timeout=5)  # expect: US107 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    process = subprocess.Popen(["wc", value], stdout=subprocess.PIPE)  # expect: US107 loop
    return process.communicate(timeout=5)[0]  # expect: US107 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        os.system("touch seen")  # expect: US107 loop
        print(value)
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    subprocess.call(['sync', value], timeout=5)  # expect: US107 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)

"""A synchronous HTTP call on the event loop."""

import asyncio
import urllib.request

import httpx
import requests
import urllib3
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

URL = "http://rates.internal"
pool = urllib3.PoolManager(timeout=2.0)
client = httpx.Client(timeout=2.0)


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return requests.get(URL, params={"q": value}, timeout=2).json()  # expect: US102 loop


def helper(value: str) -> object:
    response = httpx.post(URL, content=value, timeout=2)  # expect: US102 loop
    return response.json()


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = requests.Session()

    def load(self, value: str) -> object:
        return self.inner.get(URL, timeout=2).text  # expect: US102 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    with urllib.request.urlopen(URL, timeout=2) as answer:  # expect: US102 loop
        return answer.status


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        pool.request("GET", URL + value)  # expect: US102 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    client.post(URL, content=value)  # expect: US102 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)

"""A synchronous cache call on the event loop."""

import asyncio

import memcache
import pymemcache.client.base
import redis
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

cache = redis.Redis(host="cache", socket_timeout=0.5, socket_connect_timeout=0.5)
memcached = pymemcache.client.base.Client("cache", connect_timeout=1, timeout=0.5)
old = memcache.Client(["cache:11211"], socket_timeout=1)


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return cache.get(value)  # expect: US104 loop


def helper(value: str) -> object:
    return cache.hgetall(value)  # expect: US104 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = redis.Redis.from_url("redis://cache", socket_timeout=0.5, socket_connect_timeout=0.5)

    def load(self, value: str) -> object:
        return self.inner.incr(value)  # expect: US104 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return memcached.get(value)  # expect: US104 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        cache.expire(value, 60)  # expect: US104 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    old.set('seen', value)  # expect: US104 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)

"""A synchronous cache call on the event loop: what only looks like it."""

import asyncio

import redis
import redis.asyncio
from fastapi import FastAPI

app = FastAPI()

cache = redis.Redis(host="cache", socket_timeout=0.5, socket_connect_timeout=0.5)
async_cache = redis.asyncio.Redis(host="cache", socket_timeout=0.5, socket_connect_timeout=0.5)


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return cache.get(value)


def helper(value: str) -> object:
    return cache.get(value)


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: redis.asyncio
    return await async_cache.get(value)


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


@app.get("/pipeline")
async def pipeline() -> object:
    # clean: commands of a pipeline are kept until it is executed
    pipe = async_cache.pipeline()
    pipe.get("a")
    pipe.incr("b")
    return await pipe.execute()


if __name__ == "__main__":
    nightly("all")

"""A cache without end."""

import redis
import redis.asyncio
from fastapi import FastAPI

cache = redis.asyncio.Redis(host="cache", socket_timeout=None)  # expect: US503 start-up
slots = redis.asyncio.ConnectionPool.from_url("redis://cache", socket_timeout=None)  # expect: US503 start-up
other = redis.from_url("redis://cache")  # expect: US503 start-up possible
app = FastAPI()


@app.get("/")
async def read() -> object:
    return await cache.get("a")

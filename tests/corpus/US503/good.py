"""Caches with an end."""

import redis
import redis.asyncio
from fastapi import FastAPI

# clean: half a second
cache = redis.asyncio.Redis(host="cache", socket_timeout=0.5)
# clean: in the URL
other = redis.from_url("redis://cache?socket_timeout=0.5")
slots = redis.asyncio.ConnectionPool(host="cache", socket_timeout=0.5)
# clean: its pool's
third = redis.asyncio.Redis(connection_pool=slots)
app = FastAPI()


@app.get("/")
async def read() -> object:
    return await cache.get("a")

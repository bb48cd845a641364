"""redis-py 8 waits five seconds by default."""

import redis
import redis.asyncio
from fastapi import FastAPI

# clean: by default
cache = redis.asyncio.Redis(host="cache")
app = FastAPI()


@app.get("/")
async def read() -> object:
    return await cache.get("a")

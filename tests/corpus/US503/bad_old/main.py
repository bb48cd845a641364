"""redis-py 5 waits for ever by default."""

import redis
import redis.asyncio
from fastapi import FastAPI

cache = redis.asyncio.Redis(host="cache")  # expect: US503 start-up
app = FastAPI()


@app.get("/")
async def read() -> object:
    return await cache.get("a")

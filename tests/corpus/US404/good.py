"""Waits for a slot that have an end."""

import asyncio

import asyncpg
import httpx
import redis.asyncio
from fastapi import FastAPI

app = FastAPI()
# clean: five seconds for everything
client = httpx.AsyncClient(timeout=httpx.Timeout(5.0))
# clean: twenty seconds by default
slots = redis.asyncio.BlockingConnectionPool(socket_timeout=1)
pool: asyncpg.Pool = asyncpg.create_pool("postgresql://db/app", command_timeout=5)


@app.get("/direct")
async def direct() -> object:
    # clean: two seconds
    async with pool.acquire(timeout=2) as connection:
        return await connection.fetch("select 1")


@app.get("/around")
async def around() -> object:
    # clean: the time-out stands around
    async with asyncio.timeout(3), pool.acquire() as connection:
        return await connection.fetch("select 1")

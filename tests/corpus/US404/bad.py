"""Waits for a slot that have no end."""

import asyncpg
import httpx
import redis.asyncio
from fastapi import Depends, FastAPI, Request

app = FastAPI()
client = httpx.AsyncClient(timeout=httpx.Timeout(5.0, pool=None))  # expect: US404 start-up
slots = redis.asyncio.BlockingConnectionPool(timeout=None, socket_timeout=1)  # expect: US404 start-up
pool: asyncpg.Pool = asyncpg.create_pool("postgresql://db/app", command_timeout=5)


@app.get("/direct")
async def direct() -> object:
    async with pool.acquire() as connection:  # expect: US404 loop
        return await connection.fetch("select 1")


async def get_connection(request: Request):
    connection = await pool.acquire()  # expect: US404 loop
    try:
        yield connection
    finally:
        await pool.release(connection)


@app.get("/dependency")
async def with_a_dependency(connection: asyncpg.Connection = Depends(get_connection)) -> object:
    return await connection.fetch("select 1")

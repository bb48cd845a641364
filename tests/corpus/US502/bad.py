"""Connections that nothing bounds."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import psycopg2
import psycopg2.pool
from fastapi import FastAPI
from sqlalchemy import create_engine

slots = psycopg2.pool.ThreadedConnectionPool(1, 5, "dbname=app")  # expect: US502 start-up
engine = create_engine("postgresql+psycopg://db/app", pool_size=40)  # expect: US502 start-up possible


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.pool = await asyncpg.create_pool("postgresql://db/app")  # expect: US502 start-up
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
def endpoint() -> str:
    with psycopg2.connect("dbname=app connect_timeout=3") as connection:  # expect: US502 thread pool
        return str(connection)

"""A pool for each request."""

import asyncpg
from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

app = FastAPI()
URL = "sqlite+aiosqlite:///app.db"


async def get_session():
    engine = create_async_engine(URL)  # expect: US402 loop
    async with AsyncSession(engine) as session:
        yield session


@app.get("/dependency")
async def with_a_dependency(session: AsyncSession = Depends(get_session)) -> object:
    return (await session.execute(text("select 1"))).first()


def load() -> object:
    engine = create_engine("sqlite:///app.db")  # expect: US402 thread pool
    with engine.connect() as connection:
        return connection.execute(text("select 1")).first()


@app.get("/helper")
def behind_a_helper() -> object:
    return load()


@app.get("/pool")
async def of_asyncpg() -> object:
    async with asyncpg.create_pool("postgresql://db/app", command_timeout=5) as pool:  # expect: US402 loop
        return await pool.fetch("select 1")

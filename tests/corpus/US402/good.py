"""A pool for the service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache

import asyncpg
from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

# clean: at module level
engine = create_async_engine("sqlite+aiosqlite:///app.db")
make_session = async_sessionmaker(engine)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # clean: at start-up
    app.state.pool = await asyncpg.create_pool("postgresql://db/app", command_timeout=5)
    yield


app = FastAPI(lifespan=lifespan)


async def get_session():
    async with make_session() as session:
        yield session


@app.get("/dependency")
async def with_a_dependency(session: AsyncSession = Depends(get_session)) -> object:
    return (await session.execute(text("select 1"))).first()


@lru_cache
def get_engine() -> Engine:
    # clean: made once
    return create_engine("sqlite:///app.db")


@app.get("/cached")
def cached() -> object:
    with get_engine().connect() as connection:
        return connection.execute(text("select 1")).first()

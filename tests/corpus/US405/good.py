"""One slot at a time."""

import asyncpg
from fastapi import Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

app = FastAPI()
pool: asyncpg.Pool = asyncpg.create_pool("postgresql://db/app", command_timeout=5)
audits: asyncpg.Pool = asyncpg.create_pool("postgresql://db/audit", command_timeout=5)
engine = create_async_engine("sqlite+aiosqlite:///app.db")
make_session = async_sessionmaker(engine)


@app.get("/after")
async def one_after_the_other() -> object:
    # clean: the first is given back
    async with pool.acquire(timeout=2) as connection:
        await connection.fetch("select 1")
    async with pool.acquire(timeout=2) as connection:
        return await connection.fetch("select 2")


@app.get("/other")
async def another_pool() -> object:
    # clean: two pools
    async with pool.acquire(timeout=2) as connection, audits.acquire(timeout=2) as other:
        return await connection.fetch("select 1"), await other.fetch("select 2")


async def audit(connection: asyncpg.Connection, order: str) -> None:
    await connection.execute("insert into audit values ($1)", order)


@app.post("/helper")
async def handed_on(order: str) -> None:
    # clean: the helper takes what is held
    async with pool.acquire(timeout=2) as connection:
        await audit(connection, order)


@app.get("/session")
async def one_session() -> object:
    # clean: one session, two statements
    async with make_session() as session:
        await session.execute(text("select 1"))
        return (await session.execute(text("select 2"))).first()


async def get_session():
    async with make_session() as session:
        yield session


@app.post("/shared")
async def with_the_same_session(session: AsyncSession = Depends(get_session)) -> None:
    # clean: FastAPI hands out the same one for a request
    await session.execute(text("select 1"))

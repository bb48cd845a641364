"""A second slot while the first is held."""

import asyncpg
from fastapi import Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

app = FastAPI()
pool: asyncpg.Pool = asyncpg.create_pool("postgresql://db/app", command_timeout=5)
engine = create_async_engine("sqlite+aiosqlite:///app.db")
make_session = async_sessionmaker(engine)


@app.get("/nested")
async def nested() -> object:
    async with pool.acquire(timeout=2) as connection:
        async with pool.acquire(timeout=2) as other:  # expect: US405 loop
            return await connection.fetch("select 1"), await other.fetch("select 2")


async def audit(order: str) -> None:
    await pool.execute("insert into audit values ($1)", order)


@app.post("/helper")
async def behind_a_helper(order: str) -> None:
    async with pool.acquire(timeout=2) as connection:
        await connection.execute("insert into orders values ($1)", order)
        await audit(order)  # expect: US405 loop


@app.get("/sessions")
async def two_sessions() -> object:
    async with make_session() as session:
        await session.execute(text("select 1"))
        async with make_session() as other:  # expect: US405 loop
            return (await other.execute(text("select 2"))).first()


async def get_session():
    async with make_session() as session:
        yield session


@app.post("/beside")
async def beside_a_dependency(session: AsyncSession = Depends(get_session)) -> None:
    await session.execute(text("select 1"))
    async with make_session() as other:  # expect: US405 loop
        await other.execute(text("select 2"))

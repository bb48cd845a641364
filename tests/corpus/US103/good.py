"""A synchronous database call on the event loop: what only looks like it."""

import asyncio

from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

app = FastAPI()

engine = create_engine("sqlite:///app.db", pool_size=20, max_overflow=20)
async_engine = create_async_engine("sqlite+aiosqlite:///app.db")
make_session = async_sessionmaker(async_engine)


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    with Session(engine) as session:
        return session.execute(text('select 1')).first()


def helper(value: str) -> object:
    with Session(engine) as session:
        return session.execute(text('select 1')).first()


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: an asynchronous session; result.first() only takes what was fetched
    async with make_session() as session:
        result = await session.execute(text('select 1'))
        return result.first()


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


async def in_a_transaction(session: AsyncSession) -> None:
    await session.run_sync(store)


def store(session: Session) -> None:
    session.execute(text("select 1"))


@app.post("/greenlet")
async def in_a_greenlet() -> None:
    # clean: run_sync drives the asynchronous driver from a greenlet
    async with make_session() as session:
        await in_a_transaction(session)


if __name__ == "__main__":
    nightly("all")

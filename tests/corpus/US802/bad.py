"""Probes that wait for others."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

app = FastAPI()
engine = create_engine("sqlite:///app.db")
make_session = async_sessionmaker(create_async_engine("sqlite+aiosqlite:///app.db"))


@app.get("/health")
def health() -> dict[str, str]:  # expect: US802 thread pool
    return {"status": "ok"}


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@app.get("/healthz")
async def healthz(session: Annotated[Session, Depends(get_session)]) -> str:  # expect: US802 loop
    return str(session)


@app.get("/api/livez")
async def livez() -> str:  # expect: US802 loop
    async with make_session() as session:
        await session.execute(text("select 1"))
    return "ok"

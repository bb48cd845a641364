"""Plain ones run in threads, whether they return or yield; async ones on the loop."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, Security
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("sqlite:///app.db")
app = FastAPI()


def plain() -> Iterator[Session]:
    # clean: entered and left in a thread
    with Session(engine) as session:
        yield session
        session.commit()


async def blocking() -> AsyncIterator[Session]:
    await asyncio.sleep(0)
    session = Session(engine)
    yield session
    session.commit()  # expect: US103 loop


class Reader:
    def __init__(self, session: Annotated[Session, Depends(plain)]) -> None:
        # clean: a class is called in a thread
        self.found = session.execute(text("select 1")).first()


def key(session: Annotated[Session, Depends(plain)]) -> object:
    # clean: a thread
    return session.execute(text("select 2")).first()


class Callable:
    async def __call__(self) -> object:
        await asyncio.sleep(0)
        with Session(engine) as session:
            return session.execute(text("select 3")).first()  # expect: US103 loop


called = Callable()


@app.get("/plain", dependencies=[Depends(key)])
async def with_plain(reader: Annotated[Reader, Depends()]) -> str:
    return str(reader.found)


@app.get("/async")
async def with_async(session: Annotated[Session, Depends(blocking)]) -> str:
    return str(session)


@app.get("/callable")
async def with_callable(found: object = Security(called)) -> str:
    return str(found)

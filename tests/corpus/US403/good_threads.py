"""As many threads as connections."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

import anyio.to_thread
from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

# clean: twenty of each
engine = create_engine(
    "postgresql+psycopg://db/app",
    pool_size=20,
    max_overflow=0,
    connect_args={"connect_timeout": 3, "options": "-c statement_timeout=5s"},
)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = 20
    yield


app = FastAPI(lifespan=lifespan)


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@app.get("/")
def read(session: Annotated[Session, Depends(get_session)]) -> object:
    return session.execute(text("select 1")).first()

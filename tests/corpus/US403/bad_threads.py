"""Forty threads, fifteen connections."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

LIMITS = {"connect_timeout": 3, "options": "-c statement_timeout=5s"}
engine = create_engine("postgresql+psycopg://db/app", connect_args=LIMITS)  # expect: US403 thread pool
app = FastAPI()


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@app.get("/")
def read(session: Annotated[Session, Depends(get_session)]) -> object:
    return session.execute(text("select 1")).first()

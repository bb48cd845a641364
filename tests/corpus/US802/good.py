"""Probes that ask the loop, and readiness that asks others."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

app = FastAPI()
engine = create_engine("sqlite:///app.db")


def get_session() -> Iterator[Session]:
    with Session(engine) as session:
        yield session


@app.get("/livez")
async def livez() -> dict[str, str]:
    # clean: the loop answers
    return {"status": "ok"}


@app.get("/readyz")
def readyz(session: Annotated[Session, Depends(get_session)]) -> str:
    # clean: readiness may ask
    session.execute(text("select 1"))
    return "ok"


@app.get("/healthy-recipes")
def recipes() -> str:
    # clean: no probe
    return "soup"

"""`next(get_db())` never runs what comes after the yield."""

import asyncio

from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

engine = create_engine("sqlite:///app.db")
app = FastAPI()


def get_db():
    session = Session(engine)
    yield session
    # clean: nobody comes back
    session.commit()


@app.get("/")
async def read() -> object:
    await asyncio.sleep(0)
    session = next(get_db())
    return session.execute(text("select 1")).first()  # expect: US103 loop

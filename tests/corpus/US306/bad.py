"""`async` for nothing, and at a price."""

import requests
from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

app = FastAPI()
engine = create_engine("sqlite:///app.db")


@app.get("/direct")
async def direct() -> object:  # expect: US306 loop
    return requests.get("http://rates.internal", timeout=2).json()  # expect: US102 loop


def load() -> object:
    with Session(engine) as session:
        return session.execute(text("select 1")).first()  # expect: US103 loop


@app.get("/helper")
async def behind_a_helper() -> object:  # expect: US306 loop
    return load()


async def dependency() -> object:  # expect: US306 loop
    return load()


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:  # expect: US306 loop possible
    return found

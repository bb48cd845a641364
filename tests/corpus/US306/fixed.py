"""bad.py, mended: plain defs, which FastAPI runs in its threads."""

import requests
from fastapi import Depends, FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

app = FastAPI()
engine = create_engine("sqlite:///app.db")


@app.get("/direct")
def direct() -> object:  # clean: a plain def runs in a thread
    return requests.get("http://rates.internal", timeout=2).json()


def load() -> object:
    with Session(engine) as session:
        return session.execute(text("select 1")).first()


@app.get("/helper")
def behind_a_helper() -> object:  # clean: and so does what it calls
    return load()


def dependency() -> object:  # clean: dependencies, too
    return load()


@app.get("/dependency")
def with_a_dependency(found: object = Depends(dependency)) -> object:  # clean: asks for it as before
    return found

"""The decorator makes the session, the function blocks with it."""

import asyncio
from collections.abc import Callable
from contextlib import contextmanager
from functools import wraps
from typing import Any

from fastapi import FastAPI
from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

engine = create_engine("sqlite:///app.db")
SessionLocal = sessionmaker(bind=engine)
app = FastAPI()


@contextmanager
def session_scope():
    session = SessionLocal()
    try:
        yield session
        session.commit()  # expect: US103 loop
    finally:
        session.close()


def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with session_scope() as session:
            return function(session, *args, **kwargs)

    return wrapper


@with_session
def load(session: Session, name: str) -> object:
    return session.get(object, name)  # expect: US103 loop


@app.get("/{name}")
async def read(name: str) -> object:
    await asyncio.sleep(0)
    return load(name)

"""Connections with both bounds, or with bounds from elsewhere."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import psycopg2
from fastapi import FastAPI
from sqlalchemy import create_engine

OPTIONS: dict[str, Any] = {"connect_timeout": 3}
# clean: what the options say is not known
engine = create_engine("postgresql+psycopg://db/app", connect_args=OPTIONS, pool_size=40)
# clean: a file
local = create_engine("sqlite:///app.db")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # clean: each command has an end
    app.state.pool = await asyncpg.create_pool("postgresql://db/app", command_timeout=5)
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
def endpoint() -> str:
    # clean: both are set
    with psycopg2.connect(
        host=os.environ["DB"], connect_timeout=3, options="-c statement_timeout=5000"
    ) as connection:
        return str(connection)


def bounded(address: str) -> str:
    return f"{address}?connect_timeout=3&options=-c%20statement_timeout%3D5000"


@app.get("/address")
def elsewhere() -> str:
    # clean: the address is made elsewhere, with what it needs
    with psycopg2.connect(bounded(os.environ["DB"])) as connection:
        return str(connection)

"""Clients that are shared."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import boto3
import httpx
from fastapi import Depends, FastAPI, Request


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    # clean: made once, at start-up
    async with httpx.AsyncClient() as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@cache
def storage() -> object:
    # clean: made for the first request only
    return boto3.client("s3")


@app.get("/cached")
def cached() -> str:
    return str(storage())


class Rates:
    def __init__(self) -> None:
        self.client: httpx.AsyncClient | None = None

    async def get(self) -> object:
        # clean: kept in an attribute
        if self.client is None:
            self.client = httpx.AsyncClient()
        return (await self.client.get("http://rates.internal")).json()


rates = Rates()


@app.get("/lazy")
async def lazy() -> object:
    return await rates.get()


shared: httpx.Client | None = None


def get_shared() -> httpx.Client:
    # clean: kept in a global
    global shared
    if shared is None:
        shared = httpx.Client()
    return shared


@app.get("/global")
def in_a_global(client: httpx.Client = Depends(get_shared)) -> object:
    return client.get("http://rates.internal").json()


@app.get("/state")
async def from_state(request: Request) -> object:
    return (await request.app.state.client.get("http://rates.internal")).json()

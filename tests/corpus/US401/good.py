"""Clients that are shared."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache

import boto3
import httpx
import redis
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


def storage_of_region() -> object:
    # clean: what calls it keeps what comes back, and calls it once
    session = boto3.Session()
    return session.client("s3")


by_region: object = None


def get_by_region() -> object:
    global by_region
    if by_region is not None:
        return by_region
    by_region = storage_of_region()
    return by_region


class Cache:
    pool: object = None

    def connect(self) -> None:
        if Cache.pool is None:
            # clean: a part of it is kept
            Cache.pool = redis.from_url(address()).connection_pool


def address() -> str:
    # clean: asked for once
    return str(boto3.client("ssm").get_parameter(Name="redis"))


@app.get("/guarded")
def guarded() -> str:
    Cache().connect()
    return str(get_by_region())


@app.get("/state")
async def from_state(request: Request) -> object:
    return (await request.app.state.client.get("http://rates.internal")).json()

"""Clients that live for one request."""

import boto3
import httpx
import redis.asyncio
import requests
from fastapi import Depends, FastAPI

app = FastAPI()


@app.get("/with")
async def in_a_with() -> object:
    async with httpx.AsyncClient() as client:  # expect: US401 loop
        return (await client.get("http://rates.internal")).json()


def upload(name: str) -> str:
    s3 = boto3.client("s3")  # expect: US401 thread pool
    return s3.generate_presigned_url("get_object", Params={"Key": name})


@app.get("/helper")
def behind_a_helper(name: str) -> str:
    return upload(name)


async def get_cache():
    cache = redis.asyncio.Redis(host="cache", socket_timeout=1)  # expect: US401 loop
    yield cache
    await cache.aclose()


@app.get("/dependency")
async def with_a_dependency(cache: redis.asyncio.Redis = Depends(get_cache)) -> object:
    return await cache.get("a")


@app.get("/loop")
def in_a_loop(urls: str) -> list[int]:
    found = []
    for url in urls.split(","):
        session = requests.Session()  # expect: US401 thread pool
        found.append(session.get(url, timeout=2).status_code)
    return found


region: str | None = None


def region_or_ask() -> str:
    if region is None:
        client = boto3.client("ssm")  # expect: US401 thread pool
        return str(client.get_parameter(Name="region"))
    return region


def buckets(session: object = None) -> object:
    if session is None:
        session = boto3.Session()  # expect: US401 thread pool
    return session.client("s3").list_buckets()


@app.get("/buckets")
def guards_that_fill_nothing_kept() -> str:
    return region_or_ask() + str(buckets())

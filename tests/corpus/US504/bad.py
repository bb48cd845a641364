"""Retries without an end, or without a pause."""

import backoff
import httpx
from fastapi import FastAPI
from tenacity import retry, wait_fixed

app = FastAPI()
client = httpx.AsyncClient()


@retry  # expect: US504 loop
async def bare() -> object:
    return (await client.get("http://rates.internal")).json()


@retry(wait=wait_fixed(1))  # expect: US504 loop
async def without_stop() -> object:
    return (await client.get("http://rates.internal")).json()


@backoff.on_exception(backoff.expo, httpx.HTTPError)  # expect: US504 loop
async def without_tries() -> object:
    return (await client.get("http://rates.internal")).json()


async def by_hand() -> object:
    while True:  # expect: US504 loop
        try:
            return (await client.get("http://rates.internal")).json()
        except httpx.HTTPError:
            print("again")


@app.get("/")
async def read() -> list[object]:
    return [await bare(), await without_stop(), await without_tries(), await by_hand()]

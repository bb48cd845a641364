"""Requests that may never come back."""

import urllib.request

import httpx
import requests
from fastapi import Depends, FastAPI

app = FastAPI()
session = requests.Session()
client = httpx.AsyncClient(timeout=None)  # expect: US501 start-up


@app.get("/endpoint")
def endpoint() -> object:
    return requests.get("http://rates.internal").json()  # expect: US501 thread pool


def dependency() -> int:
    return session.post("http://rates.internal", json={}).status_code  # expect: US501 thread pool


@app.get("/dependency")
async def with_a_dependency(found: int = Depends(dependency)) -> object:
    await client.get("http://rates.internal")
    return found


def fetch() -> bytes:
    return urllib.request.urlopen("http://rates.internal").read()  # expect: US501 thread pool


@app.get("/helper")
def behind_a_helper() -> bytes:
    return fetch()

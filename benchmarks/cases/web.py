"""Synchronous HTTP clients."""

from __future__ import annotations

import http.client
import urllib.request
from types import SimpleNamespace

import httpx
import httpx2
import requests

from benchmarks.cases.case import AT, Case, Group, Place
from unstall.model.finding import Cause

kept = SimpleNamespace()


def keep_clients() -> None:
    kept.httpx = httpx.Client()
    kept.httpx2 = httpx2.Client()


async def requests_get() -> None:
    requests.get(f"{AT.http}/slow", timeout=5)  # stalls


async def urllib_urlopen() -> None:
    urllib.request.urlopen(f"{AT.http}/slow", timeout=5).read()  # stalls


async def http_client() -> None:
    connection = http.client.HTTPConnection(AT.http.removeprefix("http://"), timeout=5)
    connection.request("GET", "/slow")  # stalls
    connection.getresponse()  # stalls


async def httpx_client() -> None:
    kept.httpx.get(f"{AT.http}/slow")  # stalls


async def httpx2_client() -> None:
    kept.httpx2.get(f"{AT.http}/slow")  # stalls


async def requests_fast() -> None:
    requests.get(f"{AT.http}/fast", timeout=5)  # stalls


async def urllib_fast() -> None:
    urllib.request.urlopen(f"{AT.http}/fast", timeout=5).read()  # stalls


async def httpx_fast() -> None:
    kept.httpx.get(f"{AT.http}/fast")  # stalls


_SLOW = (Group.SLOW, Cause.WAITING, "US102")
_LATENT = (Group.LATENT, Cause.WAITING, "US102")

CASES = (
    Case(requests_get, *_SLOW, needs=("http",)),
    Case(urllib_urlopen, *_SLOW, place=Place.DEPENDENCY, needs=("http",)),
    Case(http_client, *_SLOW, needs=("http",)),
    Case(httpx_client, *_SLOW, place=Place.BACKGROUND, prepare=keep_clients, needs=("http",)),
    Case(httpx2_client, *_SLOW, place=Place.CHILD, prepare=keep_clients, needs=("http",)),
    Case(requests_fast, *_LATENT, needs=("http",)),
    Case(urllib_fast, *_LATENT, needs=("http",)),
    Case(httpx_fast, *_LATENT, prepare=keep_clients, needs=("http",)),
)

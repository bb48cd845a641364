"""Requests with an end."""

import urllib.request
from typing import Any

import httpx
import requests
from fastapi import FastAPI

app = FastAPI()
# clean: five seconds by default
client = httpx.AsyncClient()


class Bounded(requests.Session):
    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", 3)
        return super().request(*args, **kwargs)


session = Bounded()


@app.get("/endpoint")
def endpoint() -> object:
    # clean: two seconds
    return requests.get("http://rates.internal", timeout=2).json()


@app.get("/own")
def with_its_own() -> int:
    # clean: its class sets one
    return session.get("http://rates.internal").status_code


@app.get("/options")
def with_options(seconds: int = 2) -> int:
    # clean: what is passed cannot be told
    options: dict[str, Any] = {"timeout": seconds}
    return requests.get("http://rates.internal", **options).status_code


@app.get("/urlopen")
def opened() -> bytes:
    # clean: two seconds
    with urllib.request.urlopen("http://rates.internal", None, 2) as answer:
        return answer.read()


def nightly() -> None:
    # clean: no request waits for it
    requests.get("http://rates.internal")


if __name__ == "__main__":
    nightly()

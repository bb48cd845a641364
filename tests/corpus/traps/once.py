"""A cached function without arguments runs once in a process: a file that it reads is no matter."""

import asyncio
from functools import cache, lru_cache
from pathlib import Path

import httpx
from fastapi import FastAPI

app = FastAPI()

ROOT = Path("texts")


async def authorise() -> None:
    await asyncio.sleep(0)


@cache
def policy() -> str:
    # clean: it is read for the first request that asks
    return (ROOT / "policy.txt").read_text()


def load(name: str) -> str:
    # clean: only what is cached calls it
    return (ROOT / name).read_text()


@lru_cache(maxsize=1)
def terms() -> str:
    return load("terms.txt")


@app.get("/once")
async def once() -> str:
    await authorise()
    return policy() + terms()


@cache
def page(name: str) -> str:
    return (ROOT / name).read_text()  # expect: US106 loop


def load_again(name: str) -> str:
    return (ROOT / name).read_text()  # expect: US106 loop


@cache
def imprint() -> str:
    return load_again("imprint.txt")


@cache
def pages() -> list[str]:
    return [(ROOT / name).read_text() for name in ("a", "b")]  # expect: US106 loop


@cache
def keys() -> str:
    return httpx.get("http://keys.internal", timeout=5).text  # expect: US102 loop


@app.get("/again")
async def again(name: str) -> str:
    await authorise()
    return page(name) + imprint() + load_again(name) + "".join(pages()) + keys()


async def watch() -> None:
    while True:
        (ROOT / "seen").write_text("x")  # expect: US106 loop
        await asyncio.sleep(60)


@cache
def watcher() -> "asyncio.Task[None]":
    return asyncio.create_task(watch())


@app.get("/watched")
async def watched() -> None:
    await authorise()
    watcher()

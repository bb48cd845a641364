"""A cached function without arguments runs once in a process: a file that it reads is no matter."""

import asyncio
from functools import cache, lru_cache
from pathlib import Path

import httpx
from fastapi import FastAPI
from fastapi_cache import decorator

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


@decorator.cache(expire=60)
async def rates() -> str:
    return (ROOT / "rates.txt").read_text()  # expect: US106 loop


@cache
def letter() -> str:
    return (ROOT / "letter.txt").read_text()  # expect: US106 loop


def poll() -> None:
    (ROOT / "polled").read_text()  # expect: US106 loop
    asyncio.get_running_loop().call_later(5, poll)


@cache
def poller() -> None:
    poll()


beats: "list[asyncio.Task[None]]" = []


def beat() -> None:
    beats.append(asyncio.create_task(beat_again()))


async def beat_again() -> None:
    (ROOT / "beat").write_text("x")  # expect: US106 loop
    await asyncio.sleep(60)
    beat()


@cache
def beater() -> None:
    beat()


@app.get("/not-once")
async def not_once() -> str:
    await authorise()

    @cache
    def own() -> str:
        return (ROOT / "own.txt").read_text()  # expect: US106 loop

    poller()
    beater()
    return await rates() + letter() + own()


@app.post("/reload")
async def reload() -> None:
    await authorise()
    letter.cache_clear()


greeting: str | None = None
farewell: str | None = None


def greet() -> str:
    global greeting
    if greeting is None:
        # clean: the first request reads it
        greeting = (ROOT / "greeting.txt").read_text()
    return greeting


def take_leave(again: bool) -> str:
    global farewell
    if again:
        farewell = None
    if farewell is None:
        farewell = (ROOT / "farewell.txt").read_text()  # expect: US106 loop
    return farewell


@app.get("/filled")
async def filled(again: bool) -> str:
    await authorise()
    found, user = greet(), User()

    def portrait() -> str:
        if user.picture is None:
            user.picture = (ROOT / user.name).read_text()  # expect: US106 loop
        return user.picture

    return found + take_leave(again) + portrait()


class User:
    picture: str | None = None
    name = "user"

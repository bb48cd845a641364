"""What a helper does with a function depends on whether that is async."""

import asyncio
import functools
import inspect
import time
from collections.abc import Awaitable, Callable

from fastapi import FastAPI

app = FastAPI()


def load() -> None:
    # clean: a plain function goes to a thread
    time.sleep(1)


async def refresh() -> None:
    time.sleep(2)  # expect: US101 loop


async def left_early(function: Callable[[], object]) -> object:
    if inspect.iscoroutinefunction(function):
        return await function()
    return await asyncio.to_thread(function)


async def chosen(function: Callable[[], object]) -> object:
    if not asyncio.iscoroutinefunction(function):
        return await asyncio.to_thread(function)
    else:
        return await function()


async def either(function: Callable[[], object]) -> object:
    return (
        await function()
        if asyncio.iscoroutinefunction(function)
        else await asyncio.to_thread(function)
    )


@app.get("/helpers")
async def helpers() -> None:
    await left_early(load)
    await chosen(load)
    await either(load)
    await left_early(refresh)


def here() -> None:
    time.sleep(3)  # expect: US101 loop


async def other_way_round(function: Callable[[], object]) -> object:
    if asyncio.iscoroutinefunction(function):
        return await function()
    return function()


@app.get("/here")
async def called_here() -> None:
    await other_way_round(here)


class Offload:
    """A decorator with arguments, written as a class."""

    def __init__(self, limit: int = 3) -> None:
        self.limit = limit

    def __call__(self, function: Callable[[], None]) -> Callable[[], Awaitable[None]]:
        @functools.wraps(function)
        async def wrapper() -> None:
            await asyncio.to_thread(function)

        return wrapper


class Inline:
    def __call__(self, function: Callable[[], None]) -> Callable[[], Awaitable[None]]:
        async def wrapper() -> None:
            function()

        return wrapper


offloaded = Offload(limit=2)


@Offload()
def in_thread() -> None:
    # clean: `Offload.__call__` gives it to a thread
    time.sleep(4)


@offloaded
def by_name() -> None:
    # clean: the same
    time.sleep(5)


@Inline()
def inline() -> None:
    time.sleep(6)  # expect: US101 loop


@app.get("/decorated")
async def decorated() -> None:
    await in_thread()
    await by_name()
    await inline()

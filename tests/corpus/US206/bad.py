"""Patterns that a text can make exponential."""

import asyncio
import re

from fastapi import Depends, FastAPI, Request

app = FastAPI()
NAME = re.compile(r"^(\w+\s?)+$")  # expect: US206 loop
TAGS = re.compile(r"(?:[a-z]+)*,$")  # expect: US206 loop


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str) -> bool:
    await authorise()
    return bool(re.match(r"^(a+)+$", value))  # expect: US206 loop


def helper(value: str) -> str:
    return re.sub(r"(x*)*y", "", value)  # expect: US206 loop


@app.get("/helper")
async def behind_a_helper(value: str) -> str:
    await authorise()
    return helper(value)


@app.get("/compiled")
async def compiled(value: str) -> bool:
    await authorise()
    return bool(NAME.match(value)) or bool(TAGS.search(value))


async def dependency(request: Request) -> bool:
    await authorise()
    return re.fullmatch(r"([0-9a-f]+)+-", request.url.path) is not None  # expect: US206 loop


@app.get("/dependency")
async def with_a_dependency(found: bool = Depends(dependency)) -> bool:
    await authorise()
    return found


@app.get("/choice")
async def with_an_option(value: str) -> bool:
    await authorise()
    return re.search(r"(?:[a-z]+\.?)+$", value) is not None  # expect: US206 loop

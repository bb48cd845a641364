"""Parsing or rendering a large document on the event loop: what only looks like it."""

import asyncio
import json

import yaml
from fastapi import FastAPI
from jinja2 import Template

app = FastAPI()

LETTER = Template("Dear {{ value }}")


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return yaml.safe_load(value)


def helper(value: str) -> object:
    return yaml.safe_load(value)


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: a few bytes
    await asyncio.sleep(0)
    return json.loads('{"a": 1}')


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


@app.get("/letter")
async def letter(value: str = "") -> str:
    # clean: compiled once, when the module was loaded
    await asyncio.sleep(0)
    return LETTER.render(value=value)


if __name__ == "__main__":
    nightly("all")

"""Background tasks that are light, or elsewhere."""

import asyncio
import logging

import anyio
import requests
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
slots = anyio.CapacityLimiter(2)
log = logging.getLogger(__name__)


def note(name: str) -> None:
    log.info("made %s", name)


@app.post("/light")
async def light(name: str, tasks: BackgroundTasks) -> None:
    # clean: it only logs
    tasks.add_task(note, name)


async def later(name: str) -> None:
    await asyncio.sleep(1)
    print(name)


@app.post("/async")
async def on_the_loop(name: str, tasks: BackgroundTasks) -> None:
    # clean: it awaits
    tasks.add_task(later, name)


def publish(name: str) -> None:
    requests.post("http://reports.internal", data=name, timeout=60)


async def bounded(name: str) -> None:
    await anyio.to_thread.run_sync(publish, name, limiter=slots)


@app.post("/limited")
async def limited(name: str, tasks: BackgroundTasks) -> None:
    # clean: with a limit of its own
    tasks.add_task(bounded, name)

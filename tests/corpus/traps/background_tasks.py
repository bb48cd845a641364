"""An async one is on the loop, a plain one holds a thread."""

import asyncio
import time

import docker
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()
engine = docker.from_env()


async def stop(name: str) -> None:
    engine.containers.get(name).stop()  # expect: US110 loop


@app.post("/async")
async def on_the_loop(name: str, tasks: BackgroundTasks) -> None:
    await asyncio.sleep(0)
    tasks.add_task(stop, name)


def remove(name: str) -> None:
    # clean on the loop: a thread waits
    engine.containers.get(name).remove()


@app.post("/plain")
async def in_a_thread(name: str, tasks: BackgroundTasks) -> None:
    await asyncio.sleep(0)
    tasks.add_task(remove, name)  # expect: US602 thread pool


async def wait() -> None:
    time.sleep(1)  # expect: US101 loop


@app.post("/task")
async def as_a_task() -> None:
    app.state.task = asyncio.create_task(wait())

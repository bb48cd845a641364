"""Tasks that somebody has."""

import asyncio

from fastapi import FastAPI

app = FastAPI()
tasks: set[asyncio.Task[None]] = set()


async def send_mail() -> None:
    await asyncio.sleep(1)


@app.post("/kept")
async def kept() -> None:
    # clean: in a set until it is done
    task = asyncio.create_task(send_mail())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


@app.post("/awaited")
async def awaited() -> None:
    # clean: awaited
    task = asyncio.create_task(send_mail())
    await task


@app.post("/group")
async def in_a_group() -> None:
    # clean: the group keeps and awaits it
    async with asyncio.TaskGroup() as group:
        group.create_task(send_mail())


@app.post("/attribute")
async def in_an_attribute() -> None:
    # clean: kept
    app.state.task = asyncio.create_task(send_mail())


@app.post("/returned")
async def returned() -> None:
    # clean: awaited where it is used
    await asyncio.gather(asyncio.create_task(send_mail()))

"""bad.py, mended: who sleeps on the loop awaits it, and who calls a sleeper becomes async."""

import asyncio

from fastapi import BackgroundTasks, Depends, FastAPI

app = FastAPI()


@app.get("/direct")
async def direct(value: str = "") -> object:
    await asyncio.sleep(0.5)  # clean: it gives the loop back
    return value


async def helper(value: str) -> object:
    await asyncio.sleep(0.2)  # clean: the helper is async now, and awaited
    return value


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    return await helper(value)


class Keeper:
    async def load(self, value: str) -> object:
        await asyncio.sleep(0.1)  # clean: so is the method
        return value


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    return await keeper.load(value)


async def dependency(value: str = "") -> object:
    for _ in range(3):
        await asyncio.sleep(0.1)  # clean: each turn of the loop gives it back
    return value


@app.get("/dependency")
def with_a_dependency(found: object = Depends(dependency)) -> object:
    return found


async def task(value: str) -> None:
    pause = asyncio.sleep
    await pause(5)  # clean: by another name


@app.post("/task")
def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    tasks.add_task(task, value)

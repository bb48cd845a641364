"""Tasks that nobody keeps."""

import asyncio

from fastapi import Depends, FastAPI

app = FastAPI()


async def send_mail() -> None:
    await asyncio.sleep(1)


@app.post("/direct")
async def direct() -> None:
    asyncio.create_task(send_mail())  # expect: US601 loop


def start() -> None:
    loop = asyncio.get_running_loop()
    loop.create_task(send_mail())  # expect: US601 loop


@app.post("/helper")
async def behind_a_helper() -> None:
    start()


async def dependency() -> None:
    asyncio.ensure_future(send_mail())  # expect: US601 loop


@app.post("/dependency", dependencies=[Depends(dependency)])
async def with_a_dependency() -> None:
    await asyncio.sleep(0)


@app.post("/unused")
async def unused() -> None:
    task = asyncio.create_task(send_mail())  # expect: US601 loop
    await asyncio.sleep(0)

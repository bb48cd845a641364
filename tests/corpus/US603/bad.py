"""Jobs that are handed on while everybody waits."""

import asyncio

from celery import Celery, shared_task
from fastapi import Depends, FastAPI

app = FastAPI()
worker = Celery("app", broker="redis://mq")


@worker.task
def send_mail(order: str) -> None:
    print(order)


@shared_task(bind=True)
def render(self: object, order: str) -> None:
    print(order)


@app.post("/direct")
async def direct(order: str) -> None:
    await asyncio.sleep(0)
    send_mail.delay(order)  # expect: US603 loop


def publish(order: str) -> None:
    render.apply_async((order,), countdown=5)  # expect: US603 loop


@app.post("/helper")
async def behind_a_helper(order: str) -> None:
    await asyncio.sleep(0)
    publish(order)


async def dependency() -> None:
    await asyncio.sleep(0)
    worker.send_task("app.count")  # expect: US603 loop


@app.post("/dependency", dependencies=[Depends(dependency)])
async def with_a_dependency() -> None:
    await asyncio.sleep(0)

"""Jobs that are handed on in a thread, or not handed on."""

import asyncio

from celery import Celery
from fastapi import FastAPI

app = FastAPI()
worker = Celery("app", broker="redis://mq")


@worker.task
def send_mail(order: str) -> None:
    # clean: workers run it
    print(order)


class Timer:
    def delay(self, seconds: float) -> float:
        return seconds * 2


timer = Timer()


@app.post("/endpoint")
def endpoint(order: str) -> None:
    # clean: a plain def waits in a thread
    send_mail.delay(order)


@app.post("/offloaded")
async def offloaded(order: str) -> None:
    # clean: it waits in a thread
    await asyncio.to_thread(send_mail.delay, order)


@app.post("/named")
async def only_named(order: float) -> float:
    # clean: no task, only its name
    await asyncio.sleep(0)
    return timer.delay(order)

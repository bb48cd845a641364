"""Sinks of loguru that nobody on the loop waits for."""

import sys

from fastapi import FastAPI
from loguru import logger

QUEUED = True
options = {"enqueue": True}
lines: list[str] = []


def configure() -> None:
    logger.remove()
    # clean: standard error
    logger.add(sys.stderr, level="INFO")
    # clean: a function
    logger.add(lambda message: lines.append(message))
    # clean: a thread of loguru's own writes
    logger.add("app.log", rotation="100 MB", enqueue=True)
    # clean: it may be queued
    logger.add("app.log", enqueue=QUEUED)
    # clean: it may be queued
    logger.add("app.log", **options)
    # clean: a set, and no logger
    set[str]().add("app.log")


configure()
app = FastAPI()


@app.get("/")
async def read() -> str:
    logger.info("read")
    return "ok"

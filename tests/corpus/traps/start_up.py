"""It delays readiness, and is told apart."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import requests
from fastapi import FastAPI

# clean: before anything is served
SETTINGS = requests.get("http://config.internal", timeout=5).json()


def closed() -> None:
    time.sleep(3)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    time.sleep(1)  # expect: US101 start-up
    yield
    # clean: nobody waits for the end
    time.sleep(2)
    closed()


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def read() -> object:
    return SETTINGS

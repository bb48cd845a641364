"""What never runs is `possible` at most."""

import asyncio
import time
from typing import TYPE_CHECKING

from fastapi import FastAPI

app = FastAPI()
DEBUG = False

if TYPE_CHECKING:
    time.sleep(1)


@app.get("/constant")
async def constant() -> None:
    await asyncio.sleep(0)
    if DEBUG:
        time.sleep(1)  # expect: US101 loop possible


@app.get("/literal")
async def literal() -> None:
    await asyncio.sleep(0)
    if False:
        time.sleep(2)  # expect: US101 loop possible


@app.get("/argument")
async def argument() -> None:
    await asyncio.sleep(0)
    slow = True
    if slow:
        time.sleep(3)  # expect: US101 loop

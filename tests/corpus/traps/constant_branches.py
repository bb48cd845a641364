"""What never runs is `possible` at most."""

import asyncio
import os
import sys
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


if TYPE_CHECKING:
    from time import sleep as nap
else:

    def nap(seconds: float) -> None:
        """Not the one of `time`."""


@app.get("/named")
async def only_for_checkers() -> None:
    # clean: what `nap` is when it runs does not wait
    await asyncio.sleep(0)
    nap(1)


@app.get("/system")
async def other_systems() -> None:
    await asyncio.sleep(0)
    if sys.version_info < (3, 8):
        time.sleep(4)  # expect: US101 loop possible
    if os.name == "nt" or sys.platform == "win32":
        time.sleep(5)  # expect: US101 loop possible
    if sys.version_info >= (3, 8):
        time.sleep(6)  # expect: US101 loop


@app.get("/after")
async def after_return(number: int) -> int:
    await asyncio.sleep(0)
    if number:
        return 1
    else:
        raise ValueError
    time.sleep(7)  # expect: US101 loop possible


@app.get("/endless")
async def after_endless() -> None:
    while True:
        await asyncio.sleep(1)
    time.sleep(8)  # expect: US101 loop possible


@app.get("/left")
async def after_a_loop_that_is_left(number: int) -> None:
    while True:
        await asyncio.sleep(1)
        if number:
            break
    time.sleep(9)  # expect: US101 loop
    if not number:
        return
    time.sleep(10)  # expect: US101 loop

"""A small service with one route for each thing that can be wrong with it."""

from __future__ import annotations

import os
import re
import time

from fastapi import FastAPI

app = FastAPI()


@app.get("/pid")
async def pid() -> int:
    return os.getpid()


@app.get("/users/{user}")
async def user(user: int) -> int:
    time.sleep(0.5)  # BLOCKS
    return user


@app.get("/match/{size}")
async def match(size: int) -> bool:
    return bool(re.match(r"(a+)+$", "a" * size + "b"))  # HOLDS

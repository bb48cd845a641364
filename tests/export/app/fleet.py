"""A service whose workers show each other's numbers."""

from __future__ import annotations

import ctypes
import os
import time

from fastapi import FastAPI

from unstall import Monitor
from unstall.export import Exporter

app = FastAPI()
exporter = Exporter(Monitor().start()).start()


@app.get("/pid")
async def pid() -> int:
    return os.getpid()


@app.get("/sleep/{seconds}")
async def sleep(seconds: float) -> int:
    time.sleep(seconds)  # FREEZES
    return os.getpid()


@app.get("/hold/{seconds}")
async def hold(seconds: int) -> int:
    ctypes.PyDLL(None).sleep(seconds)  # keeps the interpreter lock
    return os.getpid()

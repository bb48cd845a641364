"""Waits with an end."""

import queue
import subprocess
import threading

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

app = FastAPI()
jobs: queue.Queue[str] = queue.Queue()
ready = threading.Event()


@app.get("/endpoint")
def endpoint() -> str:
    # clean: two seconds
    return jobs.get(timeout=2)


@app.get("/event")
def event() -> bool:
    # clean: two seconds
    return ready.wait(2)


def convert(name: str) -> int:
    return subprocess.run(["convert", name], check=True, timeout=5).returncode


@app.get("/offloaded")
async def offloaded(name: str) -> int:
    # clean: five seconds
    return await run_in_threadpool(convert, name)


@app.get("/now")
def now() -> str:
    # clean: at once
    return jobs.get_nowait()

"""Waits without end, with one of the shared threads in hand."""

import queue
import subprocess
import threading

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

app = FastAPI()
jobs: queue.Queue[str] = queue.Queue()
ready = threading.Event()


@app.get("/endpoint")
def endpoint() -> str:
    return jobs.get()  # expect: US302 thread pool


def dependency() -> bool:
    return ready.wait()  # expect: US302 thread pool


@app.get("/dependency")
async def with_a_dependency(found: bool = Depends(dependency)) -> bool:
    return found


def convert(name: str) -> int:
    return subprocess.run(["convert", name], check=True).returncode  # expect: US302 thread pool


@app.get("/offloaded")
async def offloaded(name: str) -> int:
    return await run_in_threadpool(convert, name)


@app.get("/process")
def process() -> int:
    return subprocess.Popen(["convert"]).wait()  # expect: US302 thread pool

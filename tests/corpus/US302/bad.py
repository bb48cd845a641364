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


others: queue.Queue[str] = queue.Queue()


@app.get("/another")
def another() -> str:
    if not others.empty():
        return jobs.get()  # expect: US302 thread pool
    return ""


@app.get("/empty")
def empty() -> str:
    if jobs.empty():
        return jobs.get()  # expect: US302 thread pool
    return ""


@app.get("/before")
def before_it_is_killed() -> None:
    process = subprocess.Popen(["convert"])
    process.wait()  # expect: US302 thread pool
    process.kill()


@app.get("/waiting")
def waiting() -> str:
    if not jobs.empty():
        return jobs.get()  # expect: US302 thread pool possible
    return ""


@app.get("/killed")
def killed() -> int:
    process = subprocess.Popen(["convert"])
    process.kill()
    return process.wait()  # expect: US302 thread pool possible

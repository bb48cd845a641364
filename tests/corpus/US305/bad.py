"""Waits without end in the executor that resolves names."""

import asyncio
import queue
import subprocess

import requests
from fastapi import FastAPI

app = FastAPI()
jobs: queue.Queue[str] = queue.Queue()


@app.get("/to-thread")
async def to_thread() -> object:
    return await asyncio.to_thread(requests.get, "http://rates.internal")  # expect: US305 loop


def convert(name: str) -> int:
    return subprocess.run(["convert", name]).returncode


@app.get("/first-party")
async def first_party(name: str) -> int:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, convert, name)  # expect: US305 loop


@app.get("/queue")
async def of_a_queue() -> str:
    return await asyncio.to_thread(jobs.get)  # expect: US305 loop

"""Waits with an end, or in an executor of their own."""

import asyncio
import subprocess
from concurrent.futures import ThreadPoolExecutor

import requests
from fastapi import FastAPI

app = FastAPI()
pool = ThreadPoolExecutor(4)


@app.get("/bounded")
async def bounded() -> object:
    # clean: two seconds
    return await asyncio.to_thread(requests.get, "http://rates.internal", timeout=2)


def convert(name: str) -> int:
    return subprocess.run(["convert", name], timeout=5).returncode


@app.get("/first-party")
async def first_party(name: str) -> int:
    # clean: five seconds
    return await asyncio.to_thread(convert, name)


@app.get("/own")
async def own(name: str) -> object:
    # clean: an executor of its own
    return await asyncio.get_running_loop().run_in_executor(pool, requests.get, name)

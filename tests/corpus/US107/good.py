"""A wait for a subprocess on the event loop: what only looks like it."""

import asyncio
import subprocess

from fastapi import FastAPI

app = FastAPI()


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return subprocess.run(['file', value], timeout=5).returncode


def helper(value: str) -> object:
    return subprocess.run(['file', value], timeout=5).returncode


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: asyncio waits for the process
    process = await asyncio.create_subprocess_exec("file", value)
    return await process.wait()


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


if __name__ == "__main__":
    nightly("all")

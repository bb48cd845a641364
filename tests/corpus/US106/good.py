"""File I/O on the event loop: what only looks like it."""

import asyncio
import os
from pathlib import Path

import aiofiles
from fastapi import FastAPI
from fastapi.responses import FileResponse

app = FastAPI()

ROOT = Path("data")


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return (ROOT / value).read_text()


def helper(value: str) -> object:
    return (ROOT / value).read_text()


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: aiofiles reads in a thread
    async with aiofiles.open(ROOT / value) as file:
        return await file.read()


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


@app.get("/names")
async def names(value: str) -> object:
    # clean: string work, no system call
    return os.path.join(os.path.dirname(value), Path(value).with_suffix(".txt").name)


@app.get("/download")
async def download(value: str) -> FileResponse:
    # clean: Starlette opens and reads it in a thread
    return FileResponse(ROOT / value)


if __name__ == "__main__":
    nightly("all")

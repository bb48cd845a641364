"""File I/O on the event loop: what only looks like it."""

import asyncio
import csv
import fcntl
import io
import os
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import TextIO

import aiofiles
import psutil
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


@app.post("/rows")
async def rows(value: str) -> list[dict[str, str]]:
    reader = csv.DictReader(StringIO(value))
    # clean: the lines are in memory
    found = [row for row in reader if row]
    # clean: these, too
    return found + list(csv.DictReader(value.splitlines()))


def parse(lines: Iterable[str]) -> list[list[str]]:
    # clean: all that is passed is in memory
    return [row for row in csv.reader(lines)]


def parse_stream(file: TextIO) -> list[list[str]]:
    # clean: this, too
    return [row for row in csv.reader(file)]


@app.post("/parsed")
async def parsed(value: str) -> list[list[str]]:
    await asyncio.sleep(0)
    return parse(value.splitlines()) + parse_stream(StringIO(value))


@app.post("/lock")
async def lock(descriptor: int) -> None:
    # clean: it does not wait for who holds the lock
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    await asyncio.sleep(0)
    # clean: to let go is no wait
    fcntl.flock(descriptor, fcntl.LOCK_UN)


def take(descriptor: int) -> bytes:
    # clean: the loop has said that there is something to read
    return os.read(descriptor, 100)


@app.get("/pipe")
async def from_a_pipe(descriptor: int) -> bytes:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(descriptor, ready.set_result, None)
    await ready
    loop.remove_reader(descriptor)
    return take(descriptor)


class Pipe:
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.ready = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, self.ready.set)

    async def read(self) -> bytes:
        await self.ready.wait()
        # clean: what its object has asked for is there
        return os.read(self.descriptor, 100)


async def readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(descriptor, ready.set_result, None)
    await ready


@app.get("/pipes")
async def from_pipes(descriptor: int) -> bytes:
    await readable(descriptor)
    # clean: it has waited for that
    return os.read(descriptor, 100) + await Pipe(descriptor).read()


@app.get("/first")
async def first() -> object:
    await asyncio.sleep(0)
    # clean: two questions of microseconds each
    return next((name for name in ("a", "b") if os.path.exists(name)), None)


@app.get("/described")
async def described(descriptor: int) -> object:
    # clean: none of it asks for the content
    await asyncio.sleep(0)
    file = io.FileIO(descriptor, closefd=False)
    return file.readable(), file.fileno()


@app.get("/memory")
async def in_memory(value: bytes) -> int:
    # clean: in memory
    await asyncio.sleep(0)
    return io.BytesIO(value).readinto(bytearray(100))


@app.get("/socket")
async def until_it_is_there() -> None:
    # clean: one question for each second
    while not (ROOT / "socket").exists():
        await asyncio.sleep(1)


@app.get("/free")
async def free() -> int:
    # clean: the disk that the machine runs from
    await asyncio.sleep(0)
    return psutil.disk_usage("/").free


if __name__ == "__main__":
    nightly("all")

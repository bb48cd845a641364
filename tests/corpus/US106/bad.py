"""File I/O on the event loop."""

import asyncio
import csv
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, TextIO

import psutil
import unknown
from fastapi import BackgroundTasks, Depends, FastAPI, Query
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

ROOT = Path("data")


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    with open(ROOT / value) as file:  # expect: US106 loop
        return file.read()  # expect: US106 loop


def helper(value: str) -> object:
    return (ROOT / value).read_bytes()  # expect: US106 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = Path("data")

    def load(self, value: str) -> object:
        return self.inner.joinpath(value).write_text('x')  # expect: US106 loop


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return [folder for folder, _, _ in os.walk(value)]  # expect: US106 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        shutil.copy(ROOT / value, ROOT / 'copy')  # expect: US106 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    with tempfile.NamedTemporaryFile() as file:  # expect: US106 loop
        file.write(value.encode() * 1000)  # expect: US106 loop
        shutil.rmtree(ROOT / value)  # expect: US106 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)


@app.get("/rows")
async def rows(value: str = "") -> list[list[str]]:
    await authorise()
    with open(ROOT / value) as file:  # expect: US106 loop
        return [row for row in csv.reader(file)]  # expect: US106 loop


@app.post("/lock")
async def with_a_lock(descriptor: int) -> None:
    await authorise()
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # expect: US106 loop


def parse(file: Iterable[str]) -> list[list[str]]:
    return [row for row in csv.reader(file)]  # expect: US106 loop


def parse_stream(file: TextIO) -> list[list[str]]:
    return [row for row in csv.reader(file)]  # expect: US106 loop


@app.get("/parsed")
async def parsed(value: str = "") -> list[list[str]]:
    await authorise()
    with open(ROOT / value) as file:  # expect: US106 loop
        return parse(file)


@app.post("/parsed")
async def parsed_by_another(parser: Callable[[TextIO], list[list[str]]]) -> None:
    await authorise()
    later = [parse_stream, parser]
    later[0](unknown.stream)


def ready(library: unknown.Library) -> None:
    library.add_reader("anybody")


async def first_line(descriptor: int) -> bytes:
    await authorise()
    return os.read(descriptor, 100)  # expect: US106 loop


@app.get("/pipe")
async def from_a_pipe(descriptor: int) -> bytes:
    ready(unknown.library())
    return await first_line(descriptor)


class Watched:
    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        asyncio.get_running_loop().add_reader(descriptor, self.read)

    def read(self) -> None:
        # clean: the loop has said that there is something to read
        os.read(self.descriptor, 100)


@app.get("/watched")
async def beside_a_pipe_that_is_watched(descriptor: int) -> bytes:
    await authorise()
    Watched(descriptor)
    return os.read(descriptor + 1, 100)  # expect: US106 loop


@app.get("/sizes")
async def of_a_tree(value: str) -> int:
    await authorise()
    found = (ROOT / value).rglob("*")
    return sum(path.stat().st_size for path in found)  # expect: US106 loop


@app.get("/known")
async def of_a_request(names: Annotated[list[str], Query()]) -> list[str]:
    await authorise()
    return [name for name in names if os.path.exists(name)]  # expect: US106 loop


@app.get("/free")
async def free(value: str) -> int:
    await authorise()
    return psutil.disk_usage(str(ROOT / value)).free  # expect: US106 loop


@app.get("/buffer")
async def into_a_buffer(value: str) -> int:
    await authorise()
    buffer = bytearray(1 << 17)
    with (ROOT / value).open("rb", buffering=0) as file:  # expect: US106 loop
        return file.readinto(buffer)  # expect: US106 loop


@app.put("/cut")
async def cut(value: str) -> int:
    await authorise()
    with open(ROOT / value, mode="r+b") as file:  # expect: US106 loop
        return file.truncate(100)  # expect: US106 loop

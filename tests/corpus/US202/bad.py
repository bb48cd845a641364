"""Compression on the event loop."""

import asyncio
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib

from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return gzip.compress(value.encode())  # expect: US202 loop


def helper(value: str) -> object:
    return lzma.compress(value.encode())  # expect: US202 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = zipfile.ZipFile("files.zip")

    def load(self, value: str) -> object:
        self.inner.extractall(value)  # expect: US202 loop
        return value


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    with tarfile.open(value) as archive:  # expect: US202 loop
        archive.extractall("out")  # expect: US202 loop
    return value


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        zlib.decompress(value.encode())  # expect: US202 loop
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    with zipfile.ZipFile(value) as archive:  # expect: US202 loop
        archive.read("a")  # expect: US202 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)


@app.post("/archive")
async def archive(body: bytes) -> list[bytes]:
    await authorise()
    archive = zipfile.ZipFile(io.BytesIO(body))
    return [archive.read(name) for name in archive.namelist()]  # expect: US202 loop


@app.get("/packed")
async def packed(path: str) -> list[str]:
    await authorise()
    with zipfile.ZipFile(path) as archive:  # expect: US202 loop
        return archive.namelist()


@app.post("/lines")
async def lines(body: bytes) -> int:
    await authorise()
    with gzip.open(io.BytesIO(body), "rt") as unpacked:
        return sum(1 for line in unpacked)  # expect: US202 loop


@app.post("/kind")
async def kind(body: bytes) -> bool:
    await authorise()
    return tarfile.is_tarfile(io.BytesIO(body))  # expect: US202 loop

"""Compression on the event loop: what only looks like it."""

import asyncio
import gzip
import io
import tarfile
import zipfile
import zlib

from fastapi import FastAPI

app = FastAPI()


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return gzip.compress(value.encode())


def helper(value: str) -> object:
    return gzip.compress(value.encode())


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: a checksum, gigabytes a second
    await asyncio.sleep(0)
    return zlib.crc32(value.encode())


@app.post("/names")
async def names(body: bytes) -> object:
    # clean: the directory of an archive in memory
    await asyncio.sleep(0)
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        return archive.namelist()


@app.get("/empty")
async def empty() -> bytes:
    # clean: archives in memory that are only begun
    await asyncio.sleep(0)
    target = io.BytesIO()
    tarfile.open(fileobj=target, mode="w").close()
    gzip.GzipFile(fileobj=target, mode="wb").flush()
    return target.getvalue()


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


if __name__ == "__main__":
    nightly("all")

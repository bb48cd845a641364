"""Hashing or key derivation on the event loop: what only looks like it."""

import asyncio
import hashlib

import bcrypt
from fastapi import FastAPI

app = FastAPI()

STORED = b"$2b$12$"


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return bcrypt.checkpw(value.encode(), STORED)


def helper(value: str) -> object:
    return bcrypt.checkpw(value.encode(), STORED)


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: a digest of a few bytes takes microseconds
    await asyncio.sleep(0)
    return hashlib.sha256(value.encode()).hexdigest()


@app.get("/seed")
async def seed(value: str = "") -> object:
    await asyncio.sleep(0)
    # clean: 2,048 rounds take less than a millisecond
    return hashlib.pbkdf2_hmac("sha512", value.encode(), b"mnemonic", 2048)


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


if __name__ == "__main__":
    nightly("all")

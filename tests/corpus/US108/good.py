"""A synchronous socket or DNS call on the event loop: what only looks like it."""

import asyncio
import socket

from fastapi import FastAPI

app = FastAPI()


@app.get("/endpoint")
def endpoint(value: str = "") -> object:
    # clean: a plain def runs in the thread pool
    return socket.gethostbyname(value)


def helper(value: str) -> object:
    return socket.gethostbyname(value)


@app.get("/offloaded")
async def offloaded(value: str = "") -> object:
    # clean: it runs in a thread
    return await asyncio.to_thread(helper, value)


@app.get("/twin")
async def twin(value: str = "") -> object:
    # clean: the loop resolves in a thread
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(value, 443)


def nightly(value: str) -> None:
    # clean: only the command line comes here
    print(helper(value))


@app.get("/name")
async def own_name() -> str:
    # clean: a system call that asks nobody
    return socket.gethostname()


if __name__ == "__main__":
    nightly("all")

"""A synchronous socket or DNS call on the event loop."""

import asyncio
import socket
import ssl

import dns.resolver
from fastapi import BackgroundTasks, Depends, FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

app = FastAPI()

context = ssl.create_default_context()


async def authorise() -> None:
    await asyncio.sleep(0)


@app.get("/direct")
async def direct(value: str = "") -> object:
    await authorise()
    return socket.gethostbyname(value)  # expect: US108 loop


def helper(value: str) -> object:
    with socket.create_connection((value, 80), timeout=2) as connection:  # expect: US108 loop
        connection.sendall(b'x')  # expect: US108 loop
        return connection.recv(100)  # expect: US108 loop


@app.get("/helper")
async def behind_a_helper(value: str = "") -> object:
    await authorise()
    return helper(value)


class Keeper:
    def __init__(self) -> None:
        self.inner = socket.socket()

    def load(self, value: str) -> object:
        self.inner.connect((value, 80))  # expect: US108 loop
        return value


keeper = Keeper()


@app.get("/attribute")
async def on_an_attribute(value: str = "") -> object:
    await authorise()
    return keeper.load(value)


async def dependency(value: str = "") -> object:
    await authorise()
    return socket.getaddrinfo(value, 443)  # expect: US108 loop


@app.get("/dependency")
async def with_a_dependency(found: object = Depends(dependency)) -> object:
    await authorise()
    return found


class Middleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        value = scope["path"]
        dns.resolver.resolve('example.internal', 'A')  # expect: US108 loop
        print(value)
        await self.app(scope, receive, send)


app.add_middleware(Middleware)


async def task(value: str) -> None:
    await authorise()
    socket.gethostbyaddr(value)  # expect: US108 loop


@app.post("/task")
async def with_a_task(tasks: BackgroundTasks, value: str = "") -> None:
    await authorise()
    tasks.add_task(task, value)

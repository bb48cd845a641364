"""What a generic base holds is what the classes below it say."""

import asyncio
from abc import ABC
from typing import Generic, TypeVar

import httpx
from fastapi import Depends, FastAPI

app = FastAPI()
ready = httpx.AsyncClient()
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")


class Http:
    def load(self) -> str:
        return httpx.get("http://one.internal").text  # expect: US102 loop

    def load_slowly(self) -> str:
        return httpx.get("http://two.internal").text  # expect: US102 loop

    def load_made(self) -> str:
        return httpx.get("http://three.internal").text  # expect: US102 loop


    def load_shared(self) -> str:
        return httpx.get("http://four.internal").text  # expect: US102 loop possible


class Ready:
    def load_shared(self) -> str:
        return "at once"

    async def load(self) -> str:
        return (await ready.get("/")).text  # clean: this client is asynchronous


class Store(ABC, Generic[C]):
    client: C

    def get(self) -> C:
        ...


class Orders(Store[Http]):
    def read(self) -> str:
        return self.client.load()


class Users(Store[Ready]):
    async def read(self) -> str:
        return await self.client.load()  # clean: its base holds what this class says


class Deeper(Store[D]):
    def slowly(self) -> str:
        return "slowly"


class Items(Deeper[Http]):
    pass


class Shared(Generic[E]):
    client: E

    def read(self) -> str:
        return self.client.load_shared()


class SharedHttp(Shared[Http]):
    pass


class SharedReady(Shared[Ready]):
    pass


class Made(Generic[C]):
    def __init__(self, kind: type[C]) -> None:
        self.kind = kind

    def read(self) -> str:
        return self.kind().load_made()


class MadeOfHttp(Made[Http]):
    def __init__(self) -> None:
        super().__init__(Http)


@app.get("/")
async def read(orders: Orders = Depends(), users: Users = Depends()) -> str:
    await users.read()
    await users.get().load()  # clean: this client is asynchronous
    MadeOfHttp().read()
    SharedReady().read()  # clean: which of two classes its base holds is not known there
    return orders.read()


@app.get("/items")
async def read_items(items: Items = Depends()) -> str:
    await asyncio.sleep(0)
    return items.get().load_slowly()


@app.get("/thread")
def in_a_thread(orders: Orders = Depends()) -> str:
    return orders.read()  # clean: a plain route runs in a thread

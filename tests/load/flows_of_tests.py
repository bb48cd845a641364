"""Flows as users write them; `tests/load/test_flows.py` plays them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from unstall.load import Client


async def buy(client: Client) -> None:
    cart = await client.post("/carts", json={"article": client.number})
    assert cart.status == 200
    await client.get("/carts/1", headers={"Accept": "text/html"})


async def browse(client: Client) -> AsyncIterator[str]:
    await client.get("/")
    yield "home"
    await client.get("/items")
    yield "items"


async def nothing(client: Client) -> None:
    await asyncio.sleep(0)


async def chance(client: Client) -> None:
    await client.get(f"/{client.random.randint(0, 10**9)}")


async def wrong(client: Client) -> None:
    raise LookupError("a mistake of the flow")


async def endless(client: Client) -> AsyncIterator[str]:
    for number in range(1_000):
        yield f"step {number}"


async def hanging(client: Client) -> None:
    await asyncio.Event().wait()


async def several(client: Client) -> None:
    await asyncio.gather(*(client.get(f"/{n}") for n in range(3)))


def plain(client: Client) -> None:
    return None
